/* isa: the interface between kernels/ and simd/: the table that simd/ fills once for each
 * instruction set, and the arguments of its block kernels.
 *
 * Private to kernels/: gemm/ and attention.c divide the work among threads and call through this
 * table; the rest of the program includes kernels.h only. */
#pragma once

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/kernels.h"

typedef struct Isa Isa;

/* Part `part` of `parts` of [0, total), and of a range: parts differ by one element at most. */
static inline Range share(size_t total, size_t part, size_t parts)
{
    return (Range){total * part / parts, total * (part + 1) / parts};
}

static inline Range share_of(Range whole, size_t part, size_t parts)
{
    Range offsets = share(whole.to - whole.from, part, parts);
    return (Range){whole.from + offsets.from, whole.from + offsets.to};
}

/* Adds to what products_taken will return. */
void product_note(unsigned products);

/* ---- matrix product ---- */

/* The tile of C that the innermost loop keeps in registers: rows x (vectors of lanes floats). */
typedef struct Tile {
    size_t rows, lanes, vectors;
} Tile;

/* B[k, n] is rearranged into panels of columns, one after the other, each stored as [k][width].
 * A panel is one tile wide; columns past n, up to a whole vector, are zeros. Where one vector or
 * less would be left for the last panel of three-vector tiles, it takes one from its neighbour:
 * 48 + 16 columns become 32 + 32, since narrow tiles are slow. */
static inline size_t panel_count(const Tile *t, size_t n)
{
    size_t width = t->lanes * t->vectors;
    return (n + width - 1) / width;
}

/* First column of panel p; of panel_count: n rounded up to whole vectors. */
static inline size_t panel_start(const Tile *t, size_t n, size_t p)
{
    size_t width = t->lanes * t->vectors, count = panel_count(t, n);
    if (p == count)
        return (n + t->lanes - 1) / t->lanes * t->lanes;
    bool borrows = t->vectors > 2 && p > 0 && p + 1 == count && n - p * width <= t->lanes;
    return p * width - (borrows ? t->lanes : 0);
}

/* B of C = A B in panels: of fp32 as above, of a smaller format as LowTile says. */
struct PackedB {
    const Isa *isa; /* whose panels these are */
    DType type;
    size_t k, n;
    float panels[] __attribute__((aligned(64)));
};

/* The epilogue as seen from an element of C that lies `offset` elements further, in column
 * `column`. */
static inline Epilogue epilogue_at(const Epilogue *epi, DType c_type, ptrdiff_t offset,
                                   ptrdiff_t column)
{
    ptrdiff_t bytes = offset * (ptrdiff_t)dtype_size(c_type);
    Epilogue at = *epi;
    at.bias = epi->bias ? epi->bias + column : NULL;
    at.z = epi->z ? epi->z + offset : NULL;
    at.residual = epi->residual ? (const char *)epi->residual + bytes : NULL;
    return at;
}

/* k is worked in blocks of GEMM_KC, so that a strip of A stays in the first-level cache and
 * GEMM_KC x GEMM_NC of B in the second. GEMM_KC alone decides the order of summation. */
enum {
    GEMM_KC = 384,
    GEMM_NC = 384,
    GEMM_A_ROWS = 64,       /* rows of A packed at a time */
    GEMM_STREAM_ROWS = 128, /* rows at a time that meet a B from memory */
    GEMM_A_PACK = GEMM_KC * GEMM_A_ROWS,
};

/* What a causal product need not work: C, A or B is a triangle. */
typedef enum Triangle {
    TRIANGLE_NONE,
    TRIANGLE_C_LOWER, /* C[i,j] is wanted where j <= i + diagonal */
    TRIANGLE_C_UPPER, /* C[i,j] is wanted where i <= j + diagonal */
    TRIANGLE_A_LOWER, /* A[i,p] is 0, or is not there, where p > i + diagonal */
    TRIANGLE_A_UPPER, /* the same where i > p + diagonal */
    TRIANGLE_B_UPPER, /* B[p,j] is 0, or is not there, where p > j + diagonal */
} Triangle;

/* One block of C: rows x the panels [first, last) of n columns, over k products. The panels are
 * `depth` rows deep, of which the block reads [skip, skip + k). */
