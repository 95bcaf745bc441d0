/* init: from a config to a model in memory; see train.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/families/shapes.h"
#include "model/files/checkpoint.h"
#include "model/files/model_tokenizer.h"
#include "bench/machine/machine.h"
#include "bench/ranks/loader.h"
#include "bench/train/train.h"
#include "bench/util/owned.h"

static uint64_t divide_up(uint64_t a, uint64_t b)
{
    return (a + b - 1) / b;
}

/* ---- data ---- */

static int load_texts(Trainer *t, const ModelConfig *c, Err *err)
{
    const TrainConfig *config = &t->config;
    const char *const paths[] = {config->train, config->development, config->test};
    Examples *const sets[] = {&t->train, &t->development, &t->test};
    size_t most = (size_t)config->max_length;
    if (most > c->max_positions)
        return err_set(err, "%s: max_length is %zu, but the model has %zu positions", config->path,
                       most, c->max_positions);
    WordPiece *w = wordpiece_load(config->checkpoint, err);
    int status = w ? 0 : -1;
    for (size_t i = 0; i < COUNT_OF(sets) && status == 0; i++)
        if (paths[i])
            status = examples_load_texts(sets[i], paths[i], &config->labels, w, most, c->vocab_size,
                                         err);
    wordpiece_free(w);
    return status;
}

/* ---- sizes of batches ---- */

enum { MOST_SIZES = 256 };

typedef struct Sizes {
    size_t at[MOST_SIZES], count; /* ascending, in positions */
} Sizes;

static void add_size(Sizes *s, size_t size)
{
    size_t i = s->count;
    while (i > 0 && s->at[i - 1] > size)
        i--;
    if (size == 0 || (i > 0 && s->at[i - 1] == size))
        return;
    memmove(s->at + i + 1, s->at + i, (s->count++ - i) * sizeof *s->at);
    s->at[i] = size;
}

static size_t num_ranks(const Trainer *t)
{
    return t->comm ? (size_t)t->comm->comm.size : 1;
}

static Range own_part(const Trainer *t, size_t count)
{
    size_t rank = t->comm ? (size_t)t->comm->comm.rank : 0, size = num_ranks(t);
    return (Range){count * rank / size, count * (rank + 1) / size};
}

TrainBatch train_own_part(const Trainer *t, const TrainBatch *b)
{
    Range own = own_part(t, b->count);
    return (TrainBatch){b->context, b->example + own.from, own.to - own.from};
}

/* Positions of this rank's part of so many windows. */
static size_t own_positions(const Trainer *t, size_t count, size_t context)
{
    Range own = own_part(t, count);
    return (own.to - own.from) * context;
}

/* Examples of one length: whole batches, and the last ones. */
static Sizes sizes_of_windows(const Trainer *t, size_t batch, const RecordWants *wants)
{
    Sizes s = {.count = 0};
    const Examples *const sets[] = {&t->train, &t->development};
    for (size_t i = 0; i < COUNT_OF(sets); i++) {
        add_size(&s, own_positions(t, sets[i]->count % batch, wants->context));
        add_size(&s, sets[i]->count < batch ? 0 : own_positions(t, batch, wants->context));
    }
    if (s.count == 0)
        add_size(&s, wants->rows); /* of a rank without examples */
    return s;
}

/* Sizes in steps so small that a batch has hardly any padding. */
static Sizes sizes_of_texts(const RecordWants *wants)
{
    enum { TILE = 8 };
    Sizes s = {.count = 0};
    size_t step = divide_up(divide_up(wants->rows, TILE), MOST_SIZES) * TILE;
    for (size_t size = step; size < wants->rows; size += step)
        add_size(&s, size);
    add_size(&s, wants->rows);
    return s;
}

static int plan_batches(Trainer *t, const ModelConfig *c, RecordWants wants, int threads, Err *err)
{
    const Examples *const sets[] = {&t->train, &t->development, &t->test};
    size_t most = 0;
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        most = sets[i]->count > most ? sets[i]->count : most;
    size_t batch = wants.batch < most ? wants.batch : most;
    wants.batch = divide_up(batch, num_ranks(t));
    wants.context = t->lengths[t->num_lengths - 1];
    wants.rows = wants.batch * wants.context;
    if (wants.rows > INT32_MAX)
        return err_set(err, "%s: a batch of %zu examples of %zu tokens is more than %d tokens",
                       t->config.path, wants.batch, wants.context, INT32_MAX);
    Sizes s = c->family->causal ? sizes_of_windows(t, batch, &wants) : sizes_of_texts(&wants);
    bucketed_plan(&t->model, c, &wants, s.at, s.count, true, threads);
    return 0;
}

