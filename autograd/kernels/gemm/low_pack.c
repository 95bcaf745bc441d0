/* low_pack: see low_pack.h; and the slices of a PackedB of kernels.h.
 *
 * One idea: rows of A and columns of B are the same thing, lines along k. Where a line is
 * contiguous in memory it is converted as a whole, and lines are then interleaved unit by unit;
 * where the lines lie side by side, two neighbours in k are zipped for all lines at once. Nothing
 * is multiplied here. */
#include "autograd/kernels/gemm/low_pack.h"

#include "autograd/kernels/gemm/fp32_pack.h"
#include "autograd/kernels/gemm/packed.h"
#include "autograd/kernels/gemm/partition.h"

#include <math.h>
#include <string.h>

enum {
    ROWS_AHEAD = 4,         /* of A, prefetched */
    CHUNK = 256,            /* units of a line that are converted at a time ... */
    CHUNK_ELEMENTS = 1024,  /* ... and elements, at most */
    MOST_LINES = 16,        /* that are interleaved at a time */
    MOST_COLUMNS = 64,      /* of a panel */
    SIGN_BITS = 0x80808080, /* flipped, they make q + 128 of four levels q */
};

/* ---- lines along k ---- */

/* Element p of line i is x[i*line + p*step]. */
typedef struct Lines {
    DType product;
    bool widens;    /* as LowKernel: units are fp32, of values rounded to the format, or pairs */
    bool unsigned8; /* levels are stored as q + 128 */
    const void *x;
    DType type; /* of x; DT_I8: already quantised */
    size_t line, step, count, k;
    const float *scale; /* [count], where x is divided here; else NULL */
} Lines;

static size_t unit_elements(const Lines *l)
{
    return low_step(l->product) / (l->widens ? 2 : 1);
}

/* Elements [from, from + n) of line i in one piece: in place, or gathered into `scratch`. */
static const void *contiguous(const Lines *l, size_t i, size_t from, size_t n, void *scratch)
{
    size_t size = dtype_size(l->type);
    const char *x = (const char *)l->x + (i * l->line + from * l->step) * size;
    if (l->step == 1)
        return x;
    for (size_t p = 0; p < n; p++)
        memcpy((char *)scratch + p * size, x + p * l->step * size, size);
    return scratch;
}

/* n elements as fp32: in place, or widened into `wide`. */
static const float *as_f32(DType type, const void *x, size_t n, float *wide)
{
    if (type == DT_F32)
        return x;
    isa_in_use()->rows.widen(type, x, wide, n);
    return wide;
}

/* Quads of levels, unsigned, become the two pairs of 16 bits of each. */
static void widen_levels(const uint32_t *quads, size_t n, uint32_t *units)
{
    for (size_t i = 0; i < n; i++) {
        units[2 * i] = quads[i] & 0x00ff00ff;
        units[2 * i + 1] = quads[i] >> 8 & 0x00ff00ff;
    }
}

/* n levels of one line of i8, into whole units. */
static void quantize(const Lines *l, const float *x, size_t n, float scale, uint32_t *units)
{
    uint32_t levels[CHUNK_ELEMENTS / 4], *quads = l->widens ? levels : units;
    size_t count = (n + 3) / 4;
    quads[count - 1] = 0;
    kernels()->quantize(x, scale, (int8_t *)quads, n);
    for (size_t i = 0; i < count && l->unsigned8; i++)
        quads[i] ^= SIGN_BITS;
    if (l->widens)
        widen_levels(quads, count, units);
}

/* n elements of one line, from x, into whole units; scale: 0 where there is none. */
static void convert(const Lines *l, const void *x, size_t n, float scale, uint32_t *units)
{
    const Kernels *k = &isa_in_use()->rows;
    float values[CHUNK_ELEMENTS];
    uint16_t halves[CHUNK_ELEMENTS];
    bool scales = scale != 0 && l->product == DT_F16;
    size_t count = (n + unit_elements(l) - 1) / unit_elements(l);
    units[count - 1] = 0;
    if (l->type == l->product && l->widens) {
        k->widen(l->type, x, (float *)units, n);
        return;
    }
    if (l->type == l->product && !scales) {
        memcpy(units, x, n * dtype_size(l->type));
        return;
    }
    const float *wide = as_f32(l->type, x, n, values);
    if (scales) {
        for (size_t i = 0; i < n; i++)
            values[i] = wide[i] * (1 / scale); /* powers of two: exact */
        k->narrow(l->product, values, units, n);
    } else if (l->product == DT_I8) {
        quantize(l, wide, n, scale, units);
    } else if (l->widens) {
        k->narrow(l->product, wide, halves, n);
        k->widen(l->product, halves, (float *)units, n);
    } else {
        k->narrow(l->product, wide, units, n);
    }
}