typedef struct GemmBlock {
    size_t rows, n, first, last, k;
    /* A[i,p] = a[i*a_row + p*a_col] */
    const float *a;
    size_t a_row, a_col;
    /* Scratch of GEMM_A_PACK floats, into which A is packed first; NULL: A is read in place. */
    float *a_pack;
    /* Start of panel `first`; with b_pack the plain matrix, B[p,j] = b[p*b_row + j*b_col]. */
    const float *b;
    size_t b_row, b_col;
    /* Scratch for these panels, into which B is packed first; NULL: b is packed already. */
    float *b_pack;
    size_t depth, skip;
    /* b comes from memory, in its order there; at most GEMM_STREAM_ROWS rows. */
    bool streams;
    /* Row 0, column 0 of the matrix, whatever `first` is. */
    float *c;
    size_t c_row;
    bool add; /* to C, instead of overwriting it */
    /* In whole strips of A and whole vectors of B. A triangle of C has A in rows, B_UPPER has it in
     * columns; none has a packed A or an epilogue. What is not wanted of C keeps its value or gets
     * any other. */
    Triangle triangle;
    ptrdiff_t diagonal;
    /* Of the last block over k, with pointers to row 0; of all others NULL. */
    const Epilogue *epi;
} GemmBlock;

/* How far to prefetch, in bytes, while `strips` strips of A pass over a stored panel of B; 0: not
 * at all. Several strips prefetch the panel that lies `next` bytes further. One strip reads its
 * panel once, so it prefetches that panel itself, as far ahead as memory delivers during one miss.
 *
 * With AVX-512 and as many strips as a tile has vectors, one line a step is enough. Fewer strips
 * need several lines a step, which not every processor gains from (cpu.h). */
static inline size_t prefetch_distance(const Tile *tile, size_t strips, size_t next)
{
    if (strips < tile->vectors && !cpu_features()->stream_prefetch)
        return 0;
    return strips == 1 ? 8192 : next;
}

/* ---- matrix product of bf16, f16, i8, q8_0 and q4_0 ---- */

/* Finished sums on their way to C: `columns` of `width` exist. Of an i8 product, whose A was 128
 * too large, C = (sums - 128 column_sum) row_scale column_scale. Of a kernel that `scales` f16, C =
 * sums row_scale. */
typedef struct LowFinish {
    size_t rows, columns, width;
    const float *sums;
    const float *row_scale, *column_scale; /* NULL where there are none */
    const int32_t *column_sum;
    void *c; /* first element of the tile, of c_type */
    DType c_type;
    size_t c_row;
    bool accumulate;
    Epilogue epi; /* as seen from c */
} LowFinish;

/* Finishes row i of a tile that may be LowTile.unfinished. */
typedef void LowFinishRow(const LowFinish *f, size_t i);

/* Prefetches row i of C and of the residual. */
static inline void low_prefetch_row(const LowFinish *f, size_t i)
{
    size_t size = dtype_size(f->c_type), from = i * f->c_row * size;
    for (size_t at = from; at < from + f->columns * size; at += 64) {
        __builtin_prefetch((char *)f->c + at, 1);
        if (f->epi.residual)
            __builtin_prefetch((const char *)f->epi.residual + at);
    }
}

/* What the next panel is packed from: `count` lines, `row` bytes apart, of so many bytes. */
typedef struct LowSource {
    const char *at;
    size_t count, row, bytes;
} LowSource;

static inline void low_prefetch_line(const LowSource *s, size_t i)
{
    for (size_t at = 0; at < s->bytes; at += 64)
        __builtin_prefetch(s->at + i * s->row + at, 0, 2);
}

/* One tile. Operands are stored in units of 4 bytes, elements that follow each other in k: pairs of
 * bf16 or f16, quads of i8. A step is one unit deep. Elements past k are zeros.
 *
 * A: unit u of row r is a[r*a_row + u*a_unit]. i8 is stored as q + 128, unsigned, as vpdpbusd wants
 * it. For a kernel that `widens` a step of A is two units: an element of bf16 or f16 is an fp32, a
 * unit of its own; a level of i8 has 16 bits, 0 and 2 of a quad are the first unit, 1 and 3 the
 * second. B: panels [steps][width] of one tile's width, the last one as narrow as whole vectors
 * allow. In each step of f16 that a kernel `widens`, the `width` elements of the first k precede
 * those of the second: [2 steps][width].
 *
 * A step of q8_0 and q4_0 is a group. A: LOW_GROUP_UNITS units, LowGroup. B: the levels of the
 * group's blocks, [8 or 4 units][width], unsigned: of q8_0 q + 128, of q4_0 as in a file, q + 8;
 * then [width] scales of f16. A sum is begun at 0, and group by group, in the order of k, sum =
 * fma((float)(sum of 32 products of levels), scale of A * scale of B, sum): one rounding of the
 * product of scales, one of each new sum, whatever the kernel. */
