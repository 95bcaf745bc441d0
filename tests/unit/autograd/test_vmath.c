/* test_vmath: the errors stated in vmath.h. exp and the activations are swept over the floats of
 * every exponent and sign by stepping through their bit patterns, against libm in double. */
#include "tests/support/ref.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <string.h>

static const char *const isas[] = {"generic", "avx2", "avx512"};

/* Some 430 thousand floats, every exponent with about 840 mantissas; the step is prime. */
enum { STEP = 9973, CHUNK = 1021 };

static float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return x;
}

/* Fills x with the next floats of the sweep; returns how many (0 at the end). */
static size_t sweep(uint64_t *bits, float *x)
{
    size_t n = 0;
    for (; n < CHUNK && *bits <= UINT32_MAX; n++, *bits += STEP)
        x[n] = float_of_bits((uint32_t)*bits);
    return n;
}

typedef double ErrorOf(Act act, float x, float y);

typedef struct Worst {
    double error;
    float at;
} Worst;

static void note(Worst *w, float x, double error)
{
    if (!(error <= w->error))
        *w = (Worst){isnan(error) ? INFINITY : error, x};
}

static Worst sweep_exp(const Kernels *k, ErrorOf *error_of)
{
    Worst worst = {0};
    float x[CHUNK], y[CHUNK];
    uint64_t bits = 0;
    for (size_t n; (n = sweep(&bits, x)) > 0;) {
        k->exp(x, y, n);
        for (size_t i = 0; i < n; i++)
            note(&worst, x[i], error_of(ACT_NONE, x[i], y[i]));
    }
    return worst;
}

static Worst sweep_act(const Kernels *k, Act act, bool slope, ErrorOf *error_of)
{
    Worst worst = {0};
    float x[CHUNK], y[CHUNK], ones[CHUNK];
    uint64_t bits = 0;
    for (size_t i = 0; i < CHUNK; i++)
        ones[i] = 1;
    for (size_t n; (n = sweep(&bits, x)) > 0;) {
        if (slope)
            k->act_backward(act, x, ones, y, n);
        else
            k->act_forward(act, x, y, n);
        for (size_t i = 0; i < n; i++)
            note(&worst, x[i], error_of(act, x[i], y[i]));
    }
    return worst;
}

/* Results below the smallest normal float may be zero. */
static double exp_error(Act act, float x, float y)
{
    (void)act;
    double ref = exp(x);
    if (ref < FLT_MIN && y == 0)
        return 0;
    return ref_ulps(y, ref);
}

static double tanh_error(Act act, float x, float y)
{
    (void)act;
    return ref_ulps(y, tanh(x));
}

/* Relative to the result, or absolute where that is tiny. */
static double act_error(Act act, float x, float y)
{
    double ref = ref_act(act, x);
    if (isnan(x) || isinf(x))
        return isnan(x) && !isnan(y) ? INFINITY : 0;
    if (isinf((float)ref))
        return y == (float)ref ? 0 : INFINITY;
    return fabs(y - ref) / fmax(fabs(ref), 1e-30);
}

/* Absolute: slopes are of the order of one. */
static double slope_error(Act act, float x, float y)
{
    if (isnan(x) || isinf(x))
        return 0;
    double inside = fmax(-1e5, fmin(1e5, x)); /* further out the reference itself overflows */
    return fabs(y - ref_act_slope(act, inside));
}

static void report(const Kernels *k, const char *what, Worst w, double allowed)
{
    cr_assert_leq(w.error, allowed, "%s %s: error %g at %a (%g)", k->isa, what, w.error,
                  (double)w.at, (double)w.at);
}

