/* convert: rows of numbers between fp32 and the small formats, and the rearrangements of which
 * packing consists. isa.h describes the packed form. */
#include "autograd/kernels/simd/group_blocks.h"
#include "autograd/kernels/simd/half.h"
#include "autograd/kernels/simd/simd.h"

typedef int8_t vb __attribute__((vector_size(VL)));
typedef int8_t vb_any __attribute__((vector_size(VL), aligned(1), may_alias));

/* ---- bf16 and f16 ---- */

ALWAYS_INLINE void widen_loop(DType from, const void *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += VL)
        vstore_some(y + i, vload_as(from, x, i, n - i), n - i);
}

void KERNEL(widen)(DType from, const void *x, float *y, size_t n)
{
    if (from == DT_BF16)
        widen_loop(DT_BF16, x, y, n);
    else if (from == DT_F16)
        widen_loop(DT_F16, x, y, n);
    else if (dtype_is_grouped(from))
        KERNEL(widen_groups)(from, x, y, n);
    else
        memcpy(y, x, n * sizeof(*y));
}

ALWAYS_INLINE void narrow_loop(DType to, const float *x, void *y, size_t n)
{
    for (size_t i = 0; i < n; i += VL)
        vstore_as(to, y, i, vload_some(x + i, n - i), n - i);
}

void KERNEL(narrow)(DType to, const float *x, void *y, size_t n)
{
    if (to == DT_BF16)
        narrow_loop(DT_BF16, x, y, n);
    else if (to == DT_F16)
        narrow_loop(DT_F16, x, y, n);
    else if (dtype_is_grouped(to))
        KERNEL(narrow_groups)(to, x, y, n);
    else
        memcpy(y, x, n * sizeof(*x));
}

/* bf16 of n elements from element `at` on, or a vector of them, in the lower half of each lane. */
ALWAYS_INLINE vu bf16_at(DType from, const void *x, size_t at, size_t n)
{
    if (from == DT_F32)
        return vround_bf16(vload_some((const float *)x + at, n));
    const uint16_t *half = (const uint16_t *)x + at;
    return __builtin_convertvector(n >= VL ? vload_half(half) : vload_half_part(half, n), vu);
}

ALWAYS_INLINE void zip_loop(DType from, const void *even, const void *odd, size_t n, uint32_t *out)
{
    size_t i = 0;
    for (; i + VL <= n && odd; i += VL)
        vstore((float *)(out + i),
               (vf)(bf16_at(from, even, i, VL) | bf16_at(from, odd, i, VL) << 16));
    for (; i < n; i += VL) {
        vu high = odd ? bf16_at(from, odd, i, n - i) : (vu){0};
        vstore_some((float *)(out + i), (vf)(bf16_at(from, even, i, n - i) | high << 16), n - i);
    }
}

void KERNEL(zip_bf16)(DType from, const void *even, const void *odd, size_t n, uint32_t *out)
{
    if (from == DT_F32)
        zip_loop(DT_F32, even, odd, n, out);
    else
        zip_loop(DT_BF16, even, odd, n, out);
}

void KERNEL(zip_rows_bf16)(DType from, const void *x, size_t x_row, size_t rows, size_t n,
                           uint32_t *out, size_t out_row)
{
    const size_t bytes = x_row * dtype_size(from);
    const char *row = x;
    for (; rows >= 2; rows -= 2, row += 2 * bytes, out += out_row)
        KERNEL(zip_bf16)(from, row, row + bytes, n, out);
    if (rows > 0)
        KERNEL(zip_bf16)(from, row, NULL, n, out);
}

/* ---- int8 ---- */

/* Compares magnitudes by their bits: infinity is above every number, and a NaN above infinity. */
float KERNEL(quantize_scale)(const float *x, size_t n)
{
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof(bits));
        bits &= 0x7fffffff;
        largest = bits > largest ? bits : largest;
    }
    float size;
    memcpy(&size, &largest, sizeof(size));
    return size / 127;
}

/* Adding 1.5 * 2^23 leaves the nearest integer, ties to even, in the last bits. */
ALWAYS_INLINE vi whole_levels(vf x, float scale)
{
    vf level = vmin(vmax(x / scale, vset1(-127)), vset1(127));
    return (vi)(level + 12582912.0f) - 0x4b400000;
}

