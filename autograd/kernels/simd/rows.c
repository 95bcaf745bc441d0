/* rows: kernels over rows of channels and flat arrays that no matrix product contains: sums, layer
 * norm, softmax pieces, the optimizer. Formulas are in kernels.def. */
#include "autograd/kernels/simd/simd.h"
#include "autograd/kernels/simd/vmath.h"

void KERNEL(add)(const float *a, const float *b, float *y, size_t n)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(y + i, vload(a + i) + vload(b + i));
    if (i < n)
        vstore_part(y + i, vload_part(a + i, n - i) + vload_part(b + i, n - i), n - i);
}

/* ---- layer norm ---- */

/* Sum over i of (x[i] - shift)^power, power 1 or 2; four partial sums keep the adders busy. */
ALWAYS_INLINE float sum_shifted(const float *x, size_t n, float shift, int power)
{
    vf sum[4] = {{0}};
    size_t i = 0;
    for (; i + 4 * VL <= n; i += 4 * VL)
#pragma GCC unroll 4
        for (int u = 0; u < 4; u++) {
            vf d = vload(x + i + (size_t)u * VL) - shift;
            sum[u] += power == 2 ? d * d : d;
        }
    for (; i + VL <= n; i += VL) {
        vf d = vload(x + i) - shift;
        sum[0] += power == 2 ? d * d : d;
    }
    float total = vsum((sum[0] + sum[1]) + (sum[2] + sum[3]));
    for (; i < n; i++) {
        float d = x[i] - shift;
        total += power == 2 ? d * d : d;
    }
    return total;
}

static void normalise_row(const float *x, const float *w, const float *b, float mean, float rstd,
                          float *y, size_t C)
{
    size_t i = 0;
    for (; i + VL <= C; i += VL)
        vstore(y + i, (vload(x + i) - mean) * rstd * vload(w + i) + vload(b + i));
    for (; i < C; i++)
        y[i] = (x[i] - mean) * rstd * w[i] + b[i];
}

/* Sums of rows become means. */
static void divide_all(float *x, size_t rows, float by)
{
    for (size_t r = 0; r < rows; r += VL)
        vstore_some(x + r, vload_some(x + r, rows - r) / by, rows - r);
}

/* 1 / sqrt(x + eps) */
static void invert_roots(float *x, size_t rows, float eps)
{
    for (size_t r = 0; r < rows; r += VL)
        vstore_some(x + r, 1.0f / vsqrt(vload_some(x + r, rows - r) + eps), rows - r);
}

/* Short rows pass each step in groups: the steps of one row wait for each other, those of its
 * neighbours do not. */
void KERNEL(layernorm_forward)(const float *x, const float *w, const float *b, float eps, float *y,
                               float *mean, float *rstd, size_t rows, size_t C)
{
    enum { FIRST_LEVEL = 2048 }; /* floats that surely fit into the cache */
    size_t group = C < FIRST_LEVEL ? FIRST_LEVEL / C : 1;
    for (size_t from = 0; from < rows; from += group) {
        size_t to = from + group < rows ? from + group : rows;
        for (size_t r = from; r < to; r++)
            mean[r] = sum_shifted(x + r * C, C, 0, 1);
        divide_all(mean + from, to - from, (float)C);
        for (size_t r = from; r < to; r++)
            rstd[r] = sum_shifted(x + r * C, C, mean[r], 2);
        divide_all(rstd + from, to - from, (float)C);
        invert_roots(rstd + from, to - from, eps);
        for (size_t r = from; r < to; r++)
            normalise_row(x + r * C, w, b, mean[r], rstd[r], y + r * C, C);
    }
}

/* Of one row: adds to dw and db; sums[0] = sum dy w, sums[1] = sum dy w xhat. */
static void layernorm_sums(const float *x, const float *w, float mean, float rstd, const float *dy,
                           float *dw, float *db, size_t C, float sums[2])
{
    vf s0 = {0}, s1 = {0};
    size_t i = 0;
    for (; i + VL <= C; i += VL) {
        vf g = vload(dy + i), xhat = (vload(x + i) - mean) * rstd, gw = g * vload(w + i);
        vstore(dw + i, vload(dw + i) + g * xhat);
        vstore(db + i, vload(db + i) + g);
        s0 += gw;
        s1 += gw * xhat;
    }
    sums[0] = vsum(s0);
    sums[1] = vsum(s1);
    for (; i < C; i++) {
        float xhat = (x[i] - mean) * rstd;
        dw[i] += dy[i] * xhat;
        db[i] += dy[i];
        sums[0] += dy[i] * w[i];
        sums[1] += dy[i] * w[i] * xhat;
    }
}

