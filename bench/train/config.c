/* config: see config.h. */
#include "bench/train/config.h"

#include <inttypes.h>
#include <string.h>

#include "model/families/shapes.h"

static int set_labels(const ConfigAt *at, Err *err)
{
    Labels *l = &((TrainConfig *)at->table)->labels;
    labels_release(l);
    l->at = xcalloc(at->value->count + 1, sizeof *l->at);
    for (size_t i = 0; i < at->value->count; i++) {
        const char *name = at->value->child[i].text;
        if (!label_is_valid(name))
            return err_set(err, "label '%s' has a control character", name);
        if (labels_find(l, name) >= 0)
            return err_set(err, "labels has '%s' twice", name);
        l->at[l->count++] = xstrdup(name);
    }
    return l->count >= 2 ? 0 : err_set(err, "labels must name at least two");
}

#define KEY(kind, name, ...) CONFIG_KEY(kind, TrainConfig, name, __VA_ARGS__)

static const ConfigKey top_keys[] = {
    KEY(TEXT, out, .required = true, .doc = "directory of the checkpoint"),
};

static const ConfigKey text_keys[] = {
    KEY(TEXT, train, .required = true, .doc = "JSON lines with text and expected_label"),
    KEY(TEXT, development, .doc = "the same, for a loss after each epoch"),
    KEY(TEXT, test, .doc = "the same, for the accuracy at the end"),
    KEY(TEXT, labels, .count = CONFIG_SOME, .required = true, .set = set_labels,
        .doc = "at least two names, in the order of the model's outputs"),
    KEY(INT, max_length, .min = 2, .max = 1 << 20, .fallback = "128",
        .doc = "tokens of a text; what is longer is cut"),
};

static const ConfigKey window_keys[] = {
    KEY(TEXT, text, .required = true, .doc = "a file of any bytes"),
    KEY(TEXT, tokenizer,
        .doc = "a directory or GGUF file with a byte-level BPE, as tare tokenizer-train makes one; "
               "each byte is a token by default"),
    KEY(REAL, held_out, .min = 0, .max = 0.5, .fallback = "0.1",
        .doc = "the last share of the text, for the development loss"),
};

static const ConfigKey encoder_keys[] = {
    KEY(TEXT, checkpoint, .required = true,
        .doc = "a Hugging Face directory to start from; its head is new where it has none"),
};

static const ConfigKey gpt_keys[] = {
    KEY(INT, d_model, .required = true, .min = 1, .max = MAX_DIMENSION,
        .doc = "width of the hidden states"),
    KEY(INT, num_layers, .required = true, .min = 1, .max = 10000, .doc = "transformer blocks"),
    KEY(INT, num_heads, .required = true, .min = 1, .max = MAX_DIMENSION,
        .doc = "attention heads; they divide d_model"),
    KEY(INT, context, .required = true, .min = 1, .max = 1 << 20, .doc = "tokens of a window"),
    KEY(CHOICE, arch, .choices = ARCH_NAMES,
        .doc = "family of decoders, as in a sweep; gpt2 by default"),
    KEY(INT, d_ff, .min = 1, .max = MAX_DIMENSION,
        .doc = "width inside the feed-forward layers; 4 d_model by default"),
    KEY(INT, num_kv_heads, .min = 1, .max = MAX_DIMENSION,
        .doc = "heads of keys and values, a divisor of num_heads and num_heads by default; not in "
               "gpt2"),
};

static const ConfigKey training_keys[] = {
    KEY(INT, epochs, .required = true, .min = 1, .max = 1e6, .doc = "passes over the examples"),
    KEY(INT, batch_size, .required = true, .min = 1, .max = 1 << 16, .doc = "examples of a batch"),
    KEY(INT, accumulate, .min = 1, .max = 1 << 16, .fallback = "1", .doc = "batches of an update"),
    KEY(REAL, learning_rate, .required = true, .min = 1e-12, .max = 1e6,
        .doc = "the peak of the schedule"),
    KEY(REAL, warmup, .min = 0, .max = 1, .fallback = "0",
        .doc = "share of the updates in which the rate rises on a line; then it falls on one to 0"),
    KEY(REAL, weight_decay, .min = 0, .max = 1, .fallback = "0.01", .doc = "of matrices (AdamW)"),
    KEY(REAL, max_grad_norm, .min = 0, .max = 1e9, .fallback = "1",
        .doc = "longer gradients are cut to this; 0: none is"),
    KEY(REAL, dropout, .min = 0, .max = 0.95, .fallback = "0", .doc = "share of activations"),
    KEY(INT, seed, .min = 0, .max = 0x1p53, .fallback = "1",
        .doc = "of new weights, the order of examples and dropout"),
    KEY(INT, save_every, .min = 0, .max = 1e9, .fallback = "0",
        .doc = "updates between checkpoints; 0: one after each epoch"),
    KEY(INT, ranks, .min = 1, .max = 4096, .fallback = "1",
        .doc = "processes that share each batch, started by an MPI launcher"),
    KEY(CHOICE, parallel, .choices = PARALLEL_NAMES,
        .doc = "how several ranks share the work, as in a sweep"),
    KEY(REAL, bucket_mb, .positive = true, .fallback = "25",
        .doc = "of ddp-bucket: MiB of gradients at which a bucket is full"),
    KEY(INT, prefetch_layers, .min = 0, .max = 1000, .fallback = "2",
        .doc = "of fsdp: layers whose weights are gathered ahead"),
    KEY(CHOICE, reduce, .choices = REDUCE_NAMES,
        .doc = "who adds up: ring, ours, in rank order; or mpi"),
    KEY(TEXT, launcher,
        .doc = "command that starts the ranks, {ranks} replaced; mpirun.openmpi by default"),
};

