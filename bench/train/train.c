/* train: the loop; see train.h. */
#include "bench/train/train.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "autograd/optim/clip.h"
#include "bench/ranks/job.h"
#include "bench/text/classifier.h"
#include "bench/util/interrupt.h"
#include "bench/train/progress.h"
#include "bench/util/owned.h"

double learning_rate_at(double peak, uint64_t update, uint64_t warmup, uint64_t total)
{
    if (update < warmup)
        return peak * (double)update / (double)warmup;
    return total > warmup ? peak * (double)(total - update) / (double)(total - warmup) : 0;
}

/* ---- one update ---- */

typedef struct Update {
    LossRow row;
    size_t examples;
    const TrainBatch *last; /* of its batches */
    bool evaluated;         /* on the development data */
    bool stops;             /* the user wants no more */
} Update;

/* Whether this process has the files of the training. */
static bool is_first(const Trainer *t)
{
    return !t->comm || t->comm->comm.rank == 0;
}

static void begin_epoch(Trainer *t, uint64_t epoch)
{
    if (t->epoch == epoch)
        return;
    batches_release(&t->batches);
    t->epoch = epoch;
    BatchOrder order = {.batch_size = (size_t)t->config.batch_size,
                        .shuffle = true,
                        .seed = (uint64_t)t->config.seed,
                        .epoch = epoch};
    batches_build(&t->batches, &t->train, t->lengths, t->num_lengths, order);
}

/* This rank's examples of a whole batch, and where they begin in it. */
static size_t forward_part(Trainer *t, const Examples *e, const TrainBatch *whole,
                           const TrainBatch *b)
{
    BatchArrays *a = &t->arrays;
    size_t bucket = bucketed_find(&t->model, batch_positions(e, b));
    TrainBatch before = *whole;
    before.count = (size_t)(b->example - whole->example);
    t->model.exec.training.first_sequence = before.count;
    t->model.exec.training.first_row = batch_positions(e, &before);
    batch_fill(e, b, t->model.wants.batch, t->model.list[bucket].size, a);
    bucketed_set(&t->model, bucket,
                 &(BucketInput){.tokens = a->tokens, .starts = a->starts, .targets = a->targets});
    parallel_forward(&t->parallel, &t->model.list[bucket].plan);
    return bucket;
}

/* The loss of this rank's part of a batch times the examples that it is the mean of. */
static double summed_loss(const Trainer *t, size_t bucket, size_t examples)
{
    return examples ? (double)bucketed_loss(&t->model, bucket) * (double)examples : 0;
}

/* The mean loss of a batch. */
static double whole_loss(Trainer *t, const TrainBatch *b)
{
    const TrainBatch part = train_own_part(t, b);
    double sum = summed_loss(t, forward_part(t, &t->train, b, &part), part.count);
    parallel_end_forward(&t->parallel);
    job_sum(t->comm, &sum, 1);
    return sum / (double)b->count;
}

/* The gradient of the mean loss over all examples of the update, summed over its batches; the loss
 * is this rank's part of it. A rank without examples adds zeros. */
static Update gradients(Trainer *t)
{
    uint64_t n = (uint64_t)t->config.accumulate;
    size_t first = (size_t)(t->state.updates % t->updates_per_epoch * n), last = first + n;
    if (last > t->batches.count)
        last = t->batches.count;
    Update u = {.row = {.development_loss = NAN, .development_accuracy = NAN},
                .last = &t->batches.at[last - 1]};
    for (size_t i = first; i < last; i++)
        u.examples += t->batches.at[i].count;
    for (size_t i = first; i < last; i++) {
        const TrainBatch *b = &t->batches.at[i], part = train_own_part(t, b);
        double share = (double)part.count / (double)u.examples;
        t->model.exec.training = (TrainingRun){.active = true,
                                               .seed = (uint64_t)t->config.seed,
                                               .step = t->epoch * t->batches.count + i,
                                               .accumulate = i > first,
                                               .loss_weight = (float)share};
        size_t bucket = forward_part(t, &t->train, b, &part);
        u.row.loss += part.count ? share * (double)bucketed_loss(&t->model, bucket) : 0;
        t->parallel.muted = i + 1 < last;
        parallel_backward(&t->parallel);
    }
    t->model.exec.training = (TrainingRun){0};
    return u;
}

/* ---- divergence ---- */

/* The exponential mean after one more loss; and the mean corrected for its start from 0. */
static const double kept = 0.9;

static double next_smoothed(const Trainer *t, double loss)
{
    return kept * t->state.smoothed_loss + (1 - kept) * loss;
}

static double mean_loss(double smoothed, uint64_t losses)
{
    return smoothed / (1 - pow(kept, (double)losses));
}