/* max |x| / 127 of line i; NaN or infinite where an element is. */
static float scale_of(const Lines *l, size_t i)
{
    char gathered[CHUNK_ELEMENTS * sizeof(float)];
    float wide[CHUNK_ELEMENTS], largest = 0;
    for (size_t p = 0; p < l->k && !isnan(largest); p += CHUNK_ELEMENTS) {
        size_t n = l->k - p < CHUNK_ELEMENTS ? l->k - p : CHUNK_ELEMENTS;
        const void *x = contiguous(l, i, p, n, gathered);
        float scale = kernels()->quantize_scale(as_f32(l->type, x, n, wide), n);
        largest = scale <= largest ? largest : scale;
    }
    return largest;
}

/* out[u*out_row + i] = unit u of line i. */
static void pack_lines(const Lines *l, uint32_t *out, size_t out_row)
{
    if (l->product == DT_BF16 && l->type == DT_F32 && l->step == 1) {
        isa_in_use()->turn_rows_bf16(l->x, l->line, l->count, l->k, out, out_row);
        return;
    }
    uint32_t units[MOST_LINES][CHUNK];
    char gathered[CHUNK_ELEMENTS * sizeof(float)];
    size_t most = CHUNK * unit_elements(l);
    for (size_t p = 0; p < l->k; p += most) {
        size_t n = l->k - p < most ? l->k - p : most;
        for (size_t i = 0; i < l->count; i++)
            convert(l, contiguous(l, i, p, n, gathered), n, l->scale ? l->scale[i] : 0, units[i]);
        size_t count = (n + unit_elements(l) - 1) / unit_elements(l);
        isa_in_use()->interleave(l->count, count, units[0], CHUNK,
                                 out + p / unit_elements(l) * out_row, out_row);
    }
}

/* ---- A ---- */

static size_t unit_count(DType product, bool widens, size_t k)
{
    return low_steps(product, k) * low_a_units(product, widens);
}

LowLayout low_layout(const Gemm *g, const LowKernel *kernel, size_t strip_rows, size_t units)
{
    size_t row = low_row_stride(units);
    if (g->a_col == 1 || kernel->rows)
        return (LowLayout){.strip = strip_rows * row, .row = row, .unit = 1};
    return (LowLayout){.strip = strip_rows * units, .row = 1, .unit = strip_rows};
}

/* All of it, where it is contiguous. */
static void prefetch_line(const Lines *l, size_t i)
{
    size_t size = dtype_size(l->type);
    const char *x = (const char *)l->x + i * l->line * size;
    for (size_t at = 0; at < l->k * size && l->step == 1; at += 64)
        __builtin_prefetch(x + at);
}

static void pack_a_rows(const Lines *rows, size_t units, const float *scale, uint32_t *out)
{
    char gathered[CHUNK_ELEMENTS * sizeof(float)];
    size_t stride = low_row_stride(units);
    size_t most = CHUNK * unit_elements(rows);
    for (size_t i = 0; i < rows->count; i++, out += stride) {
        if (i + ROWS_AHEAD < rows->count)
            prefetch_line(rows, i + ROWS_AHEAD);
        if (units > 0)
            out[units - 1] = 0; /* all of a step is written, or all but its last unit */
        for (size_t p = 0; p < rows->k; p += most) {
            size_t n = rows->k - p < most ? rows->k - p : most;
            convert(rows, contiguous(rows, i, p, n, gathered), n, scale ? scale[i] : 0,
                    out + p / unit_elements(rows));
        }
    }
}

