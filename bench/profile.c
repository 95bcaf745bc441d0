/* profile: see profile.h. */
#include "profile.h"

#include <stdlib.h>
#include <string.h>

#include "../autograd/ops.h"

void profile_init(Profile *p)
{
    *p = (Profile){0};
}

void profile_release(Profile *p)
{
    free(p->lines);
    profile_init(p);
}

static const char *pass_name(StepKind kind)
{
    static const char *const names[] = {
        [STEP_FORWARD] = "forward", [STEP_REFRESH] = "refresh", [STEP_BACKWARD] = "backward"};
    return names[kind];
}

static ProfileLine *line_of(Profile *p, const char *op, const char *pass)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->lines[i].op, op) == 0 && strcmp(p->lines[i].pass, pass) == 0)
            return &p->lines[i];
    p->lines = xrealloc(p->lines, (p->count + 1) * sizeof *p->lines);
    p->lines[p->count] = (ProfileLine){.op = op, .pass = pass};
    return &p->lines[p->count++];
}

/* Forward reads the inputs and writes the output; backward reads the inputs and the output's gradient
 * and writes the inputs' gradients. */
static double step_bytes(const Step *s)
{
    double bytes = (double)tensor_bytes(s->t);
    for (int i = 0; i < s->t->num_inputs; i++) {
        const Tensor *in = s->t->in[i];
        if (in)
            bytes += (double)tensor_bytes(in) * (s->kind == STEP_BACKWARD && in->grad ? 2 : 1);
    }
    return bytes;
}

static double step_flops(const Step *s)
{
    const OpDef *op = s->t->op;
    bool backward = s->kind == STEP_BACKWARD;
    double flops = op->flops && s->kind != STEP_REFRESH ? op->flops(s->t, backward) : 0;
    return flops + (backward && s->t->lean && op->lean_flops ? op->lean_flops(s->t) : 0);
}

void profile_step(void *ctx, const Step *step, uint64_t ns)
{
    if (step->kind == STEP_GRAD_READY)
        return;
    ProfileLine *l = line_of(ctx, step->t->op->name, pass_name(step->kind));
    l->steps++;
    l->ns += (double)ns;
    l->flops += step_flops(step);
    l->bytes += step_bytes(step);
}

void profile_run(Profile *p, const Sample *s)
{
    p->runs++;
    p->wall_ns += (double)s->wall_ns;
    if (s->optimizer_ns != SAMPLE_NONE)
        p->optimizer_ns += (double)s->optimizer_ns;
}

static int by_time_descending(const void *a, const void *b)
{
    double x = ((const ProfileLine *)a)->ns, y = ((const ProfileLine *)b)->ns;
    return (x < y) - (x > y);
}

static void print_line(const Profile *p, const ProfileLine *l, FILE *out)
{
    double runs = (double)p->runs;
    fprintf(out, "%-22s %-9s %6.0f %10.3f %6.1f", l->op, l->pass, (double)l->steps / runs,
            l->ns / runs * 1e-6, 100 * l->ns / p->wall_ns);
    if (l->flops > 0)
        fprintf(out, " %9.1f", l->flops / l->ns);
    else
        fprintf(out, " %9s", "");
    if (l->bytes > 0)
        fprintf(out, " %8.1f", l->bytes / l->ns);
    fputc('\n', out);
}

void profile_print(const Profile *p, FILE *out)
{
    double steps_ns = 0;
    ProfileLine *sorted = xmalloc((p->count + 1) * sizeof *sorted);
    if (p->count)
        memcpy(sorted, p->lines, p->count * sizeof *sorted);
    qsort(sorted, p->count, sizeof *sorted, by_time_descending);
    fprintf(out, "%-22s %-9s %6s %10s %6s %9s %8s\n", "op", "pass", "steps", "ms", "%", "GFLOP/s",
            "GB/s");
    for (size_t i = 0; i < p->count; i++) {
        steps_ns += sorted[i].ns;
        print_line(p, &sorted[i], out);
    }
    if (p->optimizer_ns > 0)
        print_line(p, &(ProfileLine){"adamw", "update", p->runs, p->optimizer_ns, 0, 0}, out);
    double rest = p->wall_ns - steps_ns - p->optimizer_ns;
    print_line(p, &(ProfileLine){"inputs and stamps", "", 0, rest, 0, 0}, out);
    fprintf(out, "one run: %.3f ms, mean of %lld with a stamp after every step\n",
            p->wall_ns / (double)p->runs * 1e-6, (long long)p->runs);
    free(sorted);
}
