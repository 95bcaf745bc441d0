/* train: `tare train`: from a config file to a checkpoint that the transformers library loads. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "model/files/paths.h"
#include "bench/commands.h"
#include "bench/util/interrupt.h"
#include "bench/util/config.h"
#include "bench/util/process.h"
#include "bench/machine/threads.h"
#include "bench/machine/warn.h"
#include "bench/ranks/job.h"
#include "bench/ranks/launch.h"
#include "bench/train/train.h"
#include "bench/util/owned.h"

/* Where a training says what: of a rank both end up with the process that started it. */
typedef struct Voice {
    FILE *chatter, *results;
} Voice;

static void print_evaluation(Trainer *t, const char *name, const Examples *e, FILE *out)
{
    if (e->count == 0)
        return;
    Evaluation r = train_evaluate(t, e);
    if (e->label)
        fprintf(out, "%s: accuracy %.4f (%zu of %zu), loss %.4f\n", name,
                (double)r.right / (double)r.count, r.right, r.count, r.loss);
    else
        fprintf(out, "%s: loss %.4f, %.4f bits per byte\n", name, r.loss,
                r.loss / log(2) * (double)e->start[e->count] / (double)e->bytes);
}

/* The order of a training, for whoever wants to repeat it elsewhere: a line for each batch with its
 * epoch, a length that none of its examples exceeds, and these by their place in the file. */
static void print_batches(const Trainer *t)
{
    for (uint64_t epoch = 0; epoch < (uint64_t)t->config.epochs; epoch++) {
        OWNED_BY(batches_release) Batches batches;
        BatchOrder order = {(size_t)t->config.batch_size, true, (uint64_t)t->config.seed, epoch};
        batches_build(&batches, &t->train, t->lengths, t->num_lengths, order);
        for (size_t i = 0; i < batches.count; i++) {
            const TrainBatch *b = &batches.at[i];
            printf("%llu\t%zu\t", (unsigned long long)epoch, b->context);
            for (size_t k = 0; k < b->count; k++)
                printf("%u%c", b->example[k], k + 1 < b->count ? ' ' : '\n');
        }
    }
}

static int train(Trainer *t, const TrainOptions *o, Voice v, Err *err)
{
    fprintf(v.chatter, "%zu examples, %zu lengths up to %zu, %zu weights, %llu updates\n",
            t->train.count, t->num_lengths, t->lengths[t->num_lengths - 1],
            params_total(&t->model.params), (unsigned long long)t->total_updates);
    switch (train_run(t, o, v.chatter, err)) {
    case TRAIN_FAILED:
        return -1;
    case TRAIN_DIVERGED:
        fprintf(v.chatter, "stopped at %s; %s%s%s\n", err->msg,
                train_state_exists(t->config.out) ? "the last checkpoint in '"
                                                  : "nothing was saved",
                train_state_exists(t->config.out) ? t->config.out : "",
                train_state_exists(t->config.out) ? "' is kept" : " yet");
        return EXIT_NOT_OK;
    case TRAIN_INTERRUPTED:
        fprintf(v.chatter, "interrupted after step %llu; --resume goes on\n",
                (unsigned long long)t->state.updates);
        return EXIT_INTERRUPTED;
    case TRAIN_DONE:
        break;
    }
    print_evaluation(t, "development", &t->development, v.results);
    print_evaluation(t, "test", &t->test, v.results);
    return EXIT_OK;
}

enum { NUM_RANK_KEYS = 6 };

typedef struct TrainCommand {
    ConfigCommand config;
    const char *out;
    TrainOptions options;
    int64_t threads;
    bool dry_run, is_rank;
    char *ranks[NUM_RANK_KEYS]; /* "ranks=2": settings that have an option of their own; or NULL */
} TrainCommand;

static const char *const rank_keys[NUM_RANK_KEYS] = {"ranks",           "parallel", "bucket_mb",
                                                     "prefetch_layers", "reduce",   "launcher"};

/* context: its key */
static int set_rank_key(void *target, const void *context, const char *value, Err *err)
{
    char **setting = target;
    (void)err;
    free(*setting);
    *setting = xasprintf("%s=%s", (const char *)context, value);
    return 0;
}

#define RANK_OPTION(i, name_, value_name_, help_)                                                  \
    ((Option){.name = name_,                                                                       \
              .kind = OPTION_CALL,                                                                 \
              .value_name = value_name_,                                                           \
              .help = help_,                                                                       \
              .target = &c->ranks[i],                                                              \
              .context = rank_keys[i],                                                             \
              .set = set_rank_key})

/* ---- several ranks ---- */

/* What rank 0 prints last: the exit code, then what belongs on stdout. */
#define ANSWER "{\"exit\": %d}\n"

static int run_rank(TrainCommand *c, TrainConfig *config, Err *err)
{
    CommThread *comm = xcalloc(1, sizeof *comm); /* not freed where the job fails: it uses it */
    char *text = NULL;
    size_t len;
    Trainer t;
    const char *const reduces[] = {"ring", "mpi"};
    if (job_join(comm, config->ranks, reduces[config->reduce], err) != 0)
        return -1;
    bool first = comm->comm.rank == 0;
    Voice v = {first ? stdout : fopen("/dev/null", "w"), open_memstream(&text, &len)};
    CHECK(v.chatter && v.results, "no memory for a stream");
    c->options.comm = comm;
    int code = train_init(&t, config, &c->options, err);
    if (code == 0)
        code = train(&t, &c->options, v, err);
    if (code < 0)
        return -1; /* and the process ends: a job that fell apart is not left in order */
    train_release(&t);
    job_leave(comm);
    free(comm);
    fclose(v.results);
    if (first)
        printf(ANSWER "%s", code, text);
    else
        fclose(v.chatter);
    free(text);
    return EXIT_OK;
}

