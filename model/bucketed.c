/* bucketed: see bucketed.h. */
#include "model/bucketed.h"

#include <stdlib.h>

static void plan_bucket(Bucketed *m, Bucket *b, size_t size, bool backward)
{
    RecordWants wants = m->wants;
    b->size = size;
    *(wants.rows ? &wants.rows : &wants.context) = size;
    graph_init(&b->graph);
    model_record(&b->graph, &m->config, &m->params, &wants, &b->record);
    schedule_build(&b->schedule, &b->graph, backward ? b->record.loss : NULL,
                   backward ? RECOMPUTE_CHEAP : RECOMPUTE_NONE);
    plan_build(&b->plan, &b->schedule, m->threads);
}

void bucketed_plan(Bucketed *m, const ModelConfig *c, const RecordWants *wants, const size_t *sizes,
                   size_t count, bool backward, int threads)
{
    *m = (Bucketed){.config = *c,
                    .wants = *wants,
                    .list = xcalloc(count, sizeof *m->list),
                    .count = count,
                    .threads = threads};
    params_init(&m->params);
    for (size_t i = 0; i < count; i++) {
        CHECK(i == 0 || sizes[i] > sizes[i - 1], "buckets must be given in ascending order");
        plan_bucket(m, &m->list[i], sizes[i], backward);
    }
}

/* What the largest plan needs of each. */
static void largest_plan(const Bucketed *m, size_t *arena, size_t *scratch)
{
    *arena = *scratch = 0;
    for (size_t i = 0; i < m->count; i++) {
        const Plan *p = &m->list[i].plan;
        *arena = p->arena_bytes > *arena ? p->arena_bytes : *arena;
        *scratch = p->scratch_bytes > *scratch ? p->scratch_bytes : *scratch;
    }
}

size_t bucketed_bytes(const Bucketed *m, ParamsMemory want)
{
    size_t arena, scratch;
    largest_plan(m, &arena, &scratch);
    return params_bytes(&m->params, want) + arena + scratch;
}

int bucketed_alloc(Bucketed *m, ParamsMemory want, Err *err)
{
    size_t arena, scratch;
    largest_plan(m, &arena, &scratch);
    if (params_alloc(&m->params, want, err) != 0)
        return -1;
    return exec_init(&m->exec, arena, scratch, m->threads, err);
}

void bucketed_release(Bucketed *m)
{
    exec_release(&m->exec);
    for (size_t i = 0; i < m->count; i++) {
        plan_release(&m->list[i].plan);
        schedule_release(&m->list[i].schedule);
        recording_release(&m->list[i].record);
        graph_release(&m->list[i].graph);
    }
    free(m->list);
    params_release(&m->params);
    *m = (Bucketed){0};
}

size_t bucketed_find(const Bucketed *m, size_t positions)
{
    size_t i = 0;
    while (i < m->count && m->list[i].size < positions)
        i++;
    CHECK(i < m->count, "no bucket holds %zu positions", positions);
    return i;
}

void bucketed_set(Bucketed *m, size_t bucket, const BucketInput *in)
{
    const Bucket *b = &m->list[bucket];
    exec_write(&m->exec, &b->plan, b->record.tokens, in->tokens);
    if (b->record.sequences.starts)
        exec_write(&m->exec, &b->plan, b->record.sequences.starts, in->starts);
    if (b->record.mask)
        exec_write(&m->exec, &b->plan, b->record.mask, in->mask);
    if (b->record.types)
        exec_write(&m->exec, &b->plan, b->record.types, in->types);
    if (b->record.targets)
        exec_write(&m->exec, &b->plan, b->record.targets, in->targets);
}

void bucketed_forward(Bucketed *m, size_t bucket, const BucketInput *in)
{
    bucketed_set(m, bucket, in);
    exec_run(&m->exec, &m->list[bucket].plan, PHASE_FORWARD);
}

void bucketed_backward(Bucketed *m, size_t bucket)
{
    exec_run(&m->exec, &m->list[bucket].plan, PHASE_BACKWARD);
}

float bucketed_loss(const Bucketed *m, size_t bucket)
{
    float loss;
    exec_read(m->list[bucket].record.loss, &loss);
    return loss;
}

const float *bucketed_logits(const Bucketed *m, size_t bucket)
{
    const Tensor *logits = m->list[bucket].record.logits;
    CHECK(logits && logits->keep, "the logits were not recorded");
    return logits->data;
}
