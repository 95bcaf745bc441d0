/* test_kernels: the row kernels of every instruction set against doubles, and how a set is
 * chosen. */
#include "tests/support/ref.h"
#include "autograd/kernels/isa.h"
#include "autograd/kernels/peak.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};
static const size_t widths[] = {1, 3, 4, 7, 8, 15, 16, 17, 31, 48, 63, 64, 65, 100, 257};

#define FOR_EACH_ISA(k)                                                                            \
    for (size_t isa_ = 0; isa_ < COUNT_OF(isas); isa_++)                                           \
        for (const Kernels *k = kernels_for(isas[isa_]); k; k = NULL)

static float *numbers(size_t n, uint64_t stream)
{
    float *x = xmalloc((n + 1) * sizeof(*x));
    kernels_for("generic")->normal(x, n, 5, stream, 0, 0, 1);
    return x;
}

/* ---- choosing ---- */

Test(kernels, selection)
{
    Err err;
    cr_assert_not_null(kernels_for("generic"));
    cr_assert_null(kernels_for("sse9"));
    cr_assert_eq(kernels_select("generic", &err), 0);
    cr_assert_str_eq(kernels()->isa, "generic");
    cr_assert_eq(kernels_select("sse9", &err), -1);
    cr_assert_not_null(strstr(err.msg, "'sse9'"));
    cr_assert_str_eq(kernels()->isa, "generic", "a refused name changes nothing");
    setenv("TARE_ISA", "generic", 1);
    cr_assert_eq(kernels_select(NULL, &err), 0);
    cr_assert_str_eq(kernels()->isa, "generic");
    unsetenv("TARE_ISA");
    cr_assert_eq(kernels_select(NULL, &err), 0);
    FOR_EACH_ISA(k)
    {
        cr_assert_str_eq(k->isa, isas[isa_]);
    }
}

Test(kernels, a_cpu_has_what_its_kernels_need)
{
    char text[128];
    const CpuFeatures *cpu = cpu_features();
    cr_assert_gt(strlen(cpu->name), 0);
    cr_assert_eq(kernels_for("avx2") != NULL, cpu->avx2_fma);
    cr_assert_eq(kernels_for("avx512") != NULL, cpu->avx512);
    cr_assert_eq(strstr(cpu_features_text(text, sizeof(text)), "avx512") != NULL, cpu->avx512);
}

/* Every line of kernels.def is in each table, compiled for that set alone. */
Test(kernels, tables_are_complete)
{
    const Kernels *generic = kernels_for("generic");
    FOR_EACH_ISA(k)
    {
        const Isa *isa = (const Isa *)k, *other = (const Isa *)generic;
#define ROW_KERNEL(result, name, parameters)                                                       \
    cr_expect(k->name && (k == generic || k->name != generic->name), "%s " #name, k->isa);
#define BLOCK_KERNEL(result, name, parameters)                                                     \
    cr_expect(isa->name && (isa == other || isa->name != other->name), "%s " #name, k->isa);
#include "autograd/kernels/kernels.def"
    }
}

Test(kernels, a_missing_set_is_refused_with_what_there_is)
{
    Err err;
    char text[256];
    setenv("TARE_CPU", "-avx512", 1);
    cr_assert_eq(kernels_select("generic", &err), 0);
    int status = kernels_select("avx512", &err);
    unsetenv("TARE_CPU");
    cr_assert_eq(status, -1);
    cr_expect(strstr(err.msg, "'avx512'") || strstr(err.msg, "build"), "%s", err.msg);
    if (kernels_for("avx2"))
        cr_expect(strstr(err.msg, cpu_features_text(text, sizeof text)) && strstr(text, "avx2"),
                  "%s", err.msg);
}

/* Rows of 1008 units and 16 of padding would be 4096 bytes apart. */
Test(kernels, packed_rows_never_share_a_cache_set)
{
    for (size_t units = 1; units <= 4096; units++) {
        size_t stride = low_row_stride(units);
        cr_assert(stride >= units && stride >= low_row_stride(units - 1) && stride <= units + 31);
        cr_assert(units < 512 || stride * sizeof(uint32_t) / 64 % 2 == 1, "%zu units", units);
    }
}

/* Every bit of every element, whatever the parts and the instruction set. */
Test(kernels, peak_read_reads_everything)
{
    static uint32_t block[301];
    Err err;
    for (size_t s = 0; s < COUNT_OF(isas); s++)
        for (size_t n = 0; n <= COUNT_OF(block) && kernels_for(isas[s]); n += n < 40 ? 1 : 29) {
            cr_assert(kernels_select(isas[s], &err) == 0, "%s", err.msg);
            for (size_t i = 0; i < n; i++) {
                block[i] = 1u << i % 32;
                for (int threads = 1; threads <= 3; threads++)
                    cr_assert_eq(peak_read(block, n * sizeof *block, 2, threads), block[i],
                                 "%s: element %zu of %zu", isas[s], i, n);
                block[i] = 0;
            }
        }
    cr_expect_gt(peak_read_bandwidth(1, 1 << 20), 0.1);
}

Test(kernels, peaks_are_above_what_is_done)
{
    cr_assert_gt(peak_gflops(1), 0.5);
    cr_assert_gt(peak_bandwidth(1), 0.1);
}

/* ---- rows ---- */

Test(kernels, add)
{
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < COUNT_OF(widths); i++) {
            size_t n = widths[i];
            float *a = numbers(n, 1), *b = numbers(n, 2), *y = numbers(n + 1, 3), guard = y[n];
            k->add(a, b, y, n);
            for (size_t j = 0; j < n; j++)
                cr_assert_eq(y[j], a[j] + b[j]);
            cr_assert_eq(y[n], guard);
            k->add(a, b, a, n);
            cr_assert_eq(memcmp(a, y, n * sizeof(*a)), 0, "in place");
            free(a);
            free(b);
            free(y);
        }
    }
}

