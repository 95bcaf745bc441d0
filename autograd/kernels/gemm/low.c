/* low: C = A B in bf16, f16, i8, q8_0 or q4_0, sums in fp32 (i8: int32; f16 by AVX512_FP16 in short
 * chains of f16 first, fp16_tile.c): blocks for the caches, parts for the threads.
 *
 * One idea: a thread packs a block of its rows of A, rounding them on the way, and runs it past the
 * panels of B. These are packed already, or each is packed into the second-level cache piece by
 * piece while the strips of A pass over the one before it, so that memory is waited for seldom. A
 * tile's sums stay fp32 until all of k is in them; where k is deeper than a block they wait in C,
 * or in scratch where C cannot hold them. A kernel that can finishes each tile between the steps of
 * the next, so that the multipliers do not wait for the epilogue.
 *
 * Blocks over k depend on k, the format, whether B is packed and, where it lies in rows, on m, so
 * results do not depend on the number of threads, bit for bit. Sums of groups do not depend on the
 * blocks either, since each goes on from the last: few rows pass over all of k at once, so that B
 * is read in its order.
 *
 * Packing is in low_pack.c, the choice of a kernel in low_kernel.c; the innermost loops are in
 * simd/low_tile.c, group_tile.c, amx_tile.c, amx_groups.c and fp16_tile.c there. */
#include "autograd/kernels/gemm/low.h"

#include "autograd/kernels/gemm/low_kernel.h"
#include "autograd/kernels/gemm/low_pack.h"
#include "autograd/kernels/gemm/packed.h"
#include "autograd/kernels/gemm/partition.h"
#include "autograd/kernels/placement.h"

/* A block is DEPTH units of k deep, or SHALLOW where B is packed here, in backward products down to
 * SHALLOWEST: a shallow block has more rows, and B is packed once for all of them. */
enum {
    DEPTH = 1024,
    SHALLOW = 512,
    SHALLOWEST = 256,
    A_UNITS = 224 * 1024, /* of a block of A, unless the kernel has its own number of them ... */
    MOST_A_UNITS = 272 * 1024, /* ... up to this */
    B_UNITS = 48 * SHALLOW,    /* of a panel of B */
    FIRST_PARTS = 32,          /* in which the first panel of a block is packed */
    TURNED = 16,               /* steps of columns along k that are packed at a time */
    MOST_ROWS = 1024,          /* of a block */
    FEW_ROWS = 16,             /* of groups: these are one block over k, if that fits ... */
    DEEP = A_UNITS / FEW_ROWS, /* ... so many units */
    MOST_COLUMNS = 64,         /* of a panel */
    SUMS = 128 * 1024,         /* that wait */
    MOST_STRIP = 128,          /* rows of a tile */
    TILE_SUMS = MOST_STRIP * MOST_COLUMNS,
};

typedef struct Scratch {
    uint32_t a[MOST_A_UNITS], b[2][B_UNITS];
    float sums[SUMS], tile[2][TILE_SUMS], row_scale[MOST_ROWS];
} __attribute__((aligned(64))) Scratch;

size_t low_scratch_bytes(int threads)
{
    return (size_t)threads * sizeof(Scratch);
}

/* ---- one thread's part ---- */

typedef struct Part {
    const Gemm *g;
    const Isa *isa;
    const LowKernel *kernel;
    DType product;
    size_t n;      /* columns of B, of the whole packed matrix where there is one */
    Range panels;  /* of these columns */
    size_t blocks; /* over k */
    bool waits;    /* sums wait in scratch for the next block over k, since C cannot hold them */
    /* Of the packed columns of an i8 product. */
    const float *column_scale;
    const int32_t *column_sum;
    Scratch *scratch;
    LowFinish unfinished; /* a tile that is multiplied already, if it has rows */
} Part;

/* A block of rows, some panels, and a block over k in steps. */
typedef struct Block {
    Range rows, panels, steps;
    bool first, last; /* over k */
} Block;

static size_t units_per_step(const Part *t)
{
    return low_a_units(t->product, t->kernel->widens);
}