/* Two columns of A, beside each other in k, become one step of all strips. */
static void pack_a_columns(const Gemm *g, DType product, bool widens, size_t row, size_t m,
                           size_t from, size_t k, uint32_t *out)
{
    enum { MOST = 128, AHEAD = 4 }; /* rows at a time; columns prefetched ahead */
    const Isa *isa = isa_in_use();
    size_t mr = isa->tile.rows, depth = unit_count(product, widens, k), most = MOST / mr * mr;
    size_t size = dtype_size(g->a_type), column = g->a_col * size;
    for (size_t d = 0; d < depth; d++)
        for (size_t i = 0; i < m; i += most) {
            size_t rows = m - i < most ? m - i : most, p = widens ? d : 2 * d;
            const char *a = (const char *)g->a + (row + i) * size + (from + p) * column;
            uint32_t units[MOST] = {0};
            uint16_t halves[MOST];
            for (size_t ahead = AHEAD; ahead < AHEAD + 2 && p + ahead < k; ahead++)
                for (size_t r = 0; r < rows * size; r += 64)
                    __builtin_prefetch(a + ahead * column + r);
            if (!widens) {
                isa->zip_bf16(g->a_type, a, p + 1 < k ? a + column : NULL, rows, units);
            } else if (p < k && g->a_type == product) {
                isa->rows.widen(product, a, (float *)units, rows);
            } else if (p < k) {
                isa->rows.narrow(product, (const float *)a, halves, rows);
                isa->rows.widen(product, halves, (float *)units, rows);
            }
            for (size_t r = 0; r < rows; r += mr)
                memcpy(out + (i + r) * depth + d * mr, units + r, mr * sizeof(*units));
        }
}

/* Columns of A become rows of pairs: some steps of all rows at a time are zipped, then turned. */
static void turn_a_columns(const Gemm *g, size_t row, size_t m, size_t from, size_t k,
                           uint32_t *out)
{
    enum { MOST = 128, STEPS = 16 };
    const Isa *isa = isa_in_use();
    size_t depth = low_steps(DT_BF16, k), stride = low_row_stride(depth);
    size_t size = dtype_size(g->a_type), column = g->a_col * size;
    for (size_t d = 0; d < depth; d += STEPS)
        for (size_t i = 0; i < m; i += MOST) {
            uint32_t zipped[STEPS][MOST];
            size_t steps = depth - d < STEPS ? depth - d : STEPS,
                   rows = m - i < MOST ? m - i : MOST;
            for (size_t s = 0; s < steps; s++) {
                size_t p = 2 * (d + s);
                const char *a = (const char *)g->a + (row + i) * size + (from + p) * column;
                isa->zip_bf16(g->a_type, a, p + 1 < k ? a + column : NULL, rows, zipped[s]);
            }
            isa->interleave(steps, rows, zipped[0], MOST, out + i * stride + d, stride);
        }
}

/* Rows [row, row + m) over [from, from + k). */
static Lines rows_of_a(const Gemm *g, DType product, size_t row, size_t m, size_t from, size_t k)
{
    size_t at = row * g->a_row + from * g->a_col;
    return (Lines){.product = product,
                   .unsigned8 = product == DT_I8,
                   .x = (const char *)g->a + at * dtype_size(g->a_type),
                   .type = g->a_type,
                   .line = g->a_row,
                   .step = g->a_col,
                   .count = m,
                   .k = k};
}

float low_row_scale(const Gemm *g, DType product, size_t row)
{
    const Lines line = rows_of_a(g, product, row, 1, 0, g->k);
    float scale = scale_of(&line, 0);
    int exponent;
    if (product == DT_I8)
        return scale;
    if (!isfinite(scale) || scale == 0)
        return 1;
    frexpf(scale, &exponent); /* 63.5 to 127 times 2^exponent is the largest element */
    return ldexpf(1, exponent < -100 ? -97 : exponent + 3);
}

/* Columns of f16, which no model has, are gathered. */
void low_pack_a(const Gemm *g, DType product, const LowKernel *kernel, size_t row, size_t m,
                size_t from, size_t k, const float *row_scale, uint32_t *out)
{
    if (g->a_col != 1 && kernel->rows && product == DT_BF16) {
        turn_a_columns(g, row, m, from, k, out);
        return;
    }
    if (g->a_col != 1 && !kernel->rows) {
        pack_a_columns(g, product, kernel->widens, row, m, from, k, out);
        return;
    }
    Lines rows = rows_of_a(g, product, row, m, from, k);
    rows.widens = kernel->widens;
    pack_a_rows(&rows, unit_count(product, kernel->widens, k), row_scale, out);
}

/* ---- B ---- */

/* The pairs of f16 of two rows. */
static void zip_f16(const float *even, const float *odd, size_t columns, uint32_t *out)
{
    uint16_t low[MOST_COLUMNS], high[MOST_COLUMNS] = {0};
    isa_in_use()->rows.narrow(DT_F16, even, low, columns);
    if (odd)
        isa_in_use()->rows.narrow(DT_F16, odd, high, columns);
    for (size_t j = 0; j < columns; j++)
        out[j] = low[j] | (uint32_t)high[j] << 16;
}