Test(vmath, sweeps)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        const Kernels *k = kernels_for(isas[i]);
        if (!k)
            continue;
        /* Largest seen on the three sets: exp 1.08 ulp, tanh 1.16 ulp; relative: GELU by tanh
         * 8.2e-6 (at -9, where the argument of exp is large), by erf 4.6e-7; absolute: the slopes
         * 1.8e-7, 2.2e-7 and 1.2e-7. */
        report(k, "exp", sweep_exp(k, exp_error), 1.1);
        report(k, "tanh", sweep_act(k, ACT_TANH, false, tanh_error), 1.3);
        report(k, "gelu tanh", sweep_act(k, ACT_GELU_TANH, false, act_error), 1e-5);
        report(k, "gelu erf", sweep_act(k, ACT_GELU_ERF, false, act_error), 6e-7);
        report(k, "relu", sweep_act(k, ACT_RELU, false, act_error), 0);
        report(k, "gelu tanh slope", sweep_act(k, ACT_GELU_TANH, true, slope_error), 2.5e-7);
        report(k, "gelu erf slope", sweep_act(k, ACT_GELU_ERF, true, slope_error), 3e-7);
        report(k, "relu slope", sweep_act(k, ACT_RELU, true, slope_error), 0);
        report(k, "tanh slope", sweep_act(k, ACT_TANH, true, slope_error), 1.6e-7);
    }
}

/* tests/simd/vmath.c */
#define DECLARE(isa) void exp2_negative_test_##isa(const float *x, float *y, size_t n);
DECLARE(generic)
#if defined(__x86_64__)
DECLARE(avx2)
DECLARE(avx512)
#endif

static void check_exp2(const char *isa, void (*exp2_of)(const float *, float *, size_t),
                       double allowed)
{
    if (!kernels_for(isa))
        return;
    Worst worst = {0};
    float x[CHUNK], y[CHUNK];
    uint64_t bits = 1u << 31; /* the sign bit: from -0 down, then the NaNs */
    for (size_t n; (n = sweep(&bits, x)) > 0;) {
        exp2_of(x, y, n);
        for (size_t i = 0; i < n; i++) {
            double ref = exp2(x[i]);
            note(&worst, x[i], ref < FLT_MIN && y[i] == 0 ? 0 : ref_ulps(y[i], ref));
        }
    }
    cr_assert_leq(worst.error, allowed, "%s: error %g at %a", isa, worst.error, (double)worst.at);
    exp2_of((float[]){0, -INFINITY, -126, nextafterf(-126, -127)}, y, 4);
    cr_assert(y[0] == 1 && y[1] == 0 && y[2] == FLT_MIN && y[3] == 0, "%s", isa);
}

Test(vmath, exp2_of_what_is_not_positive)
{
    /* Largest seen: 1.00, 0.79 and 0.69 ulp. */
    check_exp2("generic", exp2_negative_test_generic, 1.1);
#if defined(__x86_64__)
    check_exp2("avx2", exp2_negative_test_avx2, 0.85);
    check_exp2("avx512", exp2_negative_test_avx512, 0.75);
#endif
}

Test(vmath, special_values)
{
    const float in[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 88.7228f, 88.73f, -87.3f, -87.4f};
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        const Kernels *k = kernels_for(isas[i]);
        float y[COUNT_OF(in)];
        if (!k)
            continue;
        k->exp(in, y, COUNT_OF(in));
        cr_assert(isnan(y[0]) && y[1] == INFINITY && y[2] == 0 && y[3] == 1 && y[4] == 1);
        cr_assert(isfinite(y[5]) && y[6] == INFINITY && y[7] > 0 && y[8] == 0);
        k->act_forward(ACT_TANH, in, y, COUNT_OF(in));
        cr_assert(isnan(y[0]) && y[1] == 1 && y[2] == -1 && y[3] == 0 && signbit(y[4]));
    }
}

/* Every length near a vector's, so that full and part vectors are all met; and in place. */
Test(vmath, lengths_and_in_place)
{
    for (size_t i = 0; i < COUNT_OF(isas); i++) {
        const Kernels *k = kernels_for(isas[i]);
        if (!k)
            continue;
        for (size_t n = 0; n < 40; n++) {
            float x[41], y[41], g[41];
            for (size_t j = 0; j < 41; j++)
                x[j] = y[j] = g[j] = 0.1f * (float)j - 2;
            k->act_forward(ACT_GELU_ERF, y, y, n);
            k->act_backward(ACT_GELU_ERF, x, g, g, n);
            for (size_t j = 0; j < 41; j++) {
                double z = x[j];
                cr_assert_float_eq(y[j], j < n ? ref_act(ACT_GELU_ERF, z) : z, 1e-6);
                cr_assert_float_eq(g[j], j < n ? z * ref_act_slope(ACT_GELU_ERF, z) : z, 1e-6);
            }
        }
    }
}
