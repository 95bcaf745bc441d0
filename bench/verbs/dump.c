/* dump: `tare dump`: what a checkpoint computes on given ids, written as a safetensors file for
 * other programs to compare with. Names and shapes are Hugging Face's. It times nothing. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "model/files/checkpoint.h"
#include "model/files/paths.h"
#include "model/model.h"
#include "bench/commands.h"
#include "bench/text/classifier.h"
#include "bench/util/ids.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/machine/machine.h"
#include "bench/machine/threads.h"
#include "bench/util/owned.h"

typedef struct Inputs {
    IdTable ids, mask, targets; /* rows == 0 where not given */
} Inputs;

static void inputs_release(Inputs *in)
{
    ids_release(&in->ids);
    ids_release(&in->mask);
    ids_release(&in->targets);
}

typedef struct DumpOptions {
    const char *dir, *ids, *mask, *targets, *out, *recompute, *precision;
    int64_t threads;
    bool overwrite;
} DumpOptions;

static int parse_inputs(Inputs *in, const DumpOptions *o, Err *err)
{
    if (!o->ids)
        return err_set(err, "dump: --ids is missing; see tare dump --help");
    if (ids_parse(&in->ids, "--ids", o->ids, err) != 0 ||
        (o->mask && ids_parse(&in->mask, "--mask", o->mask, err) != 0))
        return -1;
    return o->targets ? ids_parse(&in->targets, "--targets", o->targets, err) : 0;
}

static int check_shape(const IdTable *t, size_t rows, size_t cols, const char *like, Err *err)
{
    if (t->rows == rows && t->cols == cols)
        return 0;
    return err_set(err, "%s has %zu rows of %zu, %s %zu rows of %zu", t->place, t->rows, t->cols,
                   like, rows, cols);
}

static int check_mask(const Inputs *in, Err *err)
{
    const IdTable *m = &in->mask;
    if (m->rows == 0)
        return 0;
    if (check_shape(m, in->ids.rows, in->ids.cols, "--ids has", err) != 0 ||
        ids_check(m, 0, 1, "a mask value", err) != 0)
        return -1;
    for (size_t i = 0; i < m->rows; i++) {
        int32_t seen = 0;
        for (size_t j = 0; j < m->cols; j++)
            seen |= m->at[i * m->cols + j];
        if (!seen)
            return err_set(err, "%s: row %zu hides every position", m->place, i + 1);
    }
    return 0;
}

/* A target a position, or of a classifier one a row; -1 is ignored, but not everywhere. */
static int check_targets(const Inputs *in, const ModelConfig *c, Err *err)
{
    const IdTable *t = &in->targets;
    if (t->rows == 0)
        return 0;
    if (c->head == HEAD_NONE)
        return err_set(err, "%s: this model has no head to compute a loss with", t->place);
    bool labels = c->head == HEAD_CLASSIFIER;
    int status =
        labels ? check_shape(t, in->ids.rows, 1, "but a label for each row of --ids makes", err)
               : check_shape(t, in->ids.rows, in->ids.cols, "--ids has", err);
    int32_t most = (int32_t)(labels ? c->num_labels : c->vocab_size) - 1;
    if (status != 0 ||
        ids_check(t, -1, most, labels ? "-1 or a label" : "-1 or a token id", err) != 0)
        return -1;
    for (size_t i = 0; i < t->rows * t->cols; i++)
        if (t->at[i] >= 0)
            return 0;
    return err_set(err, "%s: every target is -1, so there is no loss", t->place);
}

static int check_inputs(const Inputs *in, const ModelConfig *c, Err *err)
{
    if (in->ids.cols > c->max_positions)
        return err_set(err, "%s: rows of %zu ids, but the model has %zu positions", in->ids.place,
                       in->ids.cols, c->max_positions);
    if (ids_check(&in->ids, 0, (int32_t)c->vocab_size - 1, "a token id", err) != 0 ||
        check_mask(in, err) != 0)
        return -1;
    return check_targets(in, c, err);
}

/* A kept tensor as fp32, whatever it is stored in. */
static void add_output(TensorList *out, const char *name, size_t ndim, const size_t *shape,
                       const Tensor *t)
{
    float *values = xmalloc(tensor_count(t) * sizeof *values);
    exec_read(t, values);
    tensor_list_take(out, name, ndim, shape, values);
}

static void add_outputs(const Model *m, TensorList *out)
{
    const ModelConfig *c = &m->config;
    const RecordWants *w = &m->options.wants;
    const Recording *r = &m->record;
    size_t hidden[] = {w->batch, w->context, c->d_model};
    for (size_t i = 0; i <= c->num_layers; i++) {
        char name[40];
        snprintf(name, sizeof name, "hidden_states.%zu", i);
        add_output(out, name, 3, hidden, r->hidden[i]);
    }
    add_output(out, "last_hidden_state", 3, hidden, r->hidden[c->num_layers]);
    if (c->head == HEAD_LM)
        add_output(out, "logits", 3, (size_t[]){w->batch, w->context, c->vocab_size}, r->logits);
    if (c->head == HEAD_CLASSIFIER)
        add_output(out, "logits", 2, (size_t[]){w->batch, c->num_labels}, r->logits);
    if (r->loss)
        add_output(out, "loss", 0, NULL, r->loss);
}