/* The two rows of f16 that a step's pairs stand for. */
static void unzip(size_t steps, size_t width, uint32_t *panel)
{
    for (size_t s = 0; s < steps; s++, panel += width) {
        uint32_t pairs[MOST_COLUMNS];
        uint16_t *halves = (uint16_t *)panel;
        memcpy(pairs, panel, width * sizeof(*pairs));
        for (size_t j = 0; j < width; j++) {
            halves[j] = (uint16_t)pairs[j];
            halves[width + j] = (uint16_t)(pairs[j] >> 16);
        }
    }
}

/* A panel of B whose columns are given as lines; columns that do not exist are zeros. */
static void pack_panel_lines(const Lines *columns, size_t width, uint32_t *out)
{
    size_t lanes = isa_in_use()->tile.lanes, steps = low_steps(columns->product, columns->k);
    if (columns->count < width)
        memset(out, 0, steps * width * sizeof(*out));
    for (size_t j = 0; j < columns->count; j += lanes) {
        Lines group = *columns;
        group.x = (const char *)columns->x + j * columns->line * dtype_size(columns->type);
        group.count = columns->count - j < lanes ? columns->count - j : lanes;
        group.scale = columns->scale ? columns->scale + j : NULL;
        pack_lines(&group, out + j, width);
    }
    if (low_b_in_rows(isa_in_use(), columns->product))
        unzip(steps, width, out);
}

void low_pack_panel(DType product, size_t k, size_t columns, size_t width, DType type,
                    const void *b, size_t b_row, size_t b_col, uint32_t *out)
{
    const Isa *isa = isa_in_use();
    if (b_col != 1) {
        Lines lines = {.product = product,
                       .x = b,
                       .type = type,
                       .line = b_col,
                       .step = b_row,
                       .count = columns,
                       .k = k};
        pack_panel_lines(&lines, width, out);
        return;
    }
    if (columns < width || k % 2 == 1)
        memset(out, 0, low_steps(product, k) * width * sizeof(*out));
    if (product == DT_BF16) {
        isa->zip_rows_bf16(type, b, b_row, k, columns, out, width);
        return;
    }
    bool in_rows = low_b_in_rows(isa, product);
    const float *even = b;
    for (size_t p = 0; p < k; p += 2, even += 2 * b_row, out += width) {
        const float *odd = p + 1 < k ? even + b_row : NULL;
        if (!in_rows) {
            zip_f16(even, odd, columns, out);
            continue;
        }
        isa->rows.narrow(DT_F16, even, out, columns);
        if (odd)
            isa->rows.narrow(DT_F16, odd, (uint16_t *)out + width, columns);
    }
}

/* ---- slices of a PackedB ---- */

/* Scales and sums of the columns of a panel of i8, whose levels are `panel`. */
static void describe_columns(const PackedB *p, size_t column, size_t count, size_t width,
                             const float *scale, const uint32_t *panel)
{
    float *scales = (float *)low_column_scale(p) + column;
    int32_t *sums = (int32_t *)low_column_sum(p) + column;
    for (size_t j = 0; j < width; j++) {
        scales[j] = j < count ? scale[j] : 0;
        sums[j] = 0;
    }
    for (size_t s = 0; s < low_steps(DT_I8, p->k); s++)
        for (size_t j = 0; j < width; j++)
            for (int byte = 0; byte < 4; byte++)
                sums[j] += (int8_t)(panel[s * width + j] >> 8 * byte);
}

/* A panel of i8; x: line 0, the columns' line `skip` of all. */
static void pack_panel_i8(PackedB *p, const Lines *lines, const char *x, size_t skip, size_t column,
                          size_t count, size_t whole)
{
    uint32_t *out = low_panel(p, column);
    float scale[MOST_COLUMNS];
    Lines panel = *lines;
    panel.x = x;
    panel.count = count;
    panel.scale = scale;
    for (size_t j = 0; j < count; j++)
        scale[j] = lines->type == DT_I8 ? lines->scale[skip + j] : scale_of(&panel, j);
    pack_panel_lines(&panel, whole, out);
    describe_columns(p, column, count, whole, scale, out);
}

/* Group `at` of one column into its place of a panel's step. */
static void place_group(const PackedB *p, const char *group, size_t width, size_t at,
                        uint32_t *step)
{
    size_t units = (low_step_bytes(p->type) - sizeof(uint16_t)) / sizeof(*step);
    memcpy((uint16_t *)(step + units * width) + at, group, sizeof(uint16_t));
    for (size_t u = 0; u < units; u++) {
        uint32_t unit;
        memcpy(&unit, group + sizeof(uint16_t) + u * sizeof(unit), sizeof(unit));
        step[u * width + at] = unit ^ low_level_flip(p->type);
    }
}

