/* data: see data.h. */
#include "bench/train/data.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/owned.h"

/* ---- examples ---- */

static void from_texts(Examples *e, const LabelledTexts *texts, const WordPiece *w,
                       size_t max_length)
{
    IdBuffer ids = {0};
    e->count = texts->count;
    e->start = xcalloc(e->count + 1, sizeof *e->start);
    e->label = xcalloc(e->count, sizeof *e->label);
    for (size_t i = 0; i < e->count; i++) {
        wordpiece_encode(w, texts->at[i].text, texts->at[i].len, max_length, &ids);
        e->start[i + 1] = ids.count;
        e->label[i] = texts->at[i].label;
    }
    e->ids = xmalloc(ids.count * sizeof *e->ids);
    memcpy(e->ids, ids.ids, ids.count * sizeof *e->ids);
    id_buffer_release(&ids);
}

int examples_load_texts(Examples *e, const char *path, const Labels *labels, const WordPiece *w,
                        size_t max_length, size_t vocab_size, Err *err)
{
    *e = (Examples){0};
    LabelledTexts texts;
    if (wordpiece_num_ids(w) > vocab_size)
        return err_set(err, "the tokenizer has %zu ids, but the model only %zu",
                       wordpiece_num_ids(w), vocab_size);
    if (jsonl_load(&texts, path, labels, err) != 0)
        return -1;
    from_texts(e, &texts, w, max_length);
    labelled_texts_release(&texts);
    return 0;
}

/* The ids of a text without those that begin and end every text, or its bytes. */
static IdBuffer ids_of(const char *text, size_t len, const Tokenizer *t)
{
    IdBuffer ids = {0};
    if (t)
        tokenizer_encode_bare(t, text, len, &ids);
    for (size_t i = 0; i < len && !t; i++)
        push_id(&ids, (unsigned char)text[i]);
    return ids;
}

static size_t bytes_of(const int32_t *ids, size_t count, const Tokenizer *t)
{
    ByteBuffer bytes = {0};
    size_t sum = t ? 0 : count;
    for (size_t i = 0; i < count && t; i++) {
        bytes.len = 0;
        tokenizer_decode(t, ids[i], true, &bytes);
        sum += bytes.len;
    }
    bytes_release(&bytes);
    return sum;
}

/* `count` windows; the id after the last one is there, too, as its target. */
static void from_ids(Examples *e, const int32_t *ids, size_t count, size_t context,
                     const Tokenizer *t)
{
    *e = (Examples){.count = count, .bytes = bytes_of(ids + 1, count * context, t)};
    e->start = xcalloc(count + 1, sizeof *e->start);
    e->ids = xmalloc((count * context + 1) * sizeof *e->ids);
    for (size_t i = 0; i <= count; i++)
        e->start[i] = i * context;
    memcpy(e->ids, ids, (count * context + 1) * sizeof *e->ids);
}

int examples_load_windows(Examples *train, Examples *held, const char *path,
                          const Tokenizer *tokenizer, size_t context, double held_out, Err *err)
{
    enum { MAX_TEXT_BYTES = 1 << 30 };
    *train = *held = (Examples){0};
    size_t len;
    OWNED char *text = file_read(path, MAX_TEXT_BYTES, &len, err);
    if (!text)
        return -1;
    OWNED_BY(id_buffer_release) IdBuffer ids = ids_of(text, len, tokenizer);
    size_t windows = ids.count > 0 ? (ids.count - 1) / context : 0;
    size_t last = (size_t)ceil((double)windows * held_out);
    if (windows == 0 || (windows == last && held_out < 1))
        return err_set(err, "'%s' has %zu %s, not enough for windows of %zu%s", path, ids.count,
                       tokenizer ? "tokens" : "bytes", context,
                       windows > 0 ? " in what is held out and in the rest" : "");
    from_ids(train, ids.ids, windows - last, context, tokenizer);
    if (last > 0)
        from_ids(held, ids.ids + (windows - last) * context, last, context, tokenizer);
    return 0;
}

void examples_release(Examples *e)
{
    free(e->ids);
    free(e->start);
    free(e->label);
    *e = (Examples){0};
}

size_t example_length(const Examples *e, size_t i)
{
    return e->start[i + 1] - e->start[i];
}

/* FNV-1a (Fowler, Noll & Vo). */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t len)
{
    const unsigned char *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    return hash;
}

uint64_t examples_hash(const Examples *e)
{
    uint64_t hash = 0xcbf29ce484222325u;
    size_t ids = e->start[e->count] + (e->label ? 0 : 1);
    hash = hash_bytes(hash, e->start, (e->count + 1) * sizeof *e->start);
    hash = hash_bytes(hash, e->ids, ids * sizeof *e->ids);
    return e->label ? hash_bytes(hash, e->label, e->count * sizeof *e->label) : hash;
}

/* ---- buckets ---- */

static size_t next_length(size_t length)
{
    return (length + (length + 3) / 4 + 7) / 8 * 8;
}