/* Says on one line which tensors have a value that is no finite number; whether none has. */
static bool all_finite(const TensorList *out)
{
    const size_t most_named = 8;
    size_t found = 0;
    for (size_t i = 0; i < out->count; i++) {
        const STensor *t = &out->at[i];
        if (!classifier_finite(t->data, stensor_count(t)) && found++ < most_named)
            fprintf(stderr, "%s %s", found == 1 ? "tare: not finite:" : ",", t->name);
    }
    if (found > most_named)
        fprintf(stderr, " and %zu more", found - most_named);
    if (found)
        fputc('\n', stderr);
    return found == 0;
}

/* Forward, and backward where there are targets, then everything into the file. */
static int run_and_write(Checkpoint *ck, Model *m, const Inputs *in, const char *path, bool *finite,
                         Err *err)
{
    if (memory_check(model_predicted_bytes(m), "dump: this", "give fewer or shorter rows", err) !=
            0 ||
        model_alloc(m, err) != 0 || checkpoint_load(ck, &m->params, err) != 0)
        return -1;
    unused_print(ck->unused);
    model_set_tokens(m, in->ids.at);
    if (in->mask.rows)
        model_set_mask(m, in->mask.at);
    if (in->targets.rows)
        model_set_targets(m, in->targets.at);
    model_forward(m);
    if (m->options.backward)
        model_backward(m);
    OWNED_BY(tensor_list_release) TensorList out = {0};
    add_outputs(m, &out);
    if (m->options.backward)
        checkpoint_export(&ck->config, ck->prefixed, &m->params, m->params.grads, "grad.", &out);
    int status = safetensors_write(path, out.at, out.count, NULL, err);
    *finite = status != 0 || all_finite(&out);
    return status;
}

/* A file of the model that is read is not to be replaced, whatever name or link leads to it. */
static int check_out(const char *out, const char *dir, Err *err)
{
    DIR *files = opendir(dir);
    int status = !files && file_is_same(out, dir)
                     ? err_set(err, "--out '%s' is the model itself; use another name", out)
                     : 0;
    for (struct dirent *d; files && status == 0 && (d = readdir(files));) {
        OWNED char *path = xasprintf("%s/%s", dir, d->d_name);
        if (strcmp(d->d_name, "..") != 0 && file_is_same(out, path))
            status = err_set(err, "--out '%s' is '%s' of the model itself; use another name", out,
                             d->d_name);
    }
    if (files)
        closedir(files);
    return status;
}

static int dump(const Inputs *in, const DumpOptions *o, bool *finite, Err *err)
{
    Precision precision;
    RecomputeChoice recompute;
    OWNED_BY(checkpoint_release) Checkpoint ck = {0};
    if (precision_parse(o->precision, &precision, err) != 0 ||
        recompute_parse(o->recompute, &recompute, err) != 0 ||
        check_out(o->out, o->dir, err) != 0 || path_check_new(o->out, o->overwrite, err) != 0 ||
        checkpoint_open(&ck, o->dir, err) != 0 || check_inputs(in, &ck.config, err) != 0)
        return -1;
    OWNED_BY(model_release) Model m;
    model_plan(
        &m, &ck.config,
        &(ModelOptions){.wants = {.batch = in->ids.rows,
                                  .context = in->ids.cols,
                                  .mask = in->mask.rows > 0,
                                  .loss = in->targets.rows > 0,
                                  .hidden = true,
                                  .logits = ck.config.head != HEAD_NONE},
                        .precision = precision,
                        .backward = in->targets.rows > 0 && precision_has_backward(precision),
                        .recompute = recompute,
                        .threads = (int)o->threads});
    return run_and_write(&ck, &m, in, o->out, finite, err);
}

int cmd_dump(int argc, char **argv, Err *err)
{
    DumpOptions o = {.recompute = "auto", .precision = "fp32", .threads = threads_default()};
    const Option options[] = {
        option_text("--ids", "ROWS", &o.ids, NULL,
                    "token ids, \"1 2 3;4 5 6\" or @FILE; rows equally long"),
        option_text("--mask", "ROWS", &o.mask, NULL,
                    "1 for a position that is seen, 0 for padding; all 1 by default"),
        option_text("--targets", "ROWS", &o.targets, NULL,
                    "the right id at each position, or a label a row (-1 = ignored); adds the "
                    "loss, and gradients where the precision has a backward pass"),
        option_text("--out", "FILE", &o.out, NULL, "the safetensors file to write"),
        option_flag("--overwrite", &o.overwrite,
                    "replace an existing file, but none of the model itself"),
        option_text("--recompute", "MODE", &o.recompute, NULL,
                    "auto, none, cheap, block or block:K, K blocks at a time; results are "
                    "identical"),
        option_text("--precision", "FORMAT", &o.precision, PRECISION_NAMES,
                    "what the model computes in, natively or not; the file is fp32 in any case"),
        threads_option(&o.threads),
    };
    const Command command = {
        .verb = "dump",
        .arguments = {"MODEL", 1, 1, &o.dir},
        .summary = "run a checkpoint on given ids and write its hidden states, logits, loss and "
                   "gradients",
        OPTIONS(options),
        .notes = "exit: 0 ok, 1 written, but a value is not finite, 2 bad command or input\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    if (!o.out)
        return err_set(err, "dump: --out is missing; see tare dump --help");
    interrupt_quit(EXIT_INTERRUPTED);
    OWNED_BY(inputs_release) Inputs in = {0};
    bool finite = true;
    if (parse_inputs(&in, &o, err) != 0 || dump(&in, &o, &finite, err) != 0)
        return -1;
    return finite ? EXIT_OK : EXIT_NOT_OK;
}
