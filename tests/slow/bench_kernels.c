/* bench_kernels: what share of the fp32 FMA peak the matrix products and attention reach, and what
 * share of fp32's time the products of small formats take.
 *
 * Each line takes its candidates in turns, the peak among them, for some rounds, and prints
 * medians: on a noisy machine only ratios within one line mean anything. Not a test; run it by
 * hand: bench_kernels [threads] [rounds] [filter]. */
#include "autograd/kernels/kernels.h"
#include "autograd/kernels/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct Shape {
    const char *name;
    size_t m, n, k;
    bool a_transposed, b_transposed;
    bool packs_weight; /* B is a weight that may stay packed */
} Shape;

/* y = x W^T; dx = dy W; dW = dy^T x. */
static const Shape shapes[] = {
    {"y 1x768x3072", 1, 3072, 768, false, true, true},
    {"y 8x768x3072", 8, 3072, 768, false, true, true},
    {"y 32x768x3072", 32, 3072, 768, false, true, true},
    {"y 32x3072x768", 32, 768, 3072, false, true, true},
    {"y 32x768x768", 32, 768, 768, false, true, true},
    {"y 128x768x3072", 128, 3072, 768, false, true, true},
    {"y 512x768x2304", 512, 2304, 768, false, true, true},
    {"y 1024x768x3072", 1024, 3072, 768, false, true, true},
    {"y 512x3072x768", 512, 768, 3072, false, true, true},
    {"y 512x1024x4096", 512, 4096, 1024, false, true, true},
    {"y 512x4096x1024", 512, 1024, 4096, false, true, true},
    {"y 1024x1600x6400", 1024, 6400, 1600, false, true, true},
    {"y 256x768x50257", 256, 50257, 768, false, true, true},
    {"dx 512x3072x768", 512, 768, 3072, false, false, true},
    {"dx 512x4096x1024", 512, 1024, 4096, false, false, true},
    {"dx 256x50257x768", 256, 768, 50257, false, false, true},
    {"dw 3072x512x768", 3072, 768, 512, true, false, false},
    {"dw 4096x512x1024", 4096, 1024, 512, true, false, false},
    {"dw 50257x256x768", 50257, 768, 256, true, false, false},
    {"y 32x32x128", 32, 128, 32, false, true, true},
    {"y 128x32x32", 128, 32, 32, false, true, true},
};

/* BF16: as a training step of mixed has them: activations and gradients in bf16, weights in fp32,
 * rounded while they are packed on the fly. */
typedef enum Way { PACKED, ON_THE_FLY, OPENBLAS, BF16, WAYS } Way;

/* Of one thread its CPU time, which a busy machine disturbs less. */
static clockid_t clock_used = CLOCK_MONOTONIC_RAW;