enum { ROWS = 5 };

static void check_layernorm(const Kernels *k, size_t C, bool add_dx)
{
    float *x = numbers(ROWS * C, 1), *w = numbers(C, 2), *b = numbers(C, 3);
    float *dy = numbers(ROWS * C, 4), *y = numbers(ROWS * C, 5), *dx = numbers(ROWS * C, 6);
    float *dw = numbers(C, 7), *db = numbers(C, 8), mean[ROWS], rstd[ROWS];
    double *ry = xcalloc(ROWS * C, 8), rmean[ROWS], rrstd[ROWS];
    double *rdx = xcalloc(ROWS * C, 8), *rdw = xcalloc(C, 8), *rdb = xcalloc(C, 8);
    for (size_t i = 0; i < ROWS * C; i++)
        x[i] += 3; /* a mean that matters */
    ref_layernorm(x, w, b, 1e-5, ROWS, C, ry, rmean, rrstd);
    ref_layernorm_backward(x, w, 1e-5, dy, ROWS, C, rdx, rdw, rdb);
    for (size_t i = 0; i < ROWS * C && add_dx; i++)
        rdx[i] += dx[i];
    for (size_t i = 0; i < C; i++) {
        rdw[i] += dw[i];
        rdb[i] += db[i];
    }
    k->layernorm_forward(x, w, b, 1e-5f, y, mean, rstd, ROWS, C);
    k->layernorm_backward(x, w, mean, rstd, dy, dx, add_dx, dw, db, ROWS, C);
    /* Largest seen: y 1.6e-6, mean 4.7e-7, rstd 1.8e-7, dx 1.8e-6, dw 1.8e-6, db 5.7e-7. */
    double unit = C < 8 ? 30 : 1; /* a row of few, nearly equal numbers has a large 1/std */
    cr_assert_leq(ref_max_error(y, ry, ROWS * C, unit), 3e-6, "%s y, C %zu", k->isa, C);
    cr_assert_leq(ref_max_error(mean, rmean, ROWS, 1), 1e-6, "%s mean, C %zu", k->isa, C);
    cr_assert_leq(ref_max_error(rstd, rrstd, ROWS, 1), 4e-7 * unit, "%s rstd, C %zu", k->isa, C);
    cr_assert_leq(ref_max_error(dx, rdx, ROWS * C, unit), 4e-6, "%s dx, C %zu", k->isa, C);
    cr_assert_leq(ref_max_error(dw, rdw, C, unit), 4e-6, "%s dw, C %zu", k->isa, C);
    cr_assert_leq(ref_max_error(db, rdb, C, 1), 1.2e-6, "%s db, C %zu", k->isa, C);
    float *floats[] = {x, w, b, dy, y, dx, dw, db};
    double *doubles[] = {ry, rdx, rdw, rdb};
    for (size_t i = 0; i < COUNT_OF(floats); i++)
        free(floats[i]);
    for (size_t i = 0; i < COUNT_OF(doubles); i++)
        free(doubles[i]);
}

Test(kernels, layernorm)
{
    FOR_EACH_ISA(k)
    {
        for (size_t i = 1; i < COUNT_OF(widths); i++) {
            check_layernorm(k, widths[i], false);
            check_layernorm(k, widths[i], true);
        }
    }
}