typedef struct LowTile {
    size_t rows, vectors, steps;
    const uint32_t *a, *b;
    size_t a_row, a_unit;
    float *sums; /* [rows][width]; int32 of an i8 product */
    bool add;    /* to what is there, instead of overwriting it; groups go on from it */
    /* For a kernel that finishes: the tile multiplied before, which it finishes between the steps,
     * or NULL. It and this tile are whole, this one does not add, low_finish_row knows both and,
     * unless the kernel finishes_any, neither keeps z nor adds to C. */
    const LowFinish *unfinished;
    LowFinishRow *finish_row; /* of `unfinished` */
    /* How this tile will be finished: the kernel prefetches its C and residual. Given with
     * `unfinished`; to a kernel that `prefetches` wherever these are read, and only there. */
    const LowFinish *current;
    /* Prefetched, prefetch_step bytes in each step; NULL: nothing. */
    const char *prefetch;
    size_t prefetch_step;
    LowSource source; /* for a kernel that `prefetches` */
} LowTile;

/* Distance, in units, between packed rows of so many units, at least that many. Short rows lie back
 * to back. Long ones are an odd number of cache lines apart: at a distance of 4096 bytes all of
 * them would fall into one cache set. */
static inline size_t low_row_stride(size_t units)
{
    return units < 64 ? units : ((units + 15) / 16 | 1) * 16;
}

/* A group of a row of A: levels, then -zero times their sum, where B's levels are `zero` (128 or 8)
 * too large, then the scale. */
typedef struct LowGroup {
    int8_t levels[QUANT_GROUP];
    int32_t start;
    float scale;
} LowGroup;

enum { LOW_GROUP_UNITS = sizeof(LowGroup) / 4 };

/* One way to multiply one format. */
typedef struct LowKernel {
    const char *instruction;
    Support support;
    bool widens; /* what it multiplies: A is stored wider than the format is (LowTile) */
    /* Rows of A are divided by powers of two, so that a sum in f16 has room (fp16_tile.c). */
    bool scales;
    size_t rows;       /* of a tile at most, and A lies in rows; 0: as many as Tile says */
    size_t least_rows; /* of A: fewer are multiplied faster without a trial (low_kernel.c) */
    /* Puts the groups of row r of a block of A where the kernel wants them; NULL: they lie in rows,
     * as LowTile says. There is memory for whole tiles of `rows`. */
    void (*place_groups)(const LowGroup *row, size_t groups, size_t r, uint32_t *a, size_t a_row);
    void (*tile)(const LowTile *tile);
    /* Gives back what `tile` keeps in this thread from call to call; NULL: nothing. */
    void (*release)(void);
    bool finishes;     /* can finish one tile between the steps of the next ... */
    bool finishes_any; /* ... even one that keeps z or adds to C */
    bool prefetches;   /* LowTile.source and LowTile.current, between the steps */
    size_t block;      /* units of A at a time; 0: as many as suit 1 MiB of second-level cache */
    /* As fma_loop, of this instruction; NULL where nothing is faster than fp32. */
    double (*peak_loop)(size_t rounds);
} LowKernel;

/* ---- attention ---- */

/* Some heads of one sequence that share a key/value head; of the queries those in [first, last), in
 * backward all. */
typedef struct AttentionTask {
    const Attention *a;
    const LowKernel *kernel; /* what multiplies bf16; NULL: products are fp32 */
    size_t b, h, heads;      /* heads h to h + heads - 1 */
    size_t first, last;
    /* Backward only. */
    const float *dout;
    float *dq, *dk, *dv;
} AttentionTask;

/* Who works a task of backward: one thread, or several that wait for each other between steps. */
typedef struct AttentionTeam {
    size_t member, members;
    float *shared;     /* scratch of the task */
    float *own;        /* scratch of the first member */
    size_t own_floats; /* from a member's to that of the next */
} AttentionTeam;

/* Returns when all members have called it. */
void attention_wait(const AttentionTeam *team);

enum {
    ATTENTION_KEYS = 128, /* forward works a tile's width of queries and so many keys at a time */
    ATTENTION_ROWS = 32,  /* backward so many queries and all keys; forward is divided by them */
};

/* ---- the table ---- */

struct Isa {
    Kernels rows;
    Tile tile;
    const char *fma; /* the instruction that multiplies fp32 */
    /* With the instructions that this set has for sure. */
    LowKernel bf16, f16, i8, q8_0, q4_0;
#define BLOCK_KERNEL(result, name, parameters) result(*name) parameters;
#include "autograd/kernels/kernels.def"
};

/* The one in use, and the best this CPU has (select.c). */
const Isa *isa_in_use(void);
const Isa *isa_best(void);