size_t *bucket_lengths(const Examples *const *sets, size_t num_sets, size_t most, size_t *count)
{
    size_t *lengths = NULL;
    *count = 0;
    for (size_t low = 0, high = 8 < most ? 8 : most; low < most;) {
        bool used = false;
        for (size_t s = 0; s < num_sets; s++)
            for (size_t i = 0; i < sets[s]->count && !used; i++)
                used = example_length(sets[s], i) > low && example_length(sets[s], i) <= high;
        if (used) {
            lengths = xrealloc(lengths, (*count + 1) * sizeof *lengths);
            lengths[(*count)++] = high;
        }
        low = high;
        high = next_length(high) < most ? next_length(high) : most;
    }
    return lengths;
}

/* ---- batches ---- */

/* Streams of random numbers beside those of the parameters, which count from 0. */
enum { STREAM_EXAMPLES = 1 << 29, STREAM_BATCHES };

/* Where element i of a shuffle goes (Fisher & Yates): uniform over 0..i. */
static size_t random_below(const BatchOrder *o, uint64_t stream, size_t i)
{
    uint64_t of_epoch = rng_u64(o->seed, stream, o->epoch);
    return (size_t)(rng_uniform(of_epoch, stream, i) * (double)(i + 1));
}

/* n items of `size` bytes, no more than a TrainBatch has. */
static void shuffle(const BatchOrder *o, uint64_t stream, void *items, size_t size, size_t n)
{
    char *first = items, kept[sizeof(TrainBatch)];
    for (size_t i = n; i-- > 1;) {
        char *a = first + i * size, *b = first + random_below(o, stream, i) * size;
        memcpy(kept, a, size);
        memmove(a, b, size);
        memcpy(b, kept, size);
    }
}

/* Groups the examples by bucket, keeping their order within one. Returns the buckets' ends. */
static size_t *group_by_bucket(const Examples *e, const size_t *lengths, size_t num_lengths,
                               const uint32_t *shuffled, uint32_t *grouped)
{
    size_t *ends = xcalloc(num_lengths, sizeof *ends), at = 0;
    for (size_t k = 0; k < num_lengths; k++) {
        for (size_t i = 0; i < e->count; i++) {
            size_t length = example_length(e, shuffled[i]);
            if (length <= lengths[k] && (k == 0 || length > lengths[k - 1]))
                grouped[at++] = shuffled[i];
        }
        ends[k] = at;
    }
    CHECK(at == e->count, "%zu of %zu examples have a bucket", at, e->count);
    return ends;
}

void batches_build(Batches *b, const Examples *e, const size_t *lengths, size_t num_lengths,
                   BatchOrder order)
{
    OWNED uint32_t *shuffled = xmalloc((e->count + 1) * sizeof *shuffled);
    for (size_t i = 0; i < e->count; i++)
        shuffled[i] = (uint32_t)i;
    if (order.shuffle)
        shuffle(&order, STREAM_EXAMPLES, shuffled, sizeof *shuffled, e->count);
    *b = (Batches){.order = xmalloc((e->count + 1) * sizeof *b->order),
                   .at = xcalloc(e->count / order.batch_size + num_lengths + 1, sizeof *b->at)};
    OWNED size_t *ends = group_by_bucket(e, lengths, num_lengths, shuffled, b->order);
    for (size_t k = 0, from = 0; k < num_lengths; k++)
        for (; from < ends[k]; b->count++) {
            size_t left = ends[k] - from, n = left < order.batch_size ? left : order.batch_size;
            b->at[b->count] = (TrainBatch){lengths[k], b->order + from, n};
            from += n;
        }
    if (order.shuffle)
        shuffle(&order, STREAM_BATCHES, b->at, sizeof *b->at, b->count);
}

void batches_release(Batches *b)
{
    free(b->at);
    free(b->order);
    *b = (Batches){0};
}

size_t batch_positions(const Examples *e, const TrainBatch *b)
{
    size_t sum = 0;
    for (size_t i = 0; i < b->count; i++)
        sum += example_length(e, b->example[i]);
    return sum;
}

BatchArrays batch_arrays_new(size_t batch, size_t positions)
{
    size_t targets = positions > batch ? positions : batch;
    return (BatchArrays){xcalloc(positions, sizeof(int32_t)), xcalloc(batch + 1, sizeof(int32_t)),
                         xcalloc(targets, sizeof(int32_t))};
}

void batch_arrays_free(BatchArrays *a)
{
    free(a->tokens);
    free(a->starts);
    free(a->targets);
    *a = (BatchArrays){0};
}

void batch_fill(const Examples *e, const TrainBatch *b, size_t batch, size_t positions,
                BatchArrays *out)
{
    size_t at = 0, targets = e->label ? batch : positions;
    for (size_t i = 0; i < targets; i++)
        out->targets[i] = -1;
    for (size_t i = 0; i < b->count; i++) {
        const int32_t *ids = e->ids + e->start[b->example[i]];
        size_t length = example_length(e, b->example[i]);
        CHECK(i < batch && at + length <= positions, "no room for example %zu of a batch", i);
        out->starts[i] = (int32_t)at;
        memcpy(out->tokens + at, ids, length * sizeof *ids);
        if (e->label)
            out->targets[i] = e->label[b->example[i]];
        else
            memcpy(out->targets + at, ids + 1, length * sizeof *ids);
        at += length;
    }
    for (size_t i = b->count; i <= batch; i++)
        out->starts[i] = (int32_t)at;
    memset(out->tokens + at, 0, (positions - at) * sizeof *out->tokens);
}