static double now(void)
{
    struct timespec t;
    clock_gettime(clock_used, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x, size_t n)
{
    qsort(x, n, sizeof(*x), ascending);
    return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

static void *room(size_t bytes)
{
    Err err;
    void *p = block_alloc(bytes, &err);
    CHECK(p, "%s", err.msg);
    return p;
}

/* Small products are repeated until a piece takes some milliseconds. */
static double rate_of(const Gemm *g, int threads, void *scratch)
{
    double flops = 2.0 * (double)g->m * (double)g->n * (double)g->k;
    int repeats = 1 + (int)(1e9 / flops);
    repeats = repeats > 2000 ? 2000 : repeats;
    double begin = now();
    for (int i = 0; i < repeats; i++)
        gemm_run(g, threads, scratch);
    return flops * repeats / (now() - begin) / 1e9;
}

static void bench_shape(const Shape *s, int threads, int rounds)
{
    Err err;
    size_t m = s->m, n = s->n, k = s->k, bytes_a = m * k * 4, bytes_b = k * n * 4;
    float *a = room(bytes_a), *b = room(bytes_b), *c = room(m * n * 4);
    kernels()->normal(a, m * k, 1, 1, 0, 0, 1);
    kernels()->normal(b, k * n, 1, 2, 0, 0, 1);
    uint16_t *small_a = room(bytes_a / 2), *small_b = room(bytes_b / 2);
    kernels()->narrow(DT_BF16, a, small_a, m * k);
    kernels()->narrow(DT_BF16, b, small_b, k * n);
    void *scratch = room(gemm_scratch_bytes(threads)),
         *memory = room(gemm_packed_bytes(DT_F32, k, n));
    Gemm g = {.m = m, .n = n, .k = k, .a = a, .b = b, .c = c, .c_row = n};
    g.a_row = s->a_transposed ? 1 : k;
    g.a_col = s->a_transposed ? m : 1;
    g.b_row = s->b_transposed ? 1 : n;
    g.b_col = s->b_transposed ? k : 1;
    const PackedB *packed =
        s->packs_weight ? gemm_pack(DT_F32, k, n, b, g.b_row, g.b_col, threads, memory) : NULL;

    double rates[WAYS][64], peaks[64];
    for (int r = -1; r < rounds; r++) {
        int at = r < 0 ? 0 : r;
        for (int way = 0; way < WAYS; way++) {
            g.packed = way == PACKED ? packed : NULL;
            g.product = g.a_type = way == BF16 ? DT_BF16 : DT_F32;
            g.b_type = s->a_transposed ? g.product : DT_F32; /* dw has no weight */
            g.a = g.a_type == DT_BF16 ? (const void *)small_a : a;
            g.b = g.b_type == DT_BF16 ? (const void *)small_b : b;
            gemm_select(way == OPENBLAS ? "openblas" : "packed", &err);
            if (way != PACKED || packed)
                rates[way][at] = rate_of(&g, threads, scratch);
            else
                rates[way][at] = 0;
        }
        peaks[at] = peak_gflops(threads);
    }
    gemm_select("packed", &err); /* small formats have no plain B for a BLAS */
    double peak = median(peaks, (size_t)rounds);
    printf("%-20s", s->name);
    for (int way = 0; way < WAYS; way++) {
        double rate = median(rates[way], (size_t)rounds);
        printf(" %7.1f %4.0f%%", rate, 100 * rate / peak);
    }
    printf(" %7.1f\n", peak);
    block_free(a, bytes_a);
    block_free(b, bytes_b);
    block_free(small_a, bytes_a / 2);
    block_free(small_b, bytes_b / 2);
    block_free(c, m * n * 4);
    block_free(scratch, gemm_scratch_bytes(threads));
    block_free(memory, gemm_packed_bytes(DT_F32, k, n));
}

/* ---- small formats ---- */

/* "cold" ones come with so many weights in turn that no cache has them all. */
typedef struct SmallShape {
    const char *name;
    size_t m, n, k, weights;
} SmallShape;

static const SmallShape small_shapes[] = {
    {"small 1x768x3072 cold", 1, 3072, 768, 32},   {"small 2x768x3072 cold", 2, 3072, 768, 32},
    {"small 4x768x3072 cold", 4, 3072, 768, 32},   {"small 8x768x3072 cold", 8, 3072, 768, 32},
    {"small 8x3072x768 cold", 8, 768, 3072, 32},   {"small 16x768x3072 cold", 16, 3072, 768, 32},
    {"small 64x768x3072 cold", 64, 3072, 768, 32}, {"small 128x768x3072 cold", 128, 3072, 768, 32},
    {"small 8x768x3072", 8, 3072, 768, 1},         {"small 32x768x3072", 32, 3072, 768, 1},
    {"small 128x768x3072", 128, 3072, 768, 1},     {"small 128x3072x768", 128, 768, 3072, 1},
    {"small 512x768x3072", 512, 3072, 768, 1},     {"small 512x3072x768", 512, 768, 3072, 1},
    {"small 1024x768x3072", 1024, 3072, 768, 1},
};

static const DType formats[] = {DT_F32, DT_BF16, DT_F16, DT_I8, DT_Q8_0, DT_Q4_0};
enum { FORMATS = COUNT_OF(formats), MOST_WEIGHTS = 32 };

static void *pack_weights(DType format, const SmallShape *s, const float *b, int threads,
                          const PackedB **packed)
{
    size_t bytes = (gemm_packed_bytes(format, s->k, s->n) + 63) / 64 * 64;
    char *memory = room(s->weights * bytes);
    for (size_t i = 0; i < s->weights; i++)
        packed[i] = gemm_pack(format, s->k, s->n, b, 1, s->k, threads, memory + i * bytes);
    return memory;
}

/* Time of packed fp32, and of the other formats as shares of it; the least of all rounds. */
static void bench_small(const SmallShape *s, int threads, int rounds)
{
    size_t bytes_a = s->m * s->k * 4, bytes_b = s->k * s->n * 4, bytes_c = s->m * s->n * 4;
    float *a = room(bytes_a), *b = room(bytes_b), *c = room(bytes_c);
    kernels()->normal(a, s->m * s->k, 1, 1, 0, 0, 1);
    kernels()->normal(b, s->k * s->n, 1, 2, 0, 0, 1);
    void *scratch = room(gemm_scratch_bytes(threads)), *memory[FORMATS];
    const PackedB *packed[FORMATS][MOST_WEIGHTS];
    double least[FORMATS];
    for (size_t f = 0; f < FORMATS; f++) {
        memory[f] = pack_weights(formats[f], s, b, threads, packed[f]);
        least[f] = 1e30;
    }
    Gemm g = {.m = s->m, .n = s->n, .k = s->k, .a = a, .a_row = s->k, .a_col = 1};
    g.c = c;
    g.c_row = s->n;
    for (int r = 0; r < rounds; r++)
        for (size_t f = 0; f < FORMATS; f++) {
            double begin = now();
            for (size_t i = 0; i < s->weights; i++) {
                g.packed = packed[f][i];
                gemm_run(&g, threads, scratch);
            }
            double took = (now() - begin) / (double)s->weights;
            least[f] = took < least[f] ? took : least[f];
        }
    printf("%-24s f32 %9.1f us", s->name, 1e6 * least[0]);
    for (size_t f = 1; f < FORMATS; f++)
        printf("  %s %5.3f", dtype_name(formats[f]), least[f] / least[0]);
    printf("\n");
    for (size_t f = 0; f < FORMATS; f++)
        block_free(memory[f],
                   s->weights * ((gemm_packed_bytes(formats[f], s->k, s->n) + 63) / 64 * 64));
    block_free(a, bytes_a);
    block_free(b, bytes_b);
    block_free(c, bytes_c);
    block_free(scratch, gemm_scratch_bytes(threads));
}

typedef struct AttentionShape {
    const char *name;
    size_t B, T, H, D;
    bool causal;
} AttentionShape;

static const AttentionShape attention_shapes[] = {
    {"attention 4x128x12x64", 4, 128, 12, 64, true},
    {"attention 4x256x16x64", 4, 256, 16, 64, true},
    {"attention 1x1024x12x64", 1, 1024, 12, 64, true},
    {"attention 1x4096x2x80", 1, 4096, 2, 80, true},
    {"attention 1x32x12x64 both", 1, 32, 12, 64, false},
    {"attention 8x128x12x64 both", 8, 128, 12, 64, false},
    {"attention 1x32x4x8 both", 1, 32, 4, 8, false},
    {"attention 8x128x4x8 both", 8, 128, 4, 8, false},
    {"attention 1x32x2x16 both", 1, 32, 2, 16, false},
    {"attention 8x256x1x16 both", 8, 256, 1, 16, false},
    {"attention 8x256x1x32 both", 8, 256, 1, 32, false},
    {"attention 8x256x1x64 both", 8, 256, 1, 64, false},
    {"attention 8x256x1x128 both", 8, 256, 1, 128, false},
    {"attention 8x4096x1x16 both", 8, 4096, 1, 16, false},
    {"attention 8x4096x1x64 both", 8, 4096, 1, 64, false},
};

/* GFLOP/s of one product in each round. */
typedef struct AttentionRates {
    double forward[64], backward[64];
} AttentionRates;

static void print_attention(const char *name, DType product, AttentionRates *rates, double peak,
                            size_t rounds)
{
    double f = median(rates->forward, rounds), b = median(rates->backward, rounds);
    printf("%-26s %-4s forward %7.1f %4.0f%%  backward %7.1f %4.0f%%  peak of fp32 %7.1f\n", name,
           dtype_name(product), f, 100 * f / peak, b, 100 * b / peak, peak);
}

/* Products of fp32 and of bf16 in turns. Rates count the visible half of a causal square: 4 D a
 * score forward, 10 D backward. */
static void bench_attention(const AttentionShape *s, int threads, int rounds)
{
    size_t C = s->H * s->D, rows = s->B * s->T;
    Attention a = {.B = s->B, .T = s->T, .H = s->H, .D = s->D};
    const DType products[] = {DT_F32, attention_product()};
    size_t count = products[1] == DT_F32 ? 1 : 2, bytes = 0;
    for (size_t p = 0; p < count; p++) {
        a.product = products[p];
        for (int backward = 0; backward <= 1; backward++) {
            size_t needed = attention_scratch_bytes(&a, threads, backward);
            bytes = needed > bytes ? needed : bytes;
        }
    }
    float *qkv = room(rows * 3 * C * 4), *dqkv = room(rows * 3 * C * 4), *out = room(rows * C * 4);
    float *dout = room(rows * C * 4), *lse = room(s->B * s->H * s->T * 4);
    void *scratch = room(bytes);
    kernels()->normal(qkv, rows * 3 * C, 1, 1, 0, 0, 1);
    kernels()->normal(dout, rows * C, 1, 2, 0, 0, 1);
    a.q = qkv;
    a.k = qkv + C;
    a.v = qkv + 2 * C;
    a.qkv_stride = 3 * C;
    a.causal = s->causal;
    a.scale = 0.125f;
    a.out = out;
    a.lse = lse;
    double scores = (double)(s->B * s->H * s->T) * (double)(s->causal ? (s->T + 1) / 2 : s->T);
    double flops = scores * 4 * (double)s->D, peaks[64];
    AttentionRates rates[2];
    int repeats = 1 + (int)(3e8 / flops);
    for (int r = -1; r < rounds; r++) {
        int at = r < 0 ? 0 : r;
        for (size_t p = 0; p < count; p++) {
            a.product = products[p];
            double begin = now();
            for (int i = 0; i < repeats; i++)
                attention_forward(&a, threads, scratch);
            double middle = now();
            for (int i = 0; i < repeats; i++)
                attention_backward(&a, dout, dqkv, dqkv + C, dqkv + 2 * C, threads, scratch);
            rates[p].forward[at] = flops * repeats / (middle - begin) / 1e9;
            rates[p].backward[at] = 2.5 * flops * repeats / (now() - middle) / 1e9;
        }
        peaks[at] = peak_gflops(threads);
    }
    double peak = median(peaks, (size_t)rounds);
    for (size_t p = 0; p < count; p++)
        print_attention(s->name, products[p], &rates[p], peak, (size_t)rounds);
    block_free(qkv, rows * 3 * C * 4);
    block_free(dqkv, rows * 3 * C * 4);
    block_free(out, rows * C * 4);
    block_free(dout, rows * C * 4);
    block_free(lse, s->B * s->H * s->T * 4);
    block_free(scratch, bytes);
}

int main(int argc, char **argv)
{
    Err err;
    int threads = argc > 1 ? atoi(argv[1]) : 2, rounds = argc > 2 ? atoi(argv[2]) : 5;
    const char *filter = argc > 3 ? argv[3] : "";
    if (threads < 1 || rounds < 1 || rounds > 64 || kernels_select(NULL, &err) != 0) {
        fprintf(stderr, "usage: bench_kernels [threads] [rounds up to 64] [filter]\n");
        return 2;
    }
    if (threads == 1)
        clock_used = CLOCK_THREAD_CPUTIME_ID;
    printf("%s, %d threads, %d rounds; %s\n", kernels()->isa, threads, rounds,
           gemm_blas_description());
    printf("%-20s %13s %13s %13s %13s %7s\n", "GFLOP/s", "packed", "on the fly", "openblas", "bf16",
           "peak of fp32");
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        if (strstr(shapes[i].name, filter))
            bench_shape(&shapes[i], threads, rounds);
    for (size_t i = 0; i < COUNT_OF(small_shapes); i++)
        if (strstr(small_shapes[i].name, filter))
            bench_small(&small_shapes[i], threads, rounds);
    for (size_t i = 0; i < COUNT_OF(attention_shapes); i++)
        if (strstr(attention_shapes[i].name, filter))
            bench_attention(&attention_shapes[i], threads, rounds);
    return 0;
}