/* How many rows are multiplied at a time. */
static size_t strip_rows(const Part *t)
{
    return t->kernel->rows ? t->kernel->rows : t->isa->tile.rows;
}

static size_t panel_column(const Part *t, size_t panel)
{
    return panel * t->isa->tile.lanes * t->isa->tile.vectors;
}

/* The columns of a panel, counted as in Part.n: from `first` on, `count` of `width` exist. */
typedef struct Columns {
    size_t first, count, width;
} Columns;

static Columns panel_columns(const Part *t, size_t panel)
{
    size_t first = panel_column(t, panel), left = t->n - first;
    size_t width = low_panel_width(&t->isa->tile, t->n, panel);
    return (Columns){first, left < width ? left : width, width};
}

/* Distance between steps of a packed panel, in units. */
static size_t step_units(const Part *t, const Columns *j)
{
    return j->width * low_step_bytes(t->product) / sizeof(uint32_t);
}

/* Whether each row of A is divided by something while it is packed. */
static bool scales_rows(const Part *t)
{
    return t->product == DT_I8 || t->kernel->scales;
}

/* Offset, in elements, of a tile's first element in C, z and the residual. */
static size_t offset_in_c(const Part *t, size_t row, const Columns *j)
{
    return row * t->g->c_row + j->first - t->g->packed_from;
}

static LowFinish describe_finish(const Part *t, size_t row, size_t rows, const Block *block,
                                 const Columns *j, const float *sums)
{
    const Gemm *g = t->g;
    size_t offset = offset_in_c(t, row, j);
    bool scaled = t->product == DT_I8;
    return (LowFinish){
        .rows = rows,
        .columns = j->count,
        .width = j->width,
        .sums = sums,
        .row_scale = scales_rows(t) ? t->scratch->row_scale + (row - block->rows.from) : NULL,
        .column_scale = scaled ? t->column_scale + j->first : NULL,
        .column_sum = scaled ? t->column_sum + j->first : NULL,
        .c = (char *)g->c + offset * dtype_size(g->c_type),
        .c_type = g->c_type,
        .c_row = g->c_row,
        .accumulate = g->accumulate || (!t->waits && !block->first),
        .epi = !block->last ? (Epilogue){0}
                            : epilogue_at(&g->epi, g->c_type, (ptrdiff_t)offset,
                                          (ptrdiff_t)(j->first - g->packed_from)),
    };
}

static void finish_unfinished(Part *t)
{
    if (t->unfinished.rows > 0)
        t->isa->low_finish(&t->unfinished);
    t->unfinished.rows = 0;
}

/* Whether the kernel can finish this tile while it multiplies another for which this holds too. */
static bool can_be_left(const Part *t, const LowFinish *f)
{
    const Tile *whole = &t->isa->tile;
    return t->kernel->finishes && f->rows == strip_rows(t) &&
           f->columns == whole->lanes * whole->vectors && t->isa->low_finish_row(f) &&
           (t->kernel->finishes_any || (!f->accumulate && !f->epi.z));
}

/* Multiplies a tile over the last of its steps, and finishes it or leaves that to the next tile. */
static void multiply_and_finish(Part *t, LowTile tile, const LowFinish *current)
{
    bool leave = can_be_left(t, current) && !tile.add;
    if (leave && t->unfinished.rows > 0) {
        tile.unfinished = &t->unfinished;
        tile.finish_row = t->isa->low_finish_row(&t->unfinished);
    }
    bool reads = current->accumulate || current->epi.residual;
    if (t->kernel->prefetches ? reads : tile.unfinished != NULL)
        tile.current = current;
    for (size_t i = 0; i < current->rows && !t->kernel->prefetches && !tile.unfinished; i++)
        low_prefetch_row(current, i);
    t->kernel->tile(&tile);
    if (tile.unfinished)
        t->unfinished.rows = 0;
    finish_unfinished(t);
    t->unfinished = *current;
    if (!leave)
        finish_unfinished(t);
}