Test(kernels, a_constant_row_has_no_variance)
{
    FOR_EACH_ISA(k)
    {
        float x[100], w[100], b[100], y[100], mean, rstd;
        for (size_t i = 0; i < 100; i++) {
            x[i] = 1e4f;
            w[i] = 2;
            b[i] = 0.5f;
        }
        k->layernorm_forward(x, w, b, 1e-12f, y, &mean, &rstd, 1, 100);
        cr_assert_eq(mean, 1e4f);
        cr_assert_eq(y[99], 0.5f);
    }
}

Test(kernels, logsumexp_in_pieces_and_softmax)
{
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < COUNT_OF(widths); i++) {
            size_t n = widths[i], piece = n / 3 + 1;
            float *x = numbers(n, 1), max = -INFINITY, sum = 0;
            double expected = 0, *p = xcalloc(n, 8);
            for (size_t j = 0; j < n; j++) {
                x[j] = x[j] * 20 + (float)j;
                expected += exp(x[j] - 100.0);
            }
            expected = log(expected) + 100;
            for (size_t j = 0; j < n; j++)
                p[j] = 0.25 * exp(x[j] - expected);
            for (size_t j = 0; j < n; j += piece)
                k->logsumexp_update(x + j, n - j < piece ? n - j : piece, &max, &sum);
            float lse = max + logf(sum);
            cr_assert_float_eq(lse, expected, 3e-5, "%s n %zu", k->isa, n);
            k->softmax_from_lse(x, n, lse, 0.25f);
            /* The rounding of lse, up to 300, is the error: 3.5e-6 seen. */
            cr_assert_leq(ref_max_error(x, p, n, 0.25), 7e-6, "%s n %zu", k->isa, n);
            free(x);
            free(p);
        }
    }
}

Test(kernels, logsumexp_of_nothing_and_of_nan)
{
    const float none[] = {-INFINITY, -INFINITY, -INFINITY}, some[] = {1, NAN, 2};
    FOR_EACH_ISA(k)
    {
        float max = -INFINITY, sum = 0;
        k->logsumexp_update(none, 3, &max, &sum);
        cr_assert(max == -INFINITY && sum == 0);
        k->logsumexp_update(some, 1, &max, &sum);
        cr_assert(max == 1 && sum == 1);
        k->logsumexp_update(none, 3, &max, &sum);
        cr_assert(max == 1 && sum == 1);
        k->logsumexp_update(some, 3, &max, &sum);
        cr_assert(isnan(sum));
    }
}

Test(kernels, sum_rows)
{
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < COUNT_OF(widths); i++) {
            size_t C = widths[i], stride = C + 2, rows = i % 4 * 7;
            float *x = numbers(rows * stride, 1), *out = numbers(C + 1, 2),
                  *old = numbers(C + 1, 2);
            for (int add = 0; add < 2; add++) {
                memcpy(out, old, (C + 1) * sizeof(*out));
                k->sum_rows(x, stride, rows, C, add, out);
                for (size_t j = 0; j < C; j++) {
                    double sum = add ? old[j] : 0;
                    for (size_t r = 0; r < rows; r++)
                        sum += x[r * stride + j];
                    cr_assert_float_eq(out[j], sum, 5e-6);
                }
                cr_assert_eq(out[C], old[C]);
            }
            free(x);
            free(out);
            free(old);
        }
    }
}

Test(kernels, adamw)
{
    const double lr = 1e-2, b1 = 0.9, b2 = 0.95, eps = 1e-8, decay = 0.1, scale = 0.5;
    FOR_EACH_ISA(k)
    {
        for (size_t i = 0; i < COUNT_OF(widths); i++) {
            size_t n = widths[i];
            float *w = numbers(n + 1, 1), *g = numbers(n, 2), *m = numbers(n, 3),
                  *v = numbers(n, 4);
            double *rw = xcalloc(n, 8), *rm = xcalloc(n, 8), *rv = xcalloc(n, 8), guard = w[n];
            for (size_t j = 0; j < n; j++) {
                v[j] = fabsf(v[j]);
                double s = g[j] * scale;
                rm[j] = b1 * m[j] + (1 - b1) * s;
                rv[j] = b2 * v[j] + (1 - b2) * s * s;
                rw[j] = w[j] - lr * (rm[j] * 1.5 / (sqrt(rv[j] * 1.25) + eps) + decay * w[j]);
            }
            k->adamw(w, g, m, v, n, (float)lr, (float)b1, (float)b2, (float)eps, (float)decay, 1.5f,
                     1.25f, (float)scale);
            /* Largest seen: m 1.4e-7, v 1.9e-7, w 1.6e-7. */
            cr_assert_leq(ref_max_error(m, rm, n, 1), 3e-7);
            cr_assert_leq(ref_max_error(v, rv, n, 1), 3e-7);
            cr_assert_leq(ref_max_error(w, rw, n, 1), 3e-7);
            cr_assert_eq(w[n], guard);
            float *floats[] = {w, g, m, v};
            double *doubles[] = {rw, rm, rv};
            for (size_t j = 0; j < COUNT_OF(floats); j++)
                free(floats[j]);
            for (size_t j = 0; j < COUNT_OF(doubles); j++)
                free(doubles[j]);
        }
    }
}

