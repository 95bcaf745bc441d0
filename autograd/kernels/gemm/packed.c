/* packed: see packed.h; and of kernels.h the size, the format and a column of a packed matrix. */
#include "autograd/kernels/gemm/packed.h"

#include <string.h>

#include "autograd/kernels/gemm/fp32_pack.h"

static size_t whole_columns(size_t n)
{
    return (n + 15) / 16 * 16;
}

size_t gemm_packed_bytes(DType type, size_t k, size_t n)
{
    size_t per_column = low_steps(type, k) * low_step_bytes(type);
    if (type == DT_I8)
        per_column += sizeof(float) + sizeof(int32_t);
    return sizeof(PackedB) + per_column * whole_columns(n);
}

DType gemm_packed_type(const PackedB *p)
{
    return p->type;
}

uint32_t *low_panel(const PackedB *p, size_t column)
{
    return (uint32_t *)p->panels + column * low_steps(p->type, p->k) * low_step_bytes(p->type) / 4;
}

const float *low_column_scale(const PackedB *p)
{
    return p->type == DT_I8 ? (const float *)low_panel(p, whole_columns(p->n)) : NULL;
}

const int32_t *low_column_sum(const PackedB *p)
{
    return p->type == DT_I8 ? (const int32_t *)low_column_scale(p) + whole_columns(p->n) : NULL;
}

PackedB *gemm_pack_begin(DType type, size_t k, size_t n, void *memory)
{
    CHECK((uintptr_t)memory % 64 == 0, "memory of a packed matrix is not aligned");
    CHECK(type != DT_I32, "products of %s do not exist", dtype_name(type));
    PackedB *p = memory;
    p->isa = isa_in_use();
    p->type = type;
    p->k = k;
    p->n = n;
    return p;
}

/* Column `at` of a panel of groups, put together group by group. */
static void unpack_groups(const PackedB *p, const uint32_t *panel, size_t width, size_t at,
                          float *out)
{
    size_t bytes = low_step_bytes(p->type), units = (bytes - sizeof(uint16_t)) / sizeof(uint32_t);
    for (size_t i = 0; i < p->k; i += QUANT_GROUP, panel += bytes * width / sizeof(*panel)) {
        char block[Q8_0_BYTES];
        memcpy(block, (const uint16_t *)(panel + units * width) + at, sizeof(uint16_t));
        for (size_t u = 0; u < units; u++) {
            uint32_t unit = panel[u * width + at] ^ low_level_flip(p->type);
            memcpy(block + sizeof(uint16_t) + u * sizeof(unit), &unit, sizeof(unit));
        }
        p->isa->rows.widen(p->type, block, out + i, QUANT_GROUP);
    }
}

void gemm_packed_column(const PackedB *p, size_t j, float *out)
{
    CHECK(j < p->n, "column %zu of %zu, %s", j, p->n, dtype_name(p->type));
    if (p->type == DT_F32) {
        fp32_packed_column(p, j, out);
        return;
    }
    const Tile *tile = &p->isa->tile;
    size_t full = tile->lanes * tile->vectors, first = j / full * full, at = j - first;
    size_t width = low_panel_width(tile, p->n, j / full), step = low_step(p->type);
    const uint32_t *panel = low_panel(p, first);
    bool in_rows = low_b_in_rows(p->isa, p->type);
    if (dtype_is_grouped(p->type)) {
        unpack_groups(p, panel, width, at, out);
        return;
    }
    for (size_t i = 0; i < p->k; i++) {
        if (p->type == DT_I8) {
            int8_t level = (int8_t)(panel[i / step * width + at] >> 8 * (i % step));
            out[i] = (float)level * low_column_scale(p)[j];
            continue;
        }
        size_t half = in_rows ? i * width + at : (i / 2 * width + at) * 2 + i % 2;
        p->isa->rows.widen(p->type, (const uint16_t *)panel + half, out + i, 1);
    }
}