static const char *const rank_keys[] = {"ranks",           "parallel", "bucket_mb",
                                        "prefetch_layers", "reduce",   "launcher"};

static int check_ranks(void *out, Err *err)
{
    const TrainConfig *c = out;
    if (c->ranks <= 1 || c->parallel != PARALLEL_NONE)
        return 0;
    return err_set(err,
                   "ranks is %" PRId64 ", but parallel is none: say how they share the work, "
                   "ddp-bucket for one",
                   c->ranks);
}

static int check_gpt(void *out, Err *err)
{
    TrainConfig *c = out;
    c->task = TASK_GPT;
    if (c->arch == 0 && c->num_kv_heads && c->num_kv_heads != c->num_heads)
        return err_set(
            err, "num_kv_heads is %" PRId64 ", but arch gpt2 has as many as num_heads, %" PRId64,
            c->num_kv_heads, c->num_heads);
    return c->d_model % c->num_heads == 0
               ? check_ranks(out, err)
               : err_set(err, "num_heads %" PRId64 " does not divide d_model %" PRId64,
                         c->num_heads, c->d_model);
}

static void release_labels(void *out)
{
    labels_release(&((TrainConfig *)out)->labels);
}

static const ConfigSection gpt_sections[] = {
    CONFIG_SECTION(NULL, top_keys), CONFIG_SECTION("data", window_keys),
    CONFIG_SECTION("model", gpt_keys), CONFIG_SECTION("training", training_keys)};
static const ConfigSection sentiment_sections[] = {
    CONFIG_SECTION(NULL, top_keys), CONFIG_SECTION("data", text_keys),
    CONFIG_SECTION("model", encoder_keys), CONFIG_SECTION("training", training_keys)};

static const ConfigFile gpt_file =
    CONFIG_FILE(gpt_sections, TrainConfig, .title = "`tare train`: a decoder from scratch",
                .task = "gpt", .check = check_gpt);

const ConfigFile train_config_file = CONFIG_FILE(
    sentiment_sections, TrainConfig, .title = "`tare train`: a classifier of texts",
    .task = "sentiment", .next = &gpt_file, .check = check_ranks, .release = release_labels);

void train_config_release(TrainConfig *c)
{
    config_release(c->task == TASK_GPT ? &gpt_file : &train_config_file, c);
}

/* ---- identity ---- */

static void print_value(const TrainConfig *c, const ConfigKey *key, FILE *out)
{
    const void *member = (const char *)c + key->offset;
    if (key->kind == CONFIG_INT || key->kind == CONFIG_CHOICE)
        fprintf(out, "%" PRId64, *(const int64_t *)member);
    else if (key->kind == CONFIG_REAL)
        fprintf(out, "%.17g", *(const double *)member);
    else
        for (size_t i = 0; i < c->labels.count; i++)
            fprintf(out, "%s%s", i ? "," : "", c->labels.at[i]);
}

/* Keys that were not there before come without a default, and leave the identity as it was. */
static bool not_given(const TrainConfig *c, const ConfigKey *key)
{
    const int64_t *value = (const void *)((const char *)c + key->offset);
    bool whole = key->kind == CONFIG_INT || key->kind == CONFIG_CHOICE;
    return whole && !key->required && !key->fallback && *value == 0;
}

/* A training that is taken up again may find its files elsewhere, be saved more often, and be
 * divided among other ranks. */
static bool may_change(const ConfigKey *key)
{
    for (size_t i = 0; i < COUNT_OF(rank_keys); i++)
        if (strcmp(key->name, rank_keys[i]) == 0)
            return true;
    return (key->kind == CONFIG_TEXT && key->count == CONFIG_ONE) ||
           strcmp(key->name, "save_every") == 0;
}

char *train_config_identity(const TrainConfig *c)
{
    const ConfigFile *f = c->task == TASK_GPT ? &gpt_file : &train_config_file;
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    CHECK(out, "no memory for a stream");
    fprintf(out, "task=%s\n", f->task);
    for (const ConfigSection *s = f->sections; s < f->sections + f->num_sections; s++)
        for (const ConfigKey *key = s->keys; key < s->keys + s->num_keys; key++) {
            if (may_change(key) || not_given(c, key))
                continue;
            fprintf(out, "%s=", key->name);
            print_value(c, key, out);
            fputc('\n', out);
        }
    fclose(out);
    return text;
}
