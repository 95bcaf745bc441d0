/* isa: what one instruction set provides; the files of simd/ fill one table each.
 *
 * Private to kernels/: gemm.c and attention.c divide the work among threads and call through this
 * table; the rest of the program sees kernels.h only. */
#ifndef TARE_ISA_H
#define TARE_ISA_H

#include "kernels.h"

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

/* One block of C: rows x the panels [first, last) of n columns, over k products. The panels are
 * `depth` rows deep, of which the block reads [skip, skip + k). */
typedef struct GemmBlock {
    size_t rows, n, first, last, k;
    const float *a; /* A[i,p] = a[i*a_row + p*a_col] */
    size_t a_row, a_col;
    float *a_pack;  /* room for GEMM_A_PACK floats: A is packed first; NULL: read in place */
    const float *b; /* start of panel `first` */
    size_t depth, skip;
    bool streams; /* b comes from memory, in the order in which it lies there */
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
    GEMM_A_ROWS = 64, /* rows of A packed at a time */
    GEMM_A_PACK = GEMM_KC * GEMM_A_ROWS,
};

/* One head of one sequence; of its queries those in [first, last), in backward all. */
typedef struct AttentionTask {
    const Attention *a;
    size_t b, h, first, last;
    const float *dout; /* the rest is for backward */
    float *dq, *dk, *dv;
} AttentionTask;

enum { ATTENTION_ROWS = 32 }; /* queries worked at a time: T x ATTENTION_ROWS scores exist */

typedef struct Isa {
    Kernels rows;
    Tile tile;
    /* Panels [first, last) of B[k, n], B[p,j] = b[p*b_row + j*b_col]. */
    void (*pack_b)(size_t k, size_t n, size_t first, size_t last, const float *b, size_t b_row,
                   size_t b_col, float *out);
    void (*gemm_block)(const GemmBlock *block);
    /* Columns [from, to) of some rows of C; pointers as in GemmBlock. */
    void (*epilogue)(const Epilogue *epi, float *c, size_t c_row, size_t rows, size_t from,
                     size_t to);
    void (*attention_forward)(const AttentionTask *task, float *scratch);
    void (*attention_backward)(const AttentionTask *task, float *scratch);
    /* Runs independent multiply-adds in registers; returns how many operations that were. */
    double (*fma_loop)(size_t rounds);
} Isa;

/* The one in use, and the best this CPU has. */
const Isa *isa_in_use(void);
const Isa *isa_best(void);

#endif