/* How a panel of a plain B is packed over a block's steps: in so many parts, into `out`. */
typedef struct Packing {
    Columns columns;
    Range steps;
    size_t parts;
    uint32_t *out;
} Packing;

/* Two panels have room: the one in use and the next. */
static uint32_t *place_of_panel(const Part *t, size_t panel)
{
    return t->scratch->b[panel % 2];
}

static Packing describe_packing(const Part *t, const Block *block, size_t panel, size_t parts)
{
    return (Packing){panel_columns(t, panel), block->steps, parts, place_of_panel(t, panel)};
}

static Range steps_of_part(const Part *t, const Packing *p, size_t part)
{
    size_t unit = t->g->b_col == 1 ? 1 : TURNED, steps = p->steps.to - p->steps.from;
    Range units = share((steps + unit - 1) / unit, part, p->parts);
    size_t to = units.to * unit;
    return (Range){p->steps.from + units.from * unit, p->steps.from + (to < steps ? to : steps)};
}

/* The elements along k of some steps. */
static Range depth_of(const Part *t, Range steps)
{
    size_t step = low_step(t->product), to = steps.to * step;
    return (Range){steps.from * step, to < t->g->k ? to : t->g->k};
}

/* What one part is packed from. Few lines at a time: rows of B may lie a multiple of 4,096 bytes
 * apart, and then a whole panel of them has no room in the second-level cache. */
static LowSource source_of_part(const Part *t, const Packing *p, size_t part)
{
    const Gemm *g = t->g;
    Range depth = depth_of(t, steps_of_part(t, p, part));
    bool in_rows = g->b_col == 1;
    Range columns = {p->columns.first, p->columns.first + p->columns.count};
    Range lines = in_rows ? depth : columns, along = in_rows ? columns : depth;
    size_t line = in_rows ? g->b_row : g->b_col, size = dtype_size(g->b_type);
    return (LowSource){.at = (const char *)g->b + (lines.from * line + along.from) * size,
                       .count = lines.to - lines.from,
                       .row = line * size,
                       .bytes = (along.to - along.from) * size};
}

static void prefetch_source(const LowSource *s)
{
    for (size_t i = 0; i < s->count; i++)
        low_prefetch_line(s, i);
}

static void pack_part(const Part *t, const Packing *p, size_t part)
{
    const Gemm *g = t->g;
    const Columns *j = &p->columns;
    Range steps = steps_of_part(t, p, part), depth = depth_of(t, steps);
    size_t first = depth.from * g->b_row + j->first * g->b_col;
    if (steps.from < steps.to)
        low_pack_panel(t->product, depth.to - depth.from, j->count, j->width, g->b_type,
                       (const char *)g->b + first * dtype_size(g->b_type), g->b_row, g->b_col,
                       p->out + (steps.from - p->steps.from) * step_units(t, j));
}

/* The first panel of a block, which no strip can hide. */
static void pack_first_panel(const Part *t, const Block *block)
{
    const Packing p = describe_packing(t, block, block->panels.from, FIRST_PARTS);
    for (size_t i = 0; i <= p.parts; i++) {
        if (i < p.parts) {
            const LowSource source = source_of_part(t, &p, i);
            prefetch_source(&source);
        }
        if (i > 0)
            pack_part(t, &p, i - 1);
    }
}

/* The panel over the block's steps. */
static const uint32_t *panel_of(const Part *t, const Block *block, size_t panel)
{
    const Columns j = panel_columns(t, panel);
    return t->g->packed ? low_panel(t->g->packed, j.first) + block->steps.from * step_units(t, &j)
                        : place_of_panel(t, panel);
}