/* Fails if the loss is far above that of guessing: no training recovers from there. */
static int check_level(const Trainer *t, uint64_t step, const char *name, double loss, Err *err)
{
    const double hopeless = 3;
    const ModelConfig *c = &t->model.config;
    double guessing = log((double)(c->head == HEAD_LM ? c->vocab_size : c->num_labels));
    if (loss <= hopeless * guessing)
        return 0;
    return err_set(err,
                   "step %" PRIu64 ": the training diverges: the %s is %.3g, that of guessing %.3g",
                   step, name, loss, guessing);
}

/* Checks before an update. Skips the first losses: training recovers from a high one. */
static int check_loss(Trainer *t, const Update *u, Err *err)
{
    const uint64_t enough = 20;
    uint64_t step = t->state.updates + 1;
    if (!isfinite(u->row.loss) || !isfinite(u->row.grad_norm))
        return err_set(err, "step %" PRIu64 ": the loss is %g, the norm of its gradient %g", step,
                       u->row.loss, u->row.grad_norm);
    t->state.smoothed_loss = next_smoothed(t, u->row.loss);
    if (step < enough)
        return 0;
    return check_level(t, step, "mean loss", mean_loss(t->state.smoothed_loss, step), err);
}

/* Checks before a save, which replaces the last checkpoint: at any step, and with the loss after
 * the update. That loss enters the mean, since one batch alone may be a hard one. */
static int check_checkpoint(Trainer *t, const Update *u, Err *err)
{
    double squares = parallel_squares(&t->parallel, t->model.params.weights);
    uint64_t step = t->state.updates;
    job_sum(t->comm, &squares, 1);
    if (!isfinite(squares))
        return err_set(err, "step %" PRIu64 ": a weight is not finite after the update", step);
    if (check_level(t, step, "mean loss", mean_loss(t->state.smoothed_loss, step), err) != 0)
        return -1;
    double after = next_smoothed(t, whole_loss(t, u->last));
    if (check_level(t, step, "mean loss after the update", mean_loss(after, step + 1), err) != 0)
        return -1;
    return u->evaluated ? check_level(t, step, "development loss", u->row.development_loss, err)
                        : 0;
}

/* ---- updating ---- */

/* What all ranks have to know alike: the loss, the gradient's norm, and whether one of them was
 * asked to stop. */
static void exchange(Trainer *t, Update *u)
{
    double values[] = {u->row.loss, parallel_squares(&t->parallel, t->model.params.grads),
                       interrupted() || (t->comm && is_first(t) && job_stop_asked())};
    job_sum(t->comm, values, COUNT_OF(values));
    u->row.loss = values[0];
    u->row.grad_norm = sqrt(values[1]);
    u->stops = values[2] > 0;
}

static int apply(Trainer *t, Update *u, Err *err)
{
    const TrainConfig *c = &t->config;
    exchange(t, u);
    if (check_loss(t, u, err) != 0)
        return -1;
    uint64_t warmup = (uint64_t)llround(c->warmup * (double)t->total_updates);
    u->row.learning_rate =
        learning_rate_at(c->learning_rate, t->state.updates, warmup, t->total_updates);
    AdamW adamw = adamw_defaults();
    adamw.learning_rate = (float)u->row.learning_rate;
    adamw.weight_decay = (float)c->weight_decay;
    parallel_update(&t->parallel, &adamw, (float)clip_factor(u->row.grad_norm, c->max_grad_norm));
    u->row.step = (int64_t)++t->state.updates;
    u->row.epoch = (double)u->row.step / (double)t->updates_per_epoch;
    return 0;
}

/* ---- evaluation ---- */

static size_t count_right(const float *logits, size_t labels, const int32_t *targets, size_t rows)
{
    size_t right = 0;
    for (size_t i = 0; i < rows; i++)
        right += classifier_best(logits + i * labels, labels) == (size_t)targets[i];
    return right;
}

Evaluation train_evaluate(Trainer *t, const Examples *e)
{
    Evaluation result = {.count = e->count};
    double sums[2] = {0}; /* losses, right ones */
    OWNED_BY(batches_release) Batches batches;
    BatchOrder order = {.batch_size = (size_t)t->config.batch_size};
    batches_build(&batches, e, t->lengths, t->num_lengths, order);
    for (size_t i = 0; i < batches.count; i++) {
        const TrainBatch part = train_own_part(t, &batches.at[i]);
        size_t bucket = forward_part(t, e, &batches.at[i], &part);
        sums[0] += summed_loss(t, bucket, part.count);
        if (e->label)
            sums[1] +=
                (double)count_right(bucketed_logits(&t->model, bucket), t->model.config.num_labels,
                                    t->arrays.targets, part.count);
        parallel_end_forward(&t->parallel);
    }
    job_sum(t->comm, sums, COUNT_OF(sums));
    result.loss = sums[0] / (double)e->count;
    result.right = (size_t)sums[1];
    return result;
}

