/* plan_print: see plan_print.h. */
#include "tests/support/plan_print.h"

#include "autograd/op.h"

static void dump_buffer(const Buffer *b, FILE *out)
{
    static const char *const kinds[] = {"data", "aux", "grad"};
    fprintf(out, "        %-4s of %%%d: %zu bytes at %zu, steps %zu..%zu\n", kinds[b->kind],
            b->t->index, b->bytes, b->offset, b->first, b->last);
}

void plan_print(const Plan *p, FILE *out)
{
    static const char *const kinds[] = {"forward", "refresh", "backward", "ready"};
    const Schedule *s = p->schedule;
    size_t next = 0;
    for (size_t i = 0; i < s->count; i++) {
        const Step *step = &s->steps[i];
        const Tensor *t = step->t;
        fprintf(out, "%4zu %-8s ", i, kinds[step->kind]);
        if (t->life == LIFE_PARAM) {
            fprintf(out, "%s\n", t->name);
        } else {
            fprintf(out, "%%%d = %s [", t->index, t->op->name);
            for (int d = 0; d < t->ndim; d++)
                fprintf(out, "%s%zu", d ? "," : "", t->shape[d]);
            double flops =
                step->kind == STEP_REFRESH ? 0 : op_flops(t, step->kind == STEP_BACKWARD);
            fprintf(out, "] %.0f flops%s\n", flops, step->add ? ", adds" : "");
        }
        for (; next < p->count && p->buffers[next].first == i; next++)
            dump_buffer(&p->buffers[next], out);
    }
    fprintf(out, "arena %zu bytes, live %zu, scratch %zu\n", p->arena_bytes, p->live_bytes,
            p->scratch_bytes);
}
