/* two_layer: a network of two layers learns whether the two coordinates of a point have one sign.
 *
 *   cc two_layer.c $(pkg-config --cflags --libs tare) && ./a.out
 *
 * Recording declares parameters and ops; nothing is computed. Then the steps are scheduled, every
 * buffer gets its place, memory is mapped, and each turn runs forward, backward and one update. */
#include <stdio.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "model/params.h"

enum { POINTS = 512, HIDDEN = 16, SIGNS = 2, UPDATES = 300, THREADS = 1, SEED = 1 };

/* tanh([POINTS, 2] w1^T + b1) w2^T + b2, and the mean cross-entropy of that. */
static Tensor *record(Graph *g, Params *p, Tensor *x, Tensor *signs)
{
    ParamSpec matrix1 = {.rows = HIDDEN, .cols = 2, .init = INIT_NORMAL, .std = 1};
    ParamSpec matrix2 = {.rows = SIGNS, .cols = HIDDEN, .init = INIT_NORMAL, .std = 0.25f};
    Tensor *w1 = params_get(p, matrix1, "layer1.weight");
    Tensor *b1 = params_get(p, (ParamSpec){.rows = HIDDEN, .init = INIT_ZEROS}, "layer1.bias");
    Tensor *w2 = params_get(p, matrix2, "layer2.weight");
    Tensor *b2 = params_get(p, (ParamSpec){.rows = SIGNS, .init = INIT_ZEROS}, "layer2.bias");
    Tensor *hidden = op_linear(g, x, w1, b1, ACT_TANH, NULL);
    return op_cross_entropy(g, op_linear(g, hidden, w2, b2, ACT_NONE, NULL), signs);
}

static void fill(float points[POINTS][2], int32_t signs[POINTS])
{
    for (size_t i = 0; i < POINTS; i++) {
        for (size_t k = 0; k < 2; k++)
            points[i][k] = (float)(2 * rng_uniform(SEED, k, i) - 1);
        signs[i] = points[i][0] * points[i][1] > 0;
    }
}

int main(void)
{
    Graph g;
    Params p;
    Schedule schedule;
    Plan plan;
    Exec e;
    Err err;
    graph_init(&g);
    params_init(&p);
    Tensor *x = graph_input(&g, "x", DT_F32, 2, (size_t[]){POINTS, 2});
    Tensor *signs = graph_input(&g, "signs", DT_I32, 1, (size_t[]){POINTS});
    Tensor *loss = record(&g, &p, x, signs);
    tensor_keep(loss);
    schedule_build(&schedule, &g, loss, RECOMPUTE_NONE);
    plan_build(&plan, &schedule, THREADS);

    if (kernels_select(NULL, &err) != 0 ||
        params_alloc(&p, (ParamsMemory){.grads = true, .moments = true}, &err) != 0 ||
        exec_init(&e, plan.arena_bytes, plan.scratch_bytes, THREADS, &err) != 0) {
        fprintf(stderr, "two_layer: %s\n", err.msg);
        return EXIT_FAILURE;
    }
    params_randomize(&p, SEED, THREADS);
    AdamW adamw = adamw_defaults();
    adamw.learning_rate = 0.03f;

    static float points[POINTS][2];
    static int32_t wanted[POINTS];
    fill(points, wanted);
    for (int update = 0; update <= UPDATES; update++) {
        float value;
        exec_write(&e, &plan, x, points);
        exec_write(&e, &plan, signs, wanted);
        exec_run(&e, &plan, PHASE_FORWARD);
        exec_run(&e, &plan, PHASE_BACKWARD);
        exec_read(loss, &value);
        if (update % 50 == 0)
            printf("%3d  loss %.4f\n", update, (double)value);
        params_update(&p, &adamw, 1, THREADS);
    }

    exec_release(&e);
    plan_release(&plan);
    schedule_release(&schedule);
    graph_release(&g);
    params_release(&p);
    return EXIT_SUCCESS;
}