/* ---- random numbers ---- */

Test(kernels, normal_elements_do_not_depend_on_the_range)
{
    enum { N = 300 };
    FOR_EACH_ISA(k)
    {
        float all[N], part[N];
        k->normal(all, N, 1, 2, 1001, 3, 2);
        for (size_t from = 0; from < 70; from++)
            for (size_t n = 0; n < 80; n += 7) {
                k->normal(part, n, 1, 2, 1001 + from, 3, 2);
                cr_assert_eq(memcmp(part, all + from, n * sizeof(*part)), 0, "%s %zu+%zu", k->isa,
                             from, n);
            }
    }
}

Test(kernels, normal_is_the_same_on_every_isa)
{
    enum { N = 10000 };
    static float expected[N], x[N];
    kernels_for("generic")->normal(expected, N, 9, 0, 0, 0, 1);
    FOR_EACH_ISA(k)
    {
        k->normal(x, N, 9, 0, 0, 0, 1);
        for (size_t i = 0; i < N; i++)
            cr_assert_float_eq(x[i], expected[i], 2e-6, "%s %zu", k->isa, i);
    }
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* Moments of a million elements; the bounds are five standard errors of each. */
Test(kernels, normal_statistics)
{
    const size_t n = 1 << 20;
    FOR_EACH_ISA(k)
    {
        float *x = xmalloc(n * sizeof(*x));
        k->normal(x, n, 42, 7, 0, 0, 1);
        double sum[5] = {0}, lag[3] = {0}, tail = 0, most = 0;
        for (size_t i = 0; i < n; i++) {
            for (int p = 1; p <= 4; p++)
                sum[p] += pow(x[i], p);
            for (size_t l = 1; l <= 2 && i >= l; l++)
                lag[l] += (double)x[i] * x[i - l];
            tail += fabsf(x[i]) > 2;
            most = fmax(most, fabsf(x[i]));
        }
        double N = (double)n, error = 5 / sqrt(N);
        cr_assert_lt(fabs(sum[1] / N), error, "mean");
        cr_assert_lt(fabs(sum[2] / N - 1), error * sqrt(2), "variance");
        cr_assert_lt(fabs(sum[3] / N), error * sqrt(15), "skewness");
        cr_assert_lt(fabs(sum[4] / N - 3), error * sqrt(96), "kurtosis");
        cr_assert_lt(fabs(lag[1] / N), error, "neighbours");
        cr_assert_lt(fabs(lag[2] / N), error, "pairs");
        cr_assert_lt(fabs(tail / N - erfc(sqrt(2))), error * 0.21, "tail");
        cr_assert(most > 4.3 && most < 6.8, "extreme %g", most);
        free(x);
    }
}

/* Streams, seeds and far ranges share no run of numbers: 24 bits of angle and 31 of radius make
 * few single values coincide among 20,000, as many as chance allows. */
Test(kernels, normal_streams_differ)
{
    enum { EACH = 4000, STREAMS = 5 };
    static float x[STREAMS * EACH];
    FOR_EACH_ISA(k)
    {
        k->normal(x, EACH, 1, 0, 0, 0, 1);
        k->normal(x + EACH, EACH, 1, 1, 0, 0, 1);
        k->normal(x + 2 * EACH, EACH, 2, 0, 0, 0, 1);
        k->normal(x + 3 * EACH, EACH, 1, 0, (uint64_t)1 << 40, 0, 1);
        k->normal(x + 4 * EACH, EACH, 2, 1, 0, 0, 1);
        qsort(x, COUNT_OF(x), sizeof(x[0]), ascending);
        size_t same = 0;
        for (size_t i = 1; i < COUNT_OF(x); i++)
            same += x[i] == x[i - 1];
        cr_assert_lt(same, 40, "%s: %zu equal", k->isa, same);
    }
}
