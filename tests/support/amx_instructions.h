/* amx_instructions: the tile registers and the instructions of amx_tile.c and amx_groups.c in plain
 * C, as the Intel SDM (vol. 2, LDTILECFG, TILELOADD, TDPBF16PS, TDPBUSD, ...) describes them, with
 * the names of the intrinsics. What faults on a processor aborts here.
 *
 * Included before one of these files, whose functions are renamed here. */
#pragma once

#include "autograd/base.h"

#include <float.h>
#include <math.h>
#include <string.h>

#define TARE_AMX_EMULATED

#define tile_bf16_amx        tile_bf16_amx_emulated
#define tile_i8_amx          tile_i8_amx_emulated
#define amx_release          amx_release_emulated
#define peak_loop_bf16_amx   peak_loop_bf16_amx_emulated
#define peak_loop_i8_amx     peak_loop_i8_amx_emulated
#define peak_loop_groups_amx peak_loop_groups_amx_emulated
#define tile_q8_0_amx        tile_q8_0_amx_emulated
#define tile_q4_0_amx        tile_q4_0_amx_emulated
#define place_groups_amx     place_groups_amx_emulated

enum { AMX_TILES = 8, AMX_MOST_ROWS = 16, AMX_UNITS = 16, AMX_ROW_BYTES = 64 };

typedef struct AmxTile {
    size_t rows, row_bytes; /* 0: not to be used */
    uint32_t unit[AMX_MOST_ROWS][AMX_UNITS];
} AmxTile;

static _Thread_local AmxTile amx_register[AMX_TILES];

static inline void _tile_release(void)
{
    memset(amx_register, 0, sizeof(amx_register));
}

/* Bytes: 0 palette, 1 start row, 16 + 2i row bytes of tile i, 48 + i its rows; all others are
 * reserved. */
static inline void _tile_loadconfig(const void *config)
{
    const uint8_t *byte = config;
    CHECK(byte[0] == 1 && byte[1] == 0, "palette %d, start row %d", byte[0], byte[1]);
    for (int i = 2; i < 64; i++)
        CHECK((i >= 16 && i < 32) || (i >= 48 && i < 56) || byte[i] == 0, "reserved byte %d", i);
    _tile_release();
    for (int i = 0; i < AMX_TILES; i++) {
        size_t rows = byte[48 + i], bytes = byte[16 + 2 * i] + 256u * byte[17 + 2 * i];
        CHECK(rows <= AMX_MOST_ROWS && bytes <= AMX_ROW_BYTES && (rows == 0) == (bytes == 0),
              "tile %d of %zu rows of %zu bytes", i, rows, bytes);
        amx_register[i].rows = rows;
        amx_register[i].row_bytes = bytes;
    }
}

static inline AmxTile *amx_configured(int i)
{
    CHECK(amx_register[i].rows > 0, "tile %d is not configured", i);
    return &amx_register[i];
}

static inline void _tile_zero(int to)
{
    memset(amx_configured(to)->unit, 0, sizeof(amx_register->unit));
}

static inline void _tile_loadd(int to, const void *from, size_t stride)
{
    AmxTile *t = amx_configured(to);
    _tile_zero(to);
    for (size_t r = 0; r < t->rows; r++)
        memcpy(t->unit[r], (const char *)from + r * stride, t->row_bytes);
}

static inline void _tile_stream_loadd(int to, const void *from, size_t stride)
{
    _tile_loadd(to, from, stride);
}

static inline void _tile_stored(int from, void *to, size_t stride)
{
    const AmxTile *t = amx_configured(from);
    for (size_t r = 0; r < t->rows; r++)
        memcpy((char *)to + r * stride, t->unit[r], t->row_bytes);
}