ALWAYS_INLINE vb levels(vf x, float scale)
{
    return __builtin_convertvector(whole_levels(x, scale), vb);
}

void KERNEL(quantize)(const float *x, float scale, int8_t *q, size_t n)
{
    if (scale == 0) {
        memset(q, 0, n);
        return;
    }
    size_t i = 0;
    for (; i + VL <= n; i += VL)
        *(vb_any *)(q + i) = levels(vload(x + i), scale);
    if (i < n) {
        vb last = levels(vload_part(x + i, n - i), scale);
        memcpy(q + i, &last, n - i);
    }
}

/* ---- groups ---- */

void KERNEL(quantize_groups)(const float *x, size_t n, int32_t zero, LowGroup *out)
{
    for (size_t i = 0; i < n; i += QUANT_GROUP, x += QUANT_GROUP, out++) {
        const float scale = KERNEL(quantize_scale)(x, QUANT_GROUP);
        vi sum = {0};
        for (size_t j = 0; j < QUANT_GROUP; j += VL) {
            vi level = scale == 0 ? (vi){0} : whole_levels(vload(x + j), scale);
            *(vb_any *)(out->levels + j) = __builtin_convertvector(level, vb);
            sum += level;
        }
        int32_t total = 0;
        for (int l = 0; l < VL; l++)
            total += sum[l];
        out->start = -zero * total;
        out->scale = scale;
    }
}

/* ---- packing ---- */

void KERNEL(interleave)(size_t rows, size_t units, const uint32_t *in, size_t in_row, uint32_t *out,
                        size_t out_row)
{
    for (size_t r = 0; r < rows; r += VL) {
        size_t lanes = rows - r < VL ? rows - r : VL;
        for (size_t u = 0; u < units; u += VL) {
            size_t deep = units - u < VL ? units - u : VL;
            vf square[VL];
            for (size_t i = 0; i < VL; i++) {
                const float *from = (const float *)(in + (r + i) * in_row + u);
                square[i] = i >= lanes   ? (vf){0}
                            : deep == VL ? vload(from)
                                         : vload_part(from, deep);
            }
            vtranspose(square);
            for (size_t i = 0; i < deep; i++)
                vstore_part((float *)(out + (u + i) * out_row + r), square[i], lanes);
        }
    }
}

/* 2 VL numbers as VL pairs. */
ALWAYS_INLINE vf pairs(vf first, vf second)
{
#if VL == 16
    const __m512i even =
        _mm512_set_epi16(62, 60, 58, 56, 54, 52, 50, 48, 46, 44, 42, 40, 38, 36, 34, 32, 30, 28, 26,
                         24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    return (vf)_mm512_permutex2var_epi16((__m512i)vround_bf16(first), even,
                                         (__m512i)vround_bf16(second));
#else
    vh halves[2] = {vnarrow_bf16(first), vnarrow_bf16(second)};
    vf v;
    memcpy(&v, halves, sizeof(v));
    return v;
#endif
}

void KERNEL(turn_rows_bf16)(const float *x, size_t x_row, size_t rows, size_t n, uint32_t *out,
                            size_t out_row)
{
    for (size_t r = 0; r < rows; r += VL) {
        size_t lanes = rows - r < VL ? rows - r : VL;
        for (size_t p = 0; p < n; p += 2 * VL) {
            size_t left = n - p, deep = left < 2 * VL ? (left + 1) / 2 : VL;
            vf square[VL];
            for (size_t i = 0; i < VL; i++) {
                const float *from = x + (r + i) * x_row + p;
                square[i] = i >= lanes ? (vf){0}
                            : left >= 2 * VL
                                ? pairs(vload(from), vload(from + VL))
                                : pairs(vload_some(from, left),
                                        left > VL ? vload_part(from + VL, left - VL) : (vf){0});
            }
            vtranspose(square);
            for (size_t i = 0; i < deep; i++)
                vstore_part((float *)(out + (p / 2 + i) * out_row + r), square[i], lanes);
        }
    }
}
