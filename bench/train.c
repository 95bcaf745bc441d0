/* train: the loop; see train.h. */
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "../autograd/clip.h"
#include "interrupt.h"
#include "train_progress.h"

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
} Update;

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

static size_t forward_batch(Trainer *t, const Examples *e, const TrainBatch *b)
{
    size_t bucket = bucketed_find(&t->model, b->context);
    batch_fill(e, b, t->model.wants.batch, &t->arrays);
    bucketed_forward(&t->model, bucket,
                     &(BucketInput){t->arrays.tokens, t->arrays.mask, t->arrays.targets});
    return bucket;
}

/* The gradient of the mean loss over all examples of the update, summed over its batches. */
static Update gradients(Trainer *t)
{
    uint64_t n = (uint64_t)t->config.accumulate;
    size_t first = (size_t)(t->state.updates % t->updates_per_epoch * n), last = first + n;
    if (last > t->batches.count)
        last = t->batches.count;
    Update u = {.row = {.development_loss = NAN, .development_accuracy = NAN}};
    for (size_t i = first; i < last; i++)
        u.examples += t->batches.at[i].count;
    for (size_t i = first; i < last; i++) {
        const TrainBatch *b = &t->batches.at[i];
        double share = (double)b->count / (double)u.examples;
        t->model.exec.training = (TrainingRun){.active = true,
                                               .seed = (uint64_t)t->config.seed,
                                               .step = t->epoch * t->batches.count + i,
                                               .accumulate = i > first,
                                               .loss_weight = (float)share};
        size_t bucket = forward_batch(t, &t->train, b);
        u.row.loss += share * (double)bucketed_loss(&t->model, bucket);
        bucketed_backward(&t->model, bucket);
    }
    t->model.exec.training = (TrainingRun){0};
    return u;
}

/* A mean loss far above that of guessing is never found back from: -1 with a sentence. */
static int check_loss(Trainer *t, const Update *u, Err *err)
{
    const double kept = 0.9, hopeless = 3;
    const uint64_t enough = 20;
    uint64_t step = t->state.updates + 1;
    if (!isfinite(u->row.loss) || !isfinite(u->row.grad_norm))
        return err_set(err, "step %" PRIu64 ": the loss is %g, the norm of its gradient %g", step,
                       u->row.loss, u->row.grad_norm);
    t->state.smoothed_loss = kept * t->state.smoothed_loss + (1 - kept) * u->row.loss;
    double mean = t->state.smoothed_loss / (1 - pow(kept, (double)step));
    const ModelConfig *c = &t->model.config;
    double guessing = log((double)(c->head == HEAD_LM ? c->vocab_size : c->num_labels));
    if (step >= enough && mean > hopeless * guessing)
        return err_set(err,
                       "step %" PRIu64 ": the training diverges: the mean loss is %.3g, that "
                       "of guessing %.3g",
                       step, mean, guessing);
    return 0;
}

static int apply(Trainer *t, Update *u, Err *err)
{
    const TrainConfig *c = &t->config;
    Params *p = &t->model.params;
    u->row.grad_norm = gradient_norm(p->grads, p->block_floats, t->model.threads);
    if (check_loss(t, u, err) != 0)
        return -1;
    uint64_t warmup = (uint64_t)llround(c->warmup * (double)t->total_updates);
    u->row.learning_rate =
        learning_rate_at(c->learning_rate, t->state.updates, warmup, t->total_updates);
    AdamW adamw = adamw_defaults();
    adamw.learning_rate = (float)u->row.learning_rate;
    adamw.weight_decay = (float)c->weight_decay;
    params_update(p, &adamw, (float)clip_factor(u->row.grad_norm, c->max_grad_norm),
                  t->model.threads);
    u->row.step = ++t->state.updates;
    u->row.epoch = (double)u->row.step / (double)t->updates_per_epoch;
    return 0;
}

/* ---- evaluation ---- */

static size_t count_right(const float *logits, size_t labels, const int32_t *targets, size_t rows)
{
    size_t right = 0;
    for (size_t i = 0; i < rows; i++) {
        const float *row = logits + i * labels;
        size_t best = 0;
        for (size_t k = 1; k < labels; k++)
            best = row[k] > row[best] ? k : best;
        right += best == (size_t)targets[i];
    }
    return right;
}

Evaluation train_evaluate(Trainer *t, const Examples *e)
{
    Evaluation result = {.count = e->count};
    Batches batches;
    BatchOrder order = {.batch_size = (size_t)t->config.batch_size};
    batches_build(&batches, e, t->lengths, t->num_lengths, order);
    for (size_t i = 0; i < batches.count; i++) {
        const TrainBatch *b = &batches.at[i];
        size_t bucket = forward_batch(t, e, b);
        result.loss += (double)bucketed_loss(&t->model, bucket) * (double)b->count;
        if (e->label)
            result.right += count_right(bucketed_logits(&t->model, bucket),
                                        t->model.config.num_labels, t->arrays.targets, b->count);
    }
    batches_release(&batches);
    result.loss /= (double)e->count;
    return result;
}

static void evaluate_epoch(Trainer *t, Update *u)
{
    if (t->development.count == 0)
        return;
    Evaluation e = train_evaluate(t, &t->development);
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
        status = config_write_gpt(c->out, &t->model.config, err);
    else
        status = config_write_classifier(c->checkpoint, c->out, &t->model.config, &c->labels, err);
    if (status == 0 && c->task == TASK_SENTIMENT)
        status = tokenizer_copy(c->checkpoint, c->out, err);
    return status == 0 ? train_model_save(c->out, &t->model, err) : -1;
}

static int save(const Trainer *t, Err *err)
{
    if (train_state_save(t->config.out, &t->model, &t->state, t->identity, err) != 0)
        return -1;
    return save_model(t, err);
}

static bool same_directory(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A training that is taken up writes its model again: the state may be newer than it. */
static int begin(Trainer *t, const TrainOptions *o, Err *err)
{
    const char *dir = t->config.out;
    bool exists = train_state_exists(dir);
    if (exists && !o->resume && !o->overwrite)
        return err_set(
            err, "'%s' has a training already; --resume goes on, --overwrite begins anew", dir);
    if (mkdir(dir, 0777) != 0 && errno != EEXIST)
        return err_set(err, "cannot create '%s': %s", dir, strerror(errno));
    if (t->config.checkpoint && same_directory(dir, t->config.checkpoint))
        return err_set(err, "'%s' is also the checkpoint to start from; 'out' must be another",
                       dir);
    if (exists && o->resume &&
        (train_state_load(dir, &t->model, &t->state, t->identity, err) != 0 ||
         save_model(t, err) != 0))
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

TrainOutcome train_run(Trainer *t, const TrainOptions *o, FILE *chatter, Err *err)
{
    if (begin(t, o, err) != 0)
        return TRAIN_FAILED;
    TrainProgress progress;
    train_progress_start(&progress, chatter, t->state.updates, t->total_updates);
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
        if (loss_curve_add(&t->curve, &u.row, err) != 0)
            outcome = TRAIN_FAILED;
        train_progress_show(&progress, &u.row, u.examples);
        if (interrupted())
            outcome = TRAIN_INTERRUPTED;
        if ((save_is_due(t) || outcome == TRAIN_INTERRUPTED) && save(t, err) != 0)
            outcome = TRAIN_FAILED;
    }
    train_progress_end(&progress);
    return outcome;
}
