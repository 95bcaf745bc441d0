/* model: see model.h. */
#include "model/model.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_BLOCKS = 65536 };

int recompute_parse(const char *name, RecomputeChoice *choice, Err *err)
{
    static const char *const names[] = {[CHOOSE_AUTO] = "auto",
                                        [CHOOSE_NONE] = "none",
                                        [CHOOSE_CHEAP] = "cheap",
                                        [CHOOSE_BLOCK] = "block"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name, names[i]) == 0) {
            *choice = (RecomputeChoice)i;
            return 0;
        }
    char *end = NULL;
    long blocks = strncmp(name, "block:", 6) == 0 ? strtol(name + 6, &end, 10) : 0;
    if (!end || *end || end == name + 6 || blocks < 1 || blocks > MOST_BLOCKS)
        return err_set(
            err, "'%.40s' is no way to recompute; auto, none, cheap, block and block:K are", name);
    *choice = (RecomputeChoice)(CHOOSE_BLOCK + blocks - 1);
    return 0;
}

static ParamsMemory memory_wanted(const ModelOptions *o)
{
    return (ParamsMemory){.grads = o->backward,
                          .moments = o->optimizer,
                          .packs = o->pack_weights,
                          .pack_type = precision_operands(o->precision)};
}

static void plan_with(Model *m, Recompute rc)
{
    m->recompute = rc;
    schedule_build(&m->schedule, &m->graph, m->options.backward ? m->record.loss : NULL, rc);
    plan_build(&m->plan, &m->schedule, m->options.threads);
}

static void plan_again(Model *m, Recompute rc)
{
    plan_release(&m->plan);
    schedule_release(&m->schedule);
    plan_with(m, rc);
}

static bool fits(const Model *m)
{
    return !m->options.memory_limit || model_predicted_bytes(m) <= m->options.memory_limit;
}

/* What more blocks at a time than are planned need at least: all that these blocks make again is
 * alive together. */
static size_t least_of_more(const Model *m)
{
    return model_predicted_bytes(m) - m->plan.arena_bytes + plan_backward_bytes(&m->plan);
}

/* As few blocks at a time as fit, else as take least memory: kept block ends become fewer, the
 * blocks that are made again larger. Ends where these alone are too large. */
static void plan_blocks(Model *m)
{
    size_t layers = m->config.num_layers, best = 1;
    plan_again(m, RECOMPUTE_BLOCK);
    size_t least = model_predicted_bytes(m), floor = least_of_more(m);
    for (size_t every = 2; every <= layers && !fits(m); every++) {
        if (floor > m->options.memory_limit && floor >= least)
            break;
        plan_again(m, recompute_blocks(every));
        floor = least_of_more(m);
        if (model_predicted_bytes(m) < least) {
            least = model_predicted_bytes(m);
            best = every;
        }
    }
    if (!fits(m))
        plan_again(m, recompute_blocks(best));
}

static void plan_as_asked(Model *m, const ModelOptions *o)
{
    if (!o->backward || o->recompute == CHOOSE_NONE) {
        plan_with(m, RECOMPUTE_NONE);
    } else if (o->recompute >= CHOOSE_BLOCK) {
        plan_with(m, recompute_blocks((size_t)(o->recompute - CHOOSE_BLOCK) + 1));
    } else {
        plan_with(m, RECOMPUTE_CHEAP);
        if (o->recompute == CHOOSE_AUTO && !fits(m))
            plan_blocks(m);
    }
}

static void record_and_plan(Model *m, const ModelConfig *c, const ModelOptions *o)
{
    *m = (Model){.config = *c, .options = *o};
    m->options.wants.attention = o->as_decoder ? DT_F32 : precision_attention(o->precision);
    CHECK(!o->backward || o->wants.loss, "a backward pass needs a loss");
    CHECK(!o->backward || precision_has_backward(o->precision), "%s has no backward pass",
          precision_name(o->precision));
    params_init(&m->params);
    graph_init(&m->graph);
    model_record(&m->graph, c, &m->params, &m->options.wants, &m->record);
    params_set_format(&m->params, precision_weights(o->precision));
    graph_store_activations(&m->graph, precision_activations(o->precision));
    if (o->precision == PRECISION_MIXED && o->backward)
        graph_store_operands(&m->graph);
    if (o->as_decoder)
        tensor_store(m->record.logits, DT_F32);
    plan_as_asked(m, o);
}

void model_plan(Model *m, const ModelConfig *c, const ModelOptions *o)
{
    record_and_plan(m, c, o);
    if (o->pack_weights && !fits(m)) { /* without a second copy of the weights it may */
        ModelOptions bare = *o;
        bare.pack_weights = false;
        model_release(m);
        record_and_plan(m, c, &bare);
    }
}

void model_end_at_hidden(Model *m, size_t state)
{
    CHECK(!m->options.backward && state <= m->config.num_layers, "hidden state %zu", state);
    tensor_keep(m->record.hidden[state]);
    plan_release(&m->plan);
    schedule_end_at(&m->schedule, m->record.hidden[state]);
    plan_build(&m->plan, &m->schedule, m->options.threads);
}

ModelBytes model_bytes(const Model *m)
{
    ParamsMemory want = memory_wanted(&m->options), no_moments = want, weights = want;
    no_moments.moments = weights.moments = weights.grads = false;
    size_t all = params_bytes(&m->params, want), some = params_bytes(&m->params, no_moments);
    size_t least = params_bytes(&m->params, weights);
    return (ModelBytes){.weights = least,
                        .gradients = some - least,
                        .moments = all - some,
                        .arena = m->plan.arena_bytes,
                        .scratch = m->plan.scratch_bytes};
}

size_t model_predicted_bytes(const Model *m)
{
    ModelBytes b = model_bytes(m);
    return b.weights + b.gradients + b.moments + b.arena + b.scratch + MODEL_PROCESS_BYTES;
}

int model_alloc(Model *m, Err *err)
{
    if (precision_takes(m->options.precision, &m->config, err) != 0)
        return -1;
    if (params_alloc(&m->params, memory_wanted(&m->options), err) != 0)
        return -1;
    if (exec_init(&m->exec, m->plan.arena_bytes, m->plan.scratch_bytes, m->options.threads, err) !=
        0)
        return -1;
    m->exec.product = precision_operands(m->options.precision);
    return 0;
}

void model_release(Model *m)
{
    exec_release(&m->exec);
    plan_release(&m->plan);
    schedule_release(&m->schedule);
    recording_release(&m->record);
    graph_release(&m->graph);
    params_release(&m->params);
}

void model_set_tokens(Model *m, const int32_t *tokens)
{
    exec_write(&m->exec, &m->plan, m->record.tokens, tokens);
}

void model_set_mask(Model *m, const int32_t *mask)
{
    exec_write(&m->exec, &m->plan, m->record.mask, mask);
}

void model_set_starts(Model *m, const int32_t *starts)
{
    exec_write(&m->exec, &m->plan, m->record.sequences.starts, starts);
}

void model_set_targets(Model *m, const int32_t *targets)
{
    exec_write(&m->exec, &m->plan, m->record.targets, targets);
}

void model_forward(Model *m)
{
    exec_run(&m->exec, &m->plan, PHASE_FORWARD);
}

void model_backward(Model *m)
{
    exec_run(&m->exec, &m->plan, PHASE_BACKWARD);
}

void model_update(Model *m, const AdamW *o)
{
    params_update(&m->params, o, 1.0f, m->options.threads);
}

float model_loss(const Model *m)
{
    float loss;
    exec_read(m->record.loss, &loss);
    return loss;
}