/* A panel of groups: columns of fp32 are quantised some groups at a time, columns of the format are
 * taken as they are. */
static void pack_panel_groups(const PackedB *p, const Lines *lines, const char *x, size_t count,
                              size_t width, uint32_t *out)
{
    enum { GROUPS = CHUNK_ELEMENTS / QUANT_GROUP };
    size_t bytes = low_step_bytes(p->type), row = dtype_bytes(p->type, p->k);
    float gathered[CHUNK_ELEMENTS];
    char made[GROUPS * Q8_0_BYTES];
    if (count < width)
        memset(out, 0, low_steps(p->type, p->k) * width * bytes);
    for (size_t j = 0; j < count; j++) {
        for (size_t k = 0; k < p->k; k += CHUNK_ELEMENTS) {
            size_t n = p->k - k < CHUNK_ELEMENTS ? p->k - k : CHUNK_ELEMENTS;
            const char *group = x + j * row + k / QUANT_GROUP * bytes;
            if (lines->type == DT_F32) {
                Lines line = *lines;
                line.x = x;
                isa_in_use()->rows.narrow(p->type, contiguous(&line, j, k, n, gathered), made, n);
                group = made;
            }
            for (size_t g = 0; g < n / QUANT_GROUP; g++)
                place_group(p, group + g * bytes, width, j,
                            out + (k / QUANT_GROUP + g) * width * bytes / sizeof(*out));
        }
    }
}

/* Columns [from, to) from lines that begin at column `from`. Threads own panels. */
static void pack_columns(PackedB *p, size_t from, size_t to, const Lines *lines, int threads)
{
    const Tile *tile = &p->isa->tile;
    CHECK(p->isa == isa_in_use(), "packed by another instruction set");
    CHECK(!dtype_is_grouped(p->type) || p->k % QUANT_GROUP == 0, "%zu are no groups", p->k);
    CHECK(from % GEMM_COLUMNS == 0 && from <= to && to <= p->n &&
              (to % GEMM_COLUMNS == 0 || to == p->n),
          "columns %zu to %zu of %zu are no slice", from, to, p->n);
    size_t width = tile->lanes * tile->vectors, first = from / width;
    size_t panels = (to - from + width - 1) / width;
    int useful = gemm_packing_threads(p->k, to - from, threads);
#pragma omp parallel for schedule(static) num_threads(useful) if (useful > 1)
    for (size_t i = first; i < first + panels; i++) {
        size_t column = i * width, whole = low_panel_width(tile, p->n, i);
        size_t count = p->n - column < whole ? p->n - column : whole, skip = column - from;
        const char *x = (const char *)lines->x + skip * dtype_bytes(lines->type, lines->line);
        uint32_t *out = low_panel(p, column);
        if (p->type == DT_I8)
            pack_panel_i8(p, lines, x, skip, column, count, whole);
        else if (dtype_is_grouped(p->type))
            pack_panel_groups(p, lines, x, count, whole, out);
        else
            low_pack_panel(p->type, p->k, count, whole, lines->type, x, lines->step, lines->line,
                           out);
    }
}

void gemm_pack_columns(PackedB *p, size_t from, size_t to, const float *b, size_t b_row,
                       size_t b_col, int threads)
{
    Lines lines = {
        .product = p->type, .x = b, .type = DT_F32, .line = b_col, .step = b_row, .k = p->k};
    if (p->type == DT_F32)
        fp32_pack(p, from, to, b, b_row, b_col, threads);
    else
        pack_columns(p, from, to, &lines, threads);
}

void gemm_pack_columns_i8(PackedB *p, size_t from, size_t to, const int8_t *levels, size_t b_row,
                          size_t b_col, const float *scale, int threads)
{
    CHECK(p->type == DT_I8, "levels for a matrix of %s", dtype_name(p->type));
    Lines lines = {.product = DT_I8,
                   .x = levels,
                   .type = DT_I8,
                   .line = b_col,
                   .step = b_row,
                   .k = p->k,
                   .scale = scale};
    pack_columns(p, from, to, &lines, threads);
}

void gemm_pack_columns_groups(PackedB *p, size_t from, size_t to, const void *groups, int threads)
{
    CHECK(dtype_is_grouped(p->type), "groups for a matrix of %s", dtype_name(p->type));
    Lines lines = {
        .product = p->type, .x = groups, .type = p->type, .line = p->k, .step = 1, .k = p->k};
    pack_columns(p, from, to, &lines, threads);
}
