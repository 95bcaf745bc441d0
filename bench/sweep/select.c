/* select: which rows of a sweep are run by this process; see sweep.h. */
#include <inttypes.h>
#include <stdlib.h>

#include "bench/sweep/sweep.h"
#include "bench/util/filter.h"

static int match_names(Sweep *s, const char *regex, Err *err)
{
    NameFilter filter;
    if (name_filter_open(&filter, regex, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        s->items[i].selected = name_filter_keeps(&filter, s->items[i].name);
    return name_filter_close(&filter, "rows", err);
}

/* Hashes what the config says, without defaults: threads depend on the machine, and a row belongs
 * to the same shard on all machines. */
static uint64_t shard_hash(const SweepConfig *s, const RowConfig *c)
{
    RowConfig told = *c;
    char id[ROW_ID_SIZE];
    for (size_t i = 0; i < num_row_fields; i++) {
        const Field *f = &row_fields[i];
        bool is_key = f->group == FIELD_CONFIG && f->option && f->kind != FIELD_BOOL;
        if (is_key && s->grid.axes[i].count == 0)
            field_clear(f, &told);
    }
    row_id(&told, id);
    return strtoull(id + 1, NULL, 16);
}

int sweep_select(Sweep *s, const char *filter, int64_t shard, int64_t shards, Err *err)
{
    CHECK(1 <= shard && shard <= shards, "shard %" PRId64 " of %" PRId64, shard, shards);
    if (match_names(s, filter, err) != 0)
        return -1;
    for (size_t i = 0; i < s->count; i++) {
        uint64_t hash = shard_hash(&s->config, &s->items[i].result.config);
        s->items[i].selected &= hash % (uint64_t)shards == (uint64_t)shard - 1;
    }
    return 0;
}