static char **rank_argv(const TrainCommand *c)
{
    char **argv = NULL;
    argv_add(&argv, "train");
    argv_add(&argv, "%s", c->config.path);
    for (size_t i = 0; i < c->config.settings.count; i++)
        argv_add(&argv, "--set=%s", c->config.settings.at[i]);
    if (c->out)
        argv_add(&argv, "--out=%s", c->out);
    if (c->options.resume)
        argv_add(&argv, "--resume");
    if (c->options.overwrite)
        argv_add(&argv, "--overwrite");
    argv_add(&argv, "--threads=%lld", (long long)c->threads);
    argv_add(&argv, "--is-rank");
    return argv;
}

static int run_ranks(const TrainCommand *c, const TrainConfig *config, Err *err)
{
    char **argv = rank_argv(c), *answer = NULL;
    int status = ranks_launch(argv, config->ranks, config->launcher, stderr, &answer, err);
    int code = -1, end = 0;
    if (status == 0 && sscanf(answer, ANSWER "%n", &code, &end) == 1 && end)
        printf("%s", answer + end);
    else if (status == 0)
        err_set(err, "rank 0 answered something else: %.40s", answer);
    free(answer);
    argv_free(argv);
    return code;
}

/* ---- one process ---- */

static int run_alone(TrainCommand *c, TrainConfig *config, Err *err)
{
    Trainer t;
    int code = train_init(&t, config, &c->options, err);
    if (code == 0 && c->dry_run)
        print_batches(&t);
    else if (code == 0)
        code = train(&t, &c->options, (Voice){stderr, stdout}, err);
    train_release(&t);
    return code;
}

static int run_loaded(TrainCommand *c, TrainConfig *config, Err *err)
{
    if (c->is_rank)
        return run_rank(c, config, err);
    if (c->dry_run)
        return run_alone(c, config, err);
    if (train_check_out(config, &c->options, err) != 0)
        return -1;
    return config->ranks > 1 ? run_ranks(c, config, err) : run_alone(c, config, err);
}

static int run_config(void *command, Err *err)
{
    TrainCommand *c = command;
    TrainConfig config;
    for (size_t i = 0; i < NUM_RANK_KEYS; i++)
        if (c->ranks[i])
            text_list_add(&c->config.settings, c->ranks[i]);
    if (config_load(&train_config_file, &config, c->config.path, &c->config.settings, err) != 0)
        return -1;
    char *out = path_to_make(c->out ? c->out : config.out);
    free(config.out);
    config.out = out;
    if (c->threads == INT_MISSING) /* the CPUs are those of all ranks */
        c->threads = config.ranks < threads_default() ? threads_default() / config.ranks : 1;
    c->options.threads = (int)c->threads;
    c->options.named = c->out;
    if (!c->is_rank)
        machine_warn(c->threads);
    interrupt_install();
    int code = run_loaded(c, &config, err);
    train_config_release(&config);
    return code;
}

int cmd_train(int argc, char **argv, Err *err)
{
    TrainCommand asked = {.threads = INT_MISSING}, *c = &asked;
    const Option options[] = {
        option_text(
            "--out", "DIR", &c->out, NULL,
            "the checkpoint's directory, in the place of the config's; its parent must be there"),
        option_flag("--resume", &c->options.resume,
                    "go on from the last checkpoint; without one, begin"),
        option_flag("--overwrite", &c->options.overwrite,
                    "begin anew where there is a checkpoint or another model"),
        option_flag("--dry-run", &c->dry_run,
                    "print the batches (epoch, length, examples), train nothing"),
        threads_option(&c->threads),
        RANK_OPTION(0, "--ranks", "N",
                    "processes that share each batch, started by an MPI launcher"),
        RANK_OPTION(1, "--parallel", "WORD", "how several ranks share the work, as in tare run"),
        RANK_OPTION(2, "--bucket-mb", "X", "of ddp-bucket: MiB of gradients of a full bucket"),
        RANK_OPTION(3, "--prefetch-layers", "N",
                    "of fsdp: layers whose weights are gathered ahead"),
        RANK_OPTION(4, "--reduce", "WORD", "who adds up: ring (ours, in rank order) or mpi"),
        RANK_OPTION(5, "--launcher", "COMMAND",
                    "starts the ranks, {ranks} replaced; mpirun.openmpi by default"),
        option_flag("--is-rank", &c->is_rank, "one of several ranks: the launcher has started it"),
    };
    const Command command = {
        .verb = "train",
        .summary = "Fine-tunes an encoder as a classifier, or trains a small GPT on a text.",
        OPTIONS(options),
        .notes =
            "The directory gets config.json, model.safetensors and the tokenizer's files, as the\n"
            "transformers library reads them; training.safetensors, which --resume needs; and\n"
            "loss.csv, a line for each update. A resumed training ends bit for bit like one in a\n"
            "single piece, on the same instruction set and TARE_GEMM. A loss that is not a number\n"
            "or diverges ends the training with exit code 1 and leaves the last checkpoint as it\n"
            "is. Several ranks compute what one does, up to rounding; --threads is of each; "
            "--resume\n"
            "takes another number of them.\n",
    };
    int code = config_command_run(&c->config, &command, &train_config_file, NULL, run_config, argc,
                                  argv, err);
    for (size_t i = 0; i < NUM_RANK_KEYS; i++)
        free(c->ranks[i]);
    return code;
}