/* All strips of the block against one panel. */
static void multiply_panel(Part *t, const Block *block, size_t panel)
{
    const Columns j = panel_columns(t, panel);
    size_t mr = strip_rows(t), m = block->rows.to - block->rows.from;
    size_t steps = block->steps.to - block->steps.from;
    size_t before = j.first - panel_column(t, block->panels.from);
    const uint32_t *b = panel_of(t, block, panel);
    LowLayout a = low_layout(t->g, t->kernel, mr, steps * units_per_step(t));
    size_t strips = (m + mr - 1) / mr;
    size_t step_bytes = step_units(t, &j) * sizeof *b,
           next = low_steps(t->product, t->g->k) * step_bytes;
    /* A strip of more rows than Tile has takes as long as several. */
    size_t worth = strips > 1 && mr > t->isa->tile.rows ? strips * mr / t->isa->tile.rows : strips;
    size_t distance = t->g->packed ? prefetch_distance(&t->isa->tile, worth, next) : 0;
    bool packs = !t->g->packed && panel + 1 < block->panels.to;
    const Packing after = packs ? describe_packing(t, block, panel + 1, strips) : (Packing){0};
    for (size_t i = 0; i < m; i += mr) {
        const LowSource source = packs ? source_of_part(t, &after, i / mr) : (LowSource){0};
        if (!t->kernel->prefetches)
            prefetch_source(&source);
        if (packs && i > 0)
            pack_part(t, &after, i / mr - 1);
        Range prefetch = share(distance ? steps * step_bytes : 0, i / mr, strips);
        float *other = t->scratch->tile[t->unfinished.sums == t->scratch->tile[0]];
        float *sums = t->waits ? t->scratch->sums + before * m + i * j.width : other;
        size_t row = block->rows.from + i, rows = m - i < mr ? m - i : mr;
        const LowTile tile = {
            .rows = rows,
            .vectors = j.width / t->isa->tile.lanes,
            .steps = steps,
            .a = t->scratch->a + i / mr * a.strip,
            .a_row = a.row,
            .a_unit = a.unit,
            .b = b,
            .sums = sums,
            .add = t->waits && !block->first,
            .prefetch = (const char *)b + distance + prefetch.from,
            .prefetch_step = steps ? (prefetch.to - prefetch.from + steps - 1) / steps : 0,
            .source = source,
        };
        if (t->waits && !block->last) {
            t->kernel->tile(&tile);
            continue;
        }
        const LowFinish finish = describe_finish(t, row, rows, block, &j, sums);
        multiply_and_finish(t, tile, &finish);
    }
    if (packs)
        pack_part(t, &after, strips - 1);
}

/* Rows one by one. The first packing of a row finds its scale, which brings the row into the
 * cache. */
static void pack_scaled_rows(const Part *t, const Block *block, size_t from, size_t k)
{
    const Gemm *g = t->g;
    LowLayout a = low_layout(g, t->kernel, strip_rows(t),
                             (block->steps.to - block->steps.from) * units_per_step(t));
    for (size_t i = block->rows.from, r = 0; i < block->rows.to; i++, r++) {
        float *scale = t->scratch->row_scale + r;
        if (block->first && block->panels.from == t->panels.from)
            *scale = low_row_scale(g, t->product, i);
        low_pack_a(g, t->product, t->kernel, i, 1, from, k, scale, t->scratch->a + r * a.row);
    }
}

/* Rows of groups: levels and scale of each, from the rows themselves. A kernel that places them has
 * them from where panels are packed, which groups never are. */
static void quantize_groups(const Part *t, const Block *block, size_t from, size_t k)
{
    const Gemm *g = t->g;
    LowLayout a = low_layout(g, t->kernel, strip_rows(t), k / QUANT_GROUP * LOW_GROUP_UNITS);
    int32_t zero = t->product == DT_Q8_0 ? 128 : 8;
    bool places = t->kernel->place_groups != NULL;
    for (size_t i = block->rows.from, r = 0; i < block->rows.to; i++, r++) {
        LowGroup *row = (LowGroup *)(places ? t->scratch->b[0] : t->scratch->a + r * a.row);
        t->isa->quantize_groups((const float *)g->a + i * g->a_row + from, k, zero, row);
        if (places)
            t->kernel->place_groups(row, k / QUANT_GROUP, r, t->scratch->a, a.row);
    }
}

