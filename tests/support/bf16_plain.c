/* bf16_plain: see bf16_plain.h. */
#include "tests/support/bf16_plain.h"

#include <string.h>

static float as_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float add_two_products(float sum, uint32_t a, uint32_t b)
{
    sum += as_float(a << 16) * as_float(b << 16);
    return sum + as_float(a & 0xffff0000) * as_float(b & 0xffff0000);
}

static void tile(const LowTile *t)
{
    const size_t width = t->vectors * isa_in_use()->tile.lanes;
    for (size_t r = 0; r < t->rows; r++)
        for (size_t j = 0; j < width; j++) {
            float sum = t->add ? t->sums[r * width + j] : 0;
            for (size_t s = 0; s < t->steps; s++)
                sum =
                    add_two_products(sum, t->a[r * t->a_row + s * t->a_unit], t->b[s * width + j]);
            t->sums[r * width + j] = sum;
        }
}

const LowKernel bf16_plain = {
    .instruction = "plain C", .support = SUPPORT_NATIVE, .rows = 16, .tile = tile};
