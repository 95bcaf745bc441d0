/* The planned timeline of memory: exact against the prediction, and the lives of buffers. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/row/run.h"
#include "bench/row/timeline.h"
#include "tests/support/tiny_row.h"

/* In place: its plan points to its own schedule. */
static void plan_row(Model *m, const RowConfig *c)
{
    ModelConfig config = row_config_model(c);
    ModelOptions options = row_model_options(c, 0);
    model_plan(m, &config, &options);
}

/* Caller frees. */
static char *written(const Model *m, void (*write)(const Model *m, FILE *out))
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    write(m, out);
    fclose(out);
    char *copy = xstrdup(text);
    free(text);
    return copy;
}

/* The n-th cell of a line, from 0, as a number. */
static long long cell(const char *line, int n)
{
    for (; n > 0; n--)
        line = strchr(line, ',') + 1;
    return atoll(line);
}

static RowConfig varied(int i)
{
    static const char *const recompute[] = {"none", "cheap", "block", "block:2"};
    RowConfig c = tiny_row();
    text_set(c.recompute, recompute[i % 4]);
    c.forward_only = i >= 8;
    c.threads = i >= 8 ? 2 : 1; /* the batch is then divided */
    if (i >= 4)
        text_set(c.optimizer, "adamw");
    return c;
}

Test(timeline, its_highest_total_is_the_prediction_without_the_process)
{
    for (int i = 0; i < 12; i++) {
        RowConfig c = varied(i);
        Model m;
        plan_row(&m, &c);
        char *text = written(&m, timeline_write), *line = strchr(text, '\n') + 1;
        long long most = 0, steps = 0;
        for (; *line; line = strchr(line, '\n') + 1) {
            cr_assert(eq(llong, cell(line, 0), ++steps));
            long long sum = 0;
            for (int k = 4; k < 9; k++)
                sum += cell(line, k);
            cr_assert(eq(llong, cell(line, 9), sum));
            most = sum > most ? sum : most;
        }
        cr_expect(eq(llong, most, (long long)model_predicted_bytes(&m) - MODEL_PROCESS_BYTES));
        cr_expect(eq(llong, steps, (long long)m.schedule.count + m.options.optimizer));
        free(text);
        model_release(&m);
    }
}

/* And the same number of wasted bytes at every step. */
Test(timeline, activations_are_what_is_alive)
{
    for (int i = 0; i < 12; i++) {
        RowConfig c = varied(i);
        Model m;
        plan_row(&m, &c);
        char *text = written(&m, timeline_write), *line = strchr(text, '\n') + 1;
        long long wasted = 0;
        for (size_t step = 0; step < m.schedule.count; step++, line = strchr(line, '\n') + 1) {
            size_t alive = 0;
            for (size_t k = 0; k < m.plan.count; k++) {
                const Buffer *b = &m.plan.buffers[k];
                bool shared = b->kind == BUFFER_DATA && slices_share(&m.plan.slices, b->t);
                if (b->first <= step && step <= b->last)
                    alive += shared ? b->bytes : m.plan.slices.count * b->bytes;
            }
            if (step == 0)
                wasted = cell(line, 7) - (long long)alive;
            cr_assert(eq(llong, cell(line, 7), (long long)alive + wasted));
            cr_assert(wasted >= 0 && wasted <= (long long)m.plan.arena_bytes / 4);
        }
        free(text);
        model_release(&m);
    }
}

Test(timeline, phases_follow_each_other)
{
    RowConfig c = varied(6);
    Model m;
    plan_row(&m, &c);
    char *text = written(&m, timeline_write);
    char *backward = strstr(text, ",backward,"), *recompute = strstr(text, ",recompute,");
    cr_expect(strncmp(text,
                      "step,phase,op,layer,weights,gradients,moments,activations,scratch,"
                      "total\n1,forward,embedding,,",
                      93) == 0);
    cr_expect(backward && recompute && recompute > backward);
    cr_expect(strstr(backward, ",forward,") == NULL);
    cr_expect(strstr(text, ",backward,grad_ready,") != NULL);
    cr_expect(strstr(recompute, ",update,adamw,,") != NULL);
    free(text);
    model_release(&m);
}

/* Lines of the tensors' CSV that end so. */
static size_t lines_with(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++)
        count++;
    return count;
}

Test(timeline, tensors_say_what_is_saved)
{
    RowConfig c = varied(0);
    Model m;
    plan_row(&m, &c);
    char *text = written(&m, timeline_write_tensors);
    cr_expect(eq(sz, lines_with(text, "\n"), m.plan.count + 1));
    cr_expect(strncmp(text, "op,layer,kind,weight,shape,bytes,first,last,saved\ninput,,data,,2x16,",
                      68) == 0);
    /* 32 rows of qkv and of the projection up, in fp32 */
    cr_expect(eq(sz, lines_with(text, "\nlinear,0,data,h.0.attn.c_attn.weight,32x96,12288,"), 1));
    cr_expect(eq(sz, lines_with(text, "\nlinear,1,data,h.1.mlp.c_fc.weight,32x128,16384,"), 1));
    cr_expect(lines_with(text, ",True\n") > 0 && lines_with(text, ",False\n") > 0);
    free(text);
    model_release(&m);
    c.forward_only = true;
    plan_row(&m, &c);
    text = written(&m, timeline_write_tensors);
    cr_expect(eq(sz, lines_with(text, ",True\n"), 0));
    free(text);
    model_release(&m);
}