static inline void amx_check_product(int sum, int a, int b)
{
    const AmxTile *s = amx_configured(sum), *x = amx_configured(a), *y = amx_configured(b);
    CHECK(sum != a && sum != b && a != b, "tiles %d, %d and %d are not three", sum, a, b);
    CHECK(s->rows == x->rows && x->row_bytes == 4 * y->rows && s->row_bytes == y->row_bytes,
          "shapes of tiles %d, %d and %d", sum, a, b);
}

/* A denormal counts as zero, where it is read and where it would be written. */
static inline float amx_flushed(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0, x) : x;
}

static inline float amx_float(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof(x));
    return amx_flushed(x);
}

/* Sums of the even and of the odd elements of pairs begin at zero, are added to each other and then
 * to what was there. A product of two bf16 is exact in fp32, so x*y + z is rounded once, like the
 * fused one. */
static inline void _tile_dpbf16ps(int sum, int a, int b)
{
    amx_check_product(sum, a, b);
    AmxTile *s = &amx_register[sum];
    const AmxTile *x = &amx_register[a], *y = &amx_register[b];
    for (size_t m = 0; m < s->rows; m++) {
        float even[AMX_UNITS] = {0}, odd[AMX_UNITS] = {0};
        for (size_t k = 0; k < y->rows; k++) {
            float x0 = amx_float(x->unit[m][k] << 16), x1 = amx_float(x->unit[m][k] & 0xffff0000);
            for (size_t n = 0; n < AMX_UNITS; n++) {
                uint32_t pair = y->unit[k][n];
                even[n] = amx_flushed(even[n] + x0 * amx_float(pair << 16));
                odd[n] = amx_flushed(odd[n] + x1 * amx_float(pair & 0xffff0000));
            }
        }
        for (size_t n = 0; n < AMX_UNITS; n++) {
            float total = amx_flushed(amx_float(s->unit[m][n]) + amx_flushed(even[n] + odd[n]));
            memcpy(&s->unit[m][n], &total, sizeof(total));
        }
    }
}

/* Bytes of A, signed or not, by signed ones of B; the int32 sums wrap. */
static inline void amx_bytes(int sum, int a, int b, bool is_signed)
{
    amx_check_product(sum, a, b);
    AmxTile *s = &amx_register[sum];
    const AmxTile *x = &amx_register[a], *y = &amx_register[b];
    for (size_t m = 0; m < s->rows; m++)
        for (size_t k = 0; k < y->rows; k++)
            for (int byte = 0; byte < 4; byte++) {
                uint8_t bits = (uint8_t)(x->unit[m][k] >> 8 * byte);
                int32_t level = is_signed ? (int8_t)bits : bits;
                for (size_t n = 0; n < AMX_UNITS; n++)
                    s->unit[m][n] += (uint32_t)(level * (int8_t)(y->unit[k][n] >> 8 * byte));
            }
}

static inline void _tile_dpbusd(int sum, int a, int b)
{
    amx_bytes(sum, a, b, false);
}

static inline void _tile_dpbssd(int sum, int a, int b)
{
    amx_bytes(sum, a, b, true);
}

/* What amx_groups.c needs of AVX-512. Macros, since plain C has no calls with such vectors. */
typedef float __m512 __attribute__((vector_size(64)));

#define _mm512_loadu_ps(from)                                                                      \
    ({                                                                                             \
        __m512 loaded;                                                                             \
        memcpy(&loaded, from, sizeof(loaded));                                                     \
        loaded;                                                                                    \
    })
#define _mm512_storeu_ps(to, from)                                                                 \
    do {                                                                                           \
        __m512 stored = (from);                                                                    \
        memcpy(to, &stored, sizeof(stored));                                                       \
    } while (0)
#define _mm512_fmadd_ps(a, b, c)                                                                   \
    ({                                                                                             \
        __m512 x_ = (a), y_ = (b), z_ = (c);                                                       \
        for (int lane = 0; lane < 16; lane++)                                                      \
            z_[lane] = fmaf(x_[lane], y_[lane], z_[lane]);                                         \
        z_;                                                                                        \
    })
