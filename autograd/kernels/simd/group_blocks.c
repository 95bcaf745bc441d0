/* group_blocks: fp32 to and from the groups of q8_0 and q4_0 (dtype.h), number for number as the
 * gguf Python package has them. CMakeLists.txt compiles this file without fused products, which
 * would round once less. Products are in group_tile.c. */
#include "autograd/kernels/simd/group_blocks.h"
#include "autograd/kernels/simd/half.h"

enum { HALF = QUANT_GROUP / 2 };

/* ---- f16 scales ---- */

static float scale_of(const unsigned char *group)
{
    uint16_t half[VL] = {0};
    memcpy(half, group, sizeof(*half));
    return vwiden_f16(vload_half(half))[0];
}

static void put_scale(unsigned char *group, float scale)
{
    uint16_t half = vnarrow_f16(vset1(scale))[0];
    memcpy(group, &half, sizeof(half));
}

/* 1 / scale; 0 where that is no number to multiply by: then all levels are 0. */
static float reciprocal(float scale)
{
    float r = 1 / scale;
    return r - r == 0 ? r : 0;
}

/* ---- to fp32 ---- */

static void widen_q8_0(const unsigned char *group, float *y)
{
    const float scale = scale_of(group);
    for (size_t i = 0; i < QUANT_GROUP; i++)
        y[i] = scale * (float)(int8_t)group[2 + i];
}

static void widen_q4_0(const unsigned char *group, float *y)
{
    const float scale = scale_of(group);
    for (size_t i = 0; i < HALF; i++) {
        y[i] = scale * (float)((group[2 + i] & 15) - 8);
        y[i + HALF] = scale * (float)((group[2 + i] >> 4) - 8);
    }
}

void KERNEL(widen_groups)(DType from, const void *x, float *y, size_t n)
{
    const unsigned char *group = x;
    for (size_t i = 0; i < n; i += QUANT_GROUP, group += dtype_bytes(from, QUANT_GROUP))
        (from == DT_Q8_0 ? widen_q8_0 : widen_q4_0)(group, y + i);
}

/* ---- from fp32 ---- */

static void narrow_q8_0(const float *x, unsigned char *group)
{
    const float scale = KERNEL(quantize_scale)(x, QUANT_GROUP), per = reciprocal(scale);
    put_scale(group, scale);
    for (size_t i = 0; i < QUANT_GROUP; i++) {
        float size = per == 0 ? 0 : __builtin_fabsf(x[i] * per);
        int level = (int)size;
        level += size - (float)level >= 0.5f;
        group[2 + i] = (unsigned char)(x[i] < 0 ? -level : level);
    }
}

static unsigned char level_q4_0(float x, float per)
{
    int level = per == 0 ? 8 : (int)(x * per + 8.5f);
    return (unsigned char)(level > 15 ? 15 : level);
}

static void narrow_q4_0(const float *x, unsigned char *group)
{
    float largest = 0;
    bool finite = true;
    for (size_t i = 0; i < QUANT_GROUP; i++) {
        largest = __builtin_fabsf(x[i]) > __builtin_fabsf(largest) ? x[i] : largest;
        finite &= x[i] - x[i] == 0;
    }
    const float scale = finite ? largest / -8 : __builtin_nanf(""), per = reciprocal(scale);
    put_scale(group, scale);
    for (size_t i = 0; i < HALF; i++)
        group[2 + i] = (unsigned char)(level_q4_0(x[i], per) | level_q4_0(x[i + HALF], per) << 4);
}

void KERNEL(narrow_groups)(DType to, const float *x, void *y, size_t n)
{
    unsigned char *group = y;
    for (size_t i = 0; i < n; i += QUANT_GROUP, group += dtype_bytes(to, QUANT_GROUP))
        (to == DT_Q8_0 ? narrow_q8_0 : narrow_q4_0)(x + i, group);
}