/* ---- models ---- */

static int plan_classifier(Trainer *t, Checkpoint *ck, RecordWants wants, int threads, Err *err)
{
    ModelConfig *c = &ck->config;
    size_t labels = t->config.labels.count;
    if (!c->family->classifier_class)
        return err_set(err, "'%s' is a %s; a classifier needs an encoder", t->config.checkpoint,
                       c->family->model_type);
    if (c->head == HEAD_CLASSIFIER && c->num_labels != labels)
        return err_set(err, "'%s' tells %zu labels apart, the config names %zu",
                       t->config.checkpoint, c->num_labels, labels);
    ck->fresh_head = c->head != HEAD_CLASSIFIER;
    c->head = HEAD_CLASSIFIER;
    c->num_labels = labels;
    if (load_texts(t, c, err) != 0)
        return -1;
    const Examples *const sets[] = {&t->train, &t->development, &t->test};
    t->lengths =
        bucket_lengths(sets, COUNT_OF(sets), (size_t)t->config.max_length, &t->num_lengths);
    return plan_batches(t, c, wants, threads, err);
}

/* What a rank takes of a model that one process has whole. More batches than one an update add
 * their gradients up before they are divided. */
static size_t rank_bytes(const Trainer *t, ParamsMemory want, const ParallelOptions *how)
{
    const Params *p = &t->model.params;
    const ParamsMemory none = {0}, grads = {.grads = true};
    size_t weights = params_bytes(p, none), some = params_bytes(p, grads),
           all = params_bytes(p, want), rest = bucketed_bytes(&t->model, want) - all;
    ModelBytes whole = {.weights = weights, .gradients = some - weights, .moments = all - some};
    ModelBytes b = parallel_bytes(whole, p, &t->model.list[t->model.count - 1].schedule, how);
    if (t->config.accumulate > 1)
        b.gradients = whole.gradients;
    return b.weights + b.gradients + b.moments + rest + parallel_process_bytes(how->ranks);
}

static int alloc_model(Trainer *t, Err *err)
{
    const ParamsMemory want = {.grads = true, .moments = true};
    const TrainConfig *c = &t->config;
    const ParallelOptions how = {.strategy = (Strategy)c->parallel,
                                 .ranks = (int)num_ranks(t),
                                 .bucket_floats = (size_t)(c->bucket_mb * 0x1p20 / sizeof(float)),
                                 .prefetch = (size_t)c->prefetch_layers};
    size_t bytes = rank_bytes(t, want, &how) * (size_t)local_rank().size;
    if (memory_check(bytes, "this training",
                     "a smaller batch_size needs less, and accumulate makes up for it", err) != 0)
        return err_prefix(err, "%s", c->path);
    if (bucketed_alloc(&t->model, want, err) != 0)
        return -1;
    parallel_init(&t->parallel, &t->model.params, &t->model.exec, &t->model.list[0].plan, t->comm,
                  &how);
    return 0;
}

static int init_serving(Trainer *t, RecordWants wants, int threads, Err *err)
{
    OWNED_BY(checkpoint_release) Checkpoint ck = {0};
    if (checkpoint_open(&ck, t->config.checkpoint, err) != 0 ||
        plan_classifier(t, &ck, wants, threads, err) != 0 || alloc_model(t, err) != 0)
        return -1;
    params_randomize(&t->model.params, (uint64_t)t->config.seed, threads);
    if (checkpoint_load(&ck, &t->model.params, err) != 0)
        return -1;
    parallel_keep_own(&t->parallel);
    unused_print(ck.unused);
    return 0;
}

enum { BYTE_VALUES = 256 };