static void evaluate_epoch(Trainer *t, Update *u)
{
    if (t->development.count == 0)
        return;
    Evaluation e = train_evaluate(t, &t->development);
    u->evaluated = true;
    u->row.development_loss = e.loss;
    if (t->development.label)
        u->row.development_accuracy = (double)e.right / (double)e.count;
}

/* ---- the loop ---- */

static int save_model(const Trainer *t, Err *err)
{
    const TrainConfig *c = &t->config;
    int status;
    if (c->task == TASK_GPT)
        status = config_write_lm(c->out, &t->model.config, err);
    else
        status = config_write_classifier(c->checkpoint, c->out, &t->model.config, &c->labels, err);
    const char *tokenizer = c->task == TASK_SENTIMENT ? c->checkpoint : c->tokenizer;
    if (status == 0 && tokenizer)
        status = tokenizer_copy(tokenizer, c->out, err);
    return status == 0 ? train_model_save(c->out, &t->model, err) : -1;
}

static int save(Trainer *t, Err *err)
{
    int status = 0;
    parallel_collect(&t->parallel);
    if (is_first(t))
        status = train_state_save(t->config.out, &t->model, &t->state, t->identity, err);
    if (is_first(t) && status == 0)
        status = save_model(t, err);
    parallel_keep_own(&t->parallel);
    return status;
}

/* --resume writes the model again: the state may be newer. */
static int take_up(Trainer *t, FILE *chatter, Err *err)
{
    char now[ARITHMETIC_SIZE];
    if (train_state_load(t->config.out, &t->model, &t->state, t->identity, err) != 0)
        return -1;
    if (t->state.updates > t->total_updates)
        return err_set(
            err, "cannot resume from '%s': it has %" PRIu64 " updates, this training %" PRIu64,
            t->config.out, t->state.updates, t->total_updates);
    train_arithmetic(now);
    if (*t->state.arithmetic && strcmp(t->state.arithmetic, now) != 0)
        fprintf(chatter,
                "the training so far ran on %s; this is %s: results will differ in rounding\n",
                t->state.arithmetic, now);
    return save_model(t, err);
}

/* What rank 0 has taken up becomes that of all. */
static void share_state(Trainer *t)
{
    job_share(t->comm, &t->state, sizeof t->state);
    if (t->state.updates == 0)
        return;
    parallel_spread(&t->parallel);
    t->model.params.step = t->state.updates;
}

/* Checks before the directory is made and again once it is locked. Removes the old state first:
 * --resume must not find it beside the new loss curve. */
static int begin(Trainer *t, const TrainOptions *o, FILE *chatter, Err *err)
{
    const char *dir = t->config.out;
    if (train_check_out(&t->config, o, err) != 0 || (t->lock = train_lock_out(dir, err)) < 0 ||
        train_check_out(&t->config, o, err) != 0)
        return -1;
    bool resumed = o->resume && train_state_exists(dir);
    if ((resumed ? take_up(t, chatter, err) : train_state_remove(dir, err)) != 0)
        return -1;
    return loss_curve_open(&t->curve, dir, t->state.updates, err);
}

static bool save_is_due(const Trainer *t)
{
    uint64_t every = (uint64_t)t->config.save_every;
    if (every == 0)
        every = t->updates_per_epoch;
    return t->state.updates % every == 0 || t->state.updates == t->total_updates;
}

static TrainOutcome save_if_due(Trainer *t, const Update *u, TrainOutcome outcome, Err *err)
{
    if (!save_is_due(t) && outcome != TRAIN_INTERRUPTED)
        return outcome;
    if (check_checkpoint(t, u, err) != 0)
        return TRAIN_DIVERGED;
    return save(t, err) == 0 ? outcome : TRAIN_FAILED;
}

TrainOutcome train_run(Trainer *t, const TrainOptions *o, FILE *chatter, Err *err)
{
    if (is_first(t) && begin(t, o, chatter, err) != 0)
        return TRAIN_FAILED;
    if (t->comm)
        share_state(t);
    TrainProgress progress;
    train_progress_start(&progress, chatter, t->state.updates, t->total_updates);
    progress.live &= !t->comm; /* a launcher may give its ranks a terminal of their own */
    TrainOutcome outcome = TRAIN_DONE;
    while (t->state.updates < t->total_updates && outcome == TRAIN_DONE) {
        begin_epoch(t, t->state.updates / t->updates_per_epoch);
        Update u = gradients(t);
        if (apply(t, &u, err) != 0) {
            outcome = TRAIN_DIVERGED;
            break;
        }
        if (t->state.updates % t->updates_per_epoch == 0)
            evaluate_epoch(t, &u);
        train_progress_show(&progress, &u.row, u.examples);
        if (is_first(t) && loss_curve_add(&t->curve, &u.row, err) != 0)
            outcome = TRAIN_FAILED;
        else if (u.stops)
            outcome = TRAIN_INTERRUPTED;
        outcome = save_if_due(t, &u, outcome, err);
    }
    train_progress_end(&progress);
    return outcome;
}