static void pack_rows(const Part *t, const Block *block)
{
    const Gemm *g = t->g;
    size_t from = block->steps.from * low_step(t->product);
    size_t to = block->steps.to * low_step(t->product), k = (to < g->k ? to : g->k) - from;
    if (scales_rows(t))
        pack_scaled_rows(t, block, from, k);
    else if (dtype_is_grouped(t->product))
        quantize_groups(t, block, from, k);
    else
        low_pack_a(g, t->product, t->kernel, block->rows.from, block->rows.to - block->rows.from,
                   from, k, NULL, t->scratch->a);
}

/* A block of rows against all panels of the part. A is packed once; where sums wait in scratch,
 * once for every group of panels whose sums fit there. */
static void multiply_rows(Part *t, Range rows)
{
    size_t steps = low_steps(t->product, t->g->k), all = t->panels.to - t->panels.from;
    size_t sums = panel_column(t, 1) * (rows.to - rows.from);
    size_t group = t->waits ? SUMS / sums : all;
    for (size_t p = 0; p < all; p += group) {
        size_t end = all - p < group ? all : p + group;
        for (size_t d = 0; d < t->blocks; d++) {
            Block block = {
                .rows = rows,
                .panels = {t->panels.from + p, t->panels.from + end},
                .steps = share(steps, d, t->blocks),
                .first = d == 0,
                .last = d + 1 == t->blocks,
            };
            pack_rows(t, &block);
            if (!t->g->packed)
                pack_first_panel(t, &block);
            for (size_t i = block.panels.from; i < block.panels.to; i++)
                multiply_panel(t, &block, i);
            /* The next block has other row scales and may add to C. */
            finish_unfinished(t);
        }
    }
}

/* Blocks of whole strips, as high as scratch has room for their packed form. */
static void multiply_part(Part *t, Range rows)
{
    size_t mr = strip_rows(t), strips = (rows.to - rows.from + mr - 1) / mr;
    size_t steps = (low_steps(t->product, t->g->k) + t->blocks - 1) / t->blocks;
    size_t strip = mr * low_row_stride(steps * units_per_step(t));
    size_t most = MOST_ROWS / mr;
    size_t room = t->kernel->block ? t->kernel->block : A_UNITS;
    most = strip * most > room ? room / strip : most;
    size_t blocks = (strips + most - 1) / most;
    for (size_t i = 0; i < blocks; i++) {
        Range block = share(strips, i, blocks);
        size_t end = rows.from + block.to * mr;
        multiply_rows(t, (Range){rows.from + block.from * mr, end < rows.to ? end : rows.to});
    }
}

/* ---- the whole product ---- */

bool low_takes(const Gemm *g)
{
    DType product = g->packed ? gemm_packed_type(g->packed) : g->product;
    CHECK(product != DT_F32 || (g->a_type == DT_F32 && g->b_type == DT_F32 && g->c_type == DT_F32),
          "an fp32 product of %s by %s into %s", dtype_name(g->a_type), dtype_name(g->b_type),
          dtype_name(g->c_type));
    return product != DT_F32;
}

static void check(const Gemm *g, DType product)
{
    CHECK(g->a_type == DT_F32 || g->a_col == 1 || (g->a_type == DT_BF16 && product == DT_BF16),
          "an A of %s in columns", dtype_name(g->a_type));
    CHECK(g->packed || g->b_type == DT_F32 || (g->b_type == DT_BF16 && product == DT_BF16),
          "a B of %s", dtype_name(g->b_type));
    CHECK(g->c_type != DT_F16 || !g->epi.z, "z is not kept beside a C of f16");
    bool grouped = dtype_is_grouped(product);
    CHECK(!(product == DT_I8 || grouped) || (g->packed && g->a_type == DT_F32 && g->a_col == 1),
          "a product of %s takes a packed B and rows of fp32", dtype_name(product));
    CHECK(!grouped || g->k % QUANT_GROUP == 0, "%zu products are no groups", g->k);
    CHECK(product != DT_I8 || g->k <= GEMM_MOST_K_I8, "a sum over %zu overflows an int32", g->k);
    if (!g->packed)
        return;
    size_t end = g->packed_from + g->n;
    CHECK(g->packed->isa == isa_in_use() && g->packed->k == g->k && end <= g->packed->n,
          "packed for another product: %zux%zu", g->k, g->n);
    CHECK(g->packed_from % GEMM_COLUMNS == 0 && (end % GEMM_COLUMNS == 0 || end == g->packed->n),
          "columns %zu to %zu are no slice of a packed matrix", g->packed_from, end);
}