/* *w is NULL, for a text of bytes, or the caller's. */
static int load_tokenizer(const TrainConfig *c, Tokenizer **w, Err *err)
{
    *w = c->tokenizer ? model_tokenizer_load(c->tokenizer, err) : NULL;
    if (!*w)
        return c->tokenizer ? -1 : 0;
    if (tokenizer_decodes(*w))
        return 0;
    tokenizer_free(*w);
    return err_set(err, "'%s' has WordPiece; a decoder is trained on byte-level BPE", c->tokenizer);
}

static int init_gpt_on(Trainer *t, const Tokenizer *w, RecordWants wants, int threads, Err *err)
{
    const TrainConfig *config = &t->config;
    size_t context = (size_t)config->context;
    const Arch *arch = arch_at((size_t)config->arch);
    DecoderShape shape = {.d_model = (size_t)config->d_model,
                          .num_layers = (size_t)config->num_layers,
                          .num_heads = (size_t)config->num_heads,
                          .num_kv_heads = (size_t)config->num_kv_heads,
                          .d_ff = (size_t)config->d_ff,
                          .vocab_size = w ? tokenizer_num_ids(w) : BYTE_VALUES,
                          .tied_head = arch->tied_head};
    ModelConfig c = model_config_decoder(arch, &shape, context);
    if (!arch->family->rotary)
        c.max_positions = context;
    if (model_config_check(&c, err) != 0)
        return err_prefix(err, "%s", config->path);
    if (examples_load_windows(&t->train, &t->development, config->text, w, context,
                              config->held_out, err) != 0)
        return -1;
    t->lengths = xmalloc(sizeof *t->lengths);
    t->lengths[0] = context;
    t->num_lengths = 1;
    if (plan_batches(t, &c, wants, threads, err) != 0 || alloc_model(t, err) != 0)
        return -1;
    parallel_randomize(&t->parallel, (uint64_t)config->seed);
    return 0;
}

static int init_gpt(Trainer *t, RecordWants wants, int threads, Err *err)
{
    Tokenizer *w;
    if (load_tokenizer(&t->config, &w, err) != 0)
        return -1;
    int status = init_gpt_on(t, w, wants, threads, err);
    tokenizer_free(w);
    return status;
}

static void count_updates(Trainer *t)
{
    OWNED_BY(batches_release) Batches batches;
    BatchOrder order = {.batch_size = (size_t)t->config.batch_size};
    batches_build(&batches, &t->train, t->lengths, t->num_lengths, order);
    t->updates_per_epoch = divide_up(batches.count, (uint64_t)t->config.accumulate);
    t->total_updates = t->updates_per_epoch * (uint64_t)t->config.epochs;
}

const char train_data_key[] = "training data";

char *train_data_value(const Examples *trained)
{
    return xasprintf("%016" PRIx64, examples_hash(trained));
}

static void make_identity(Trainer *t)
{
    OWNED char *config = train_config_identity(&t->config), *data = train_data_value(&t->train);
    t->identity = xasprintf("%s%s=%s\n", config, train_data_key, data);
}

int train_init(Trainer *t, TrainConfig *config, const TrainOptions *o, Err *err)
{
    *t = (Trainer){.config = *config, .epoch = UINT64_MAX, .lock = -1, .comm = o->comm};
    *config = (TrainConfig){0};
    bool sentiment = t->config.task == TASK_SENTIMENT;
    RecordWants wants = {.batch = (size_t)t->config.batch_size,
                         .loss = true,
                         .logits = sentiment,
                         .dropout = (float)t->config.dropout};
    int status =
        sentiment ? init_serving(t, wants, o->threads, err) : init_gpt(t, wants, o->threads, err);
    if (status != 0)
        return -1;
    t->arrays = batch_arrays_new(t->model.wants.batch, t->model.list[t->model.count - 1].size);
    count_updates(t);
    make_identity(t);
    return 0;
}

void train_release(Trainer *t)
{
    loss_curve_close(&t->curve);
    batches_release(&t->batches);
    parallel_release(&t->parallel);
    bucketed_release(&t->model);
    examples_release(&t->train);
    examples_release(&t->development);
    examples_release(&t->test);
    batch_arrays_free(&t->arrays);
    free(t->lengths);
    free(t->identity);
    if (t->lock >= 0)
        close(t->lock);
    train_config_release(&t->config);
}
