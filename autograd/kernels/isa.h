/* isa: what one instruction set provides; the files of simd/ fill one table each.
 *
 * Private to kernels/: autograd/kernels/gemm/fp32.c and attention.c divide the work among threads and call through this
 * table; the rest of the program sees kernels.h only. */
#ifndef TARE_AUTOGRAD_KERNELS_ISA_H
#define TARE_AUTOGRAD_KERNELS_ISA_H

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/kernels.h"

typedef struct Isa Isa;

/* Part `part` of `parts` of something of this size. */
static inline Range share(size_t total, size_t part, size_t parts)
{
    return (Range){total * part / parts, total * (part + 1) / parts};
}

static inline Range share_of(Range whole, size_t part, size_t parts)
{
    Range own = share(whole.to - whole.from, part, parts);
    return (Range){whole.from + own.from, whole.from + own.to};
}

/* The tile of C that the innermost loop keeps in registers. */
typedef struct Tile {
    size_t rows, lanes, vectors; /* rows x (vectors of lanes floats) */
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

/* The epilogue as seen from an element of C that lies `offset` elements further, in column `column`. */
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

/* One block of C: rows x the panels [first, last) of n columns, over k products. The panels are
 * `depth` rows deep, of which the block reads [skip, skip + k). */
typedef struct GemmBlock {
    size_t rows, n, first, last, k;
    const float *a; /* A[i,p] = a[i*a_row + p*a_col] */
    size_t a_row, a_col;
    float *a_pack;  /* room for GEMM_A_PACK floats: A is packed first; NULL: read in place */
    const float *b; /* start of panel `first`; with b_pack B[p,j] = b[p*b_row + j*b_col] */
    size_t b_row, b_col;
    float *b_pack; /* room for these panels: they are packed first; NULL: they are already */
    size_t depth, skip;
    bool streams; /* b comes from memory, in its order there; at most GEMM_STREAM_ROWS rows */
    float *c;     /* row 0, column 0 of the matrix, whatever `first` is */
    size_t c_row;
    bool add;            /* add to C instead of overwriting it */
    const Epilogue *epi; /* of the last block over k, with pointers to row 0; before: NULL */
} GemmBlock;

/* k is worked in blocks of GEMM_KC, so that a strip of A stays in the first-level cache and
 * GEMM_KC x GEMM_NC of B in the second. GEMM_KC alone decides the order of summation. */
enum {
    GEMM_KC = 384,
    GEMM_NC = 384,
    GEMM_A_ROWS = 64,       /* rows of A packed at a time */
    GEMM_STREAM_ROWS = 128, /* rows at a time that meet a B from memory */
    GEMM_A_PACK = GEMM_KC * GEMM_A_ROWS,
};

/* While strips of A pass over a stored panel of B, memory is asked for as many bytes as the panel has, which lie
 * so far behind its first: the panel that is `next` bytes further, or itself where it is read once, ahead by
 * what arrives while a line is awaited. 0: nothing is asked for. With AVX-512 and as many strips as a tile has
 * vectors a step asks for a line; with fewer it has to ask for more, which is not for every processor (cpu.h). */
static inline size_t stream_ahead(const Tile *tile, size_t strips, size_t next)
{
    if (strips < tile->vectors && !cpu_features()->asked_streams)
        return 0;
    return strips == 1 ? 8192 : next;
}

/* ---- bf16, f16 and i8: autograd/kernels/gemm/low.c, autograd/kernels/gemm/low_pack.c and autograd/kernels/gemm/low_kernel.c ---- */

/* Finished sums on their way to C: `columns` of `width` exist. Of an i8 product, whose A was 128 too
 * large, C = (sums - 128 column_sum) row_scale column_scale. */
typedef struct LowFinish {
    size_t rows, columns, width;
    const float *sums;
    const float *row_scale, *column_scale; /* NULL where the format has none */
    const int32_t *column_sum;
    void *c; /* first element of the tile, of c_type */
    DType c_type;
    size_t c_row;
    bool accumulate;
    Epilogue epi; /* as seen from c */
} LowFinish;

/* A small product reads its operands in units of 4 bytes, elements that follow each other in k: pairs of
 * bf16 or f16, quads of i8. A step is one unit deep. Elements past k are zeros.
 *
 * A: unit u of row r is a[r*a_row + u*a_unit]. Where a kernel multiplies in fp32 (`widens`), an element of
 * A is an fp32 and a unit of its own. i8 is stored as q + 128, unsigned, as vpdpbusd wants it.
 * B: panels [steps][width] of one tile's width, the last one as narrow as whole vectors allow. f16 has
 * in each step the `width` elements of the one k before those of the other: [2 steps][width]. */
typedef struct LowTile {
    size_t rows, vectors, steps;
    const uint32_t *a, *b;
    size_t a_row, a_unit;
    float *sums; /* [rows][width]; int32 of an i8 product */
    bool add;    /* to what is there, instead of overwriting it */
    /* Of a kernel that finishes: a tile multiplied before, to be finished between the steps, and how this one
     * will be finished, whose C and residual are asked for from memory. Both or neither. Both tiles are whole,
     * neither adds to anything, keeps z or has an activation other than GELU, and C is fp32 or bf16. */
    const LowFinish *unfinished, *own;
    /* Memory that is needed next, for a kernel to ask for: so many bytes of it in each step. NULL: none. */
    const char *ahead;
    size_t ahead_step;
} LowTile;

/* One way to multiply one format. */
typedef struct LowKernel {
    const char *instruction;
    Support support;
    bool widens;
    size_t rows; /* of a tile at most; 0: as many as Tile says */
    void (*tile)(const LowTile *tile);
    /* Whether it can finish one tile between the steps of the next. */
    bool finishes;
    /* Like fma_loop, of this instruction; NULL where nothing is faster than fp32. */
    double (*peak_loop)(size_t rounds);
} LowKernel;

/* One head of one sequence; of its queries those in [first, last), in backward all. */
typedef struct AttentionTask {
    const Attention *a;
    const LowKernel *kernel; /* forward: what multiplies bf16; NULL: products are fp32 */
    size_t b, h, first, last;
    const float *dout; /* the rest is for backward */
    float *dq, *dk, *dv;
} AttentionTask;

enum {
    ATTENTION_KEYS = 128, /* forward works a tile's width of queries and so many keys at a time */
    ATTENTION_ROWS = 32,  /* backward so many queries and all keys; forward is divided by them */
};

struct Isa {
    Kernels rows;
    Tile tile;
    const char *fma; /* what multiplies fp32 */
    /* Panels [first, last) of B[k, n], B[p,j] = b[p*b_row + j*b_col]. */
    void (*pack_b)(size_t k, size_t n, size_t first, size_t last, const float *b, size_t b_row,
                   size_t b_col, float *out);
    void (*gemm_block)(const GemmBlock *block);
    /* Columns [from, to) of some rows of C; pointers as in GemmBlock. */
    void (*epilogue)(const Epilogue *epi, float *c, size_t c_row, size_t rows, size_t from,
                     size_t to);
    /* out[u*out_row + r] = in[r*in_row + u], r < rows, u < units. */
    void (*interleave)(size_t rows, size_t units, const uint32_t *in, size_t in_row, uint32_t *out,
                       size_t out_row);
    /* out[i] = the pair bf16(even[i]), bf16(odd[i]); 0 for an odd that is NULL. */
    void (*zip_bf16)(const float *even, const float *odd, size_t n, uint32_t *out);
    void (*low_finish)(const LowFinish *f);
    LowKernel bf16, f16, i8; /* with the instructions that this set has for sure */
    void (*attention_forward)(const AttentionTask *task, float *scratch);
    void (*attention_backward)(const AttentionTask *task, float *scratch);
    /* Runs independent multiply-adds in registers; returns how many operations that were. */
    double (*fma_loop)(size_t rounds);
};

/* The one in use, and the best this CPU has. */
const Isa *isa_in_use(void);
const Isa *isa_best(void);

#endif