/* Where B would be packed for several blocks of rows, or C added up from several blocks over k for
 * a whole one. Measured for kernels that say how large a block of A should be. */
bool low_pays_packing(DType product, size_t m, size_t k)
{
    const Part t = {.isa = isa_in_use(), .kernel = low_kernel_for(isa_in_use(), product, m)};
    if (!t.kernel->block)
        return false;
    size_t mr = strip_rows(&t), strips = (m + mr - 1) / mr;
    size_t most = t.kernel->block / low_row_stride(SHALLOW) / mr;
    return strips > most || (strips == most && low_steps(product, k) > SHALLOW);
}

/* Of a B that is packed here. In the backward products, whose B lies in rows, a block of A takes
 * all rows if it can, so that B is packed once. low_row_stride leaves an odd multiple of 16 as it
 * is. */
static size_t shallow_depth(const Part *t)
{
    if (t->g->b_col != 1 || !t->kernel->block)
        return SHALLOW;
    size_t mr = strip_rows(t), rows = (t->g->m + mr - 1) / mr * mr;
    size_t room = t->kernel->block / rows / 16; /* for a row, in 16 units */
    if (room <= SHALLOWEST / 16)
        return SHALLOWEST;
    return room > SHALLOW / 16 ? SHALLOW : ((room - 1) | 1) * 16;
}

void low_run(const Gemm *g, int threads, void *scratch)
{
    DType product = g->packed ? gemm_packed_type(g->packed) : g->product;
    check(g, product);
    Part whole = {.g = g, .isa = isa_in_use(), .product = product};
    whole.kernel = low_kernel_for(whole.isa, product, g->m);
    CHECK(whole.kernel->block <= MOST_A_UNITS && whole.kernel->rows <= MOST_STRIP,
          "no room for a block or a strip of A");
    Tile tile = whole.isa->tile;
    tile.rows = strip_rows(&whole);
    whole.n = g->packed ? g->packed->n : g->n;
    whole.column_scale = product == DT_I8 ? low_column_scale(g->packed) : NULL;
    whole.column_sum = product == DT_I8 ? low_column_sum(g->packed) : NULL;
    size_t units = low_steps(product, g->k) * units_per_step(&whole);
    bool grouped = dtype_is_grouped(product);
    bool few = g->m <= FEW_ROWS && tile.rows <= FEW_ROWS;
    size_t depth = grouped && few ? DEEP : g->packed ? DEPTH : shallow_depth(&whole);
    if (product == DT_I8)
        depth *= units_per_step(&whole); /* sums that wait cost more than a long strip */
    whole.blocks = units <= depth ? 1 : (units + depth - 1) / depth;
    whole.waits = whole.blocks > 1 && (g->c_type != DT_F32 || product == DT_I8 || grouped);
    size_t first = g->packed_from / panel_column(&whole, 1), panels = panel_count(&tile, g->n);

    double b_size = (double)low_step_bytes(product) / (double)low_step(product);
    double us = gemm_estimate_us(g, 120, g->packed ? b_size : (double)dtype_size(g->b_type));
    threads = gemm_useful_threads(us, threads);
    Grid grid = gemm_divide(g, &tile, (size_t)threads);
    size_t parts = grid.rows * grid.columns;
#pragma omp parallel for schedule(static, 1) num_threads((int)parts) if (parts > 1)
    for (size_t i = 0; i < parts; i++) {
        placement_note();
        Part part = whole;
        part.panels = share_of((Range){first, first + panels}, i % grid.columns, grid.columns);
        part.scratch = (Scratch *)scratch + i;
        multiply_part(&part, share(g->m, i / grid.columns, grid.rows));
        low_release(part.kernel);
    }
}