void KERNEL(layernorm_backward)(const float *x, const float *w, const float *mean,
                                const float *rstd, const float *dy, float *dx, bool add_dx,
                                float *dw, float *db, size_t rows, size_t C)
{
    for (size_t r = 0; r < rows; r++, x += C, dy += C, dx += C) {
        float sums[2], m = mean[r], s = rstd[r];
        layernorm_sums(x, w, m, s, dy, dw, db, C, sums);
        float g0 = sums[0] / (float)C, g1 = sums[1] / (float)C;
        size_t i = 0;
        for (; i + VL <= C; i += VL) {
            vf xhat = (vload(x + i) - m) * s;
            vf d = (vload(dy + i) * vload(w + i) - g0 - xhat * g1) * s;
            vstore(dx + i, add_dx ? vload(dx + i) + d : d);
        }
        for (; i < C; i++) {
            float d = (dy[i] * w[i] - g0 - (x[i] - m) * s * g1) * s;
            dx[i] = add_dx ? dx[i] + d : d;
        }
    }
}

/* ---- softmax ---- */

static float highest(const float *x, size_t n, float start)
{
    vf h = vset1(start);
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        h = vmax(h, vload(x + i));
    float top = vhighest(h);
    for (; i < n; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

void KERNEL(logsumexp_update)(const float *x, size_t n, float *max, float *sum)
{
    float top = highest(x, n, *max);
    float shift = top == -INFINITY ? 0 : top;
    vf s = {0};
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        s += vexp(vload(x + i) - shift);
    if (i < n) {
        vf part = vset1(-INFINITY);
        memcpy(&part, x + i, (n - i) * sizeof(float));
        s += vexp(part - shift);
    }
    vf old = vexp(vset1(*max - shift));
    *sum = *sum * old[0] + vsum(s);
    *max = top;
}

void KERNEL(softmax_from_lse)(float *x, size_t n, float lse, float scale)
{
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        vstore(x + i, vexp(vload(x + i) - lse) * scale);
    if (i < n)
        vstore_part(x + i, vexp(vload_part(x + i, n - i) - lse) * scale, n - i);
}

/* ---- sums over rows ---- */

/* Sums of CHAIN_ROWS rows first, then their sum: rounding grows with the length of a chain. */
enum { CHAIN_ROWS = 16 };

static void sum_columns(const float *x, size_t stride, size_t rows, size_t C, bool add, float *out)
{
    for (size_t c = 0; c < C; c++) {
        float total = add ? out[c] : 0;
        for (size_t from = 0; from < rows; from += CHAIN_ROWS) {
            size_t to = from + CHAIN_ROWS < rows ? from + CHAIN_ROWS : rows;
            float sum = 0;
            for (size_t i = from; i < to; i++)
                sum += x[i * stride + c];
            total += sum;
        }
        out[c] = total;
    }
}

void KERNEL(sum_rows)(const float *x, size_t stride, size_t rows, size_t C, bool add, float *out)
{
    enum { AT_ONCE = 4 * VL };
    size_t j = 0;
    for (; j + AT_ONCE <= C; j += AT_ONCE) {
        vf total[4];
        for (size_t u = 0; u < 4; u++)
            total[u] = add ? vload(out + j + u * VL) : (vf){0};
        for (size_t from = 0; from < rows; from += CHAIN_ROWS) {
            size_t to = from + CHAIN_ROWS < rows ? from + CHAIN_ROWS : rows;
            vf sum[4] = {{0}};
            for (size_t i = from; i < to; i++)
#pragma GCC unroll 4
                for (size_t u = 0; u < 4; u++)
                    sum[u] += vload(x + i * stride + j + u * VL);
            for (size_t u = 0; u < 4; u++)
                total[u] += sum[u];
        }
        for (size_t u = 0; u < 4; u++)
            vstore(out + j + u * VL, total[u]);
    }
    sum_columns(x + j, stride, rows, C - j, add, out + j);
}

/* ---- optimizer ---- */

typedef struct Adam {
    float lr, beta1, beta2, eps, decay, c1, c2, gscale;
} Adam;

ALWAYS_INLINE vf adam_step(const Adam *o, vf w, vf g, vf *m, vf *v)
{
    g *= o->gscale;
    *m = o->beta1 * *m + (1.0f - o->beta1) * g;
    *v = o->beta2 * *v + (1.0f - o->beta2) * g * g;
    vf step = *m * o->c1 / (vsqrt(*v * o->c2) + o->eps);
    return w - o->lr * (step + o->decay * w);
}

void KERNEL(adamw)(float *w, const float *g, float *m, float *v, size_t n, float lr, float beta1,
                   float beta2, float eps, float decay, float c1, float c2, float gscale)
{
    const Adam o = {lr, beta1, beta2, eps, decay, c1, c2, gscale};
    for (size_t i = 0; i < n; i += VL) {
        size_t part = n - i;
        if (part >= VL) {
            vf vm = vload(m + i), vv = vload(v + i);
            vstore(w + i, adam_step(&o, vload(w + i), vload(g + i), &vm, &vv));
            vstore(m + i, vm);
            vstore(v + i, vv);
        } else {
            vf vm = vload_part(m + i, part), vv = vload_part(v + i, part);
            vf vw = adam_step(&o, vload_part(w + i, part), vload_part(g + i, part), &vm, &vv);
            vstore_part(w + i, vw, part);
            vstore_part(m + i, vm, part);
            vstore_part(v + i, vv, part);
        }
    }
}
