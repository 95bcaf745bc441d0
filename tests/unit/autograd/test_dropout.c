/* test_dropout: the mask, which is computed again and never kept; and the settings of a training
 * run. */
#include "autograd/ops.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

enum { ROWS = 70, CHANNELS = 33, COUNT = ROWS * CHANNELS };

/* loss = mean cross-entropy of (dropout(x w^T) + x w2^T), small enough to check by hand. */
typedef struct Net {
    float w[CHANNELS * CHANNELS], dw[CHANNELS * CHANNELS];
    Tensor weight, *x, *targets, *linear, *dropped, *loss;
    Graph graph;
    Schedule schedule;
    Plan plan;
    Exec exec;
} Net;

static float x_values[COUNT];
static int32_t target_values[ROWS];

static void net_init(Net *n, float rate, Recompute rc)
{
    Err err;
    *n = (Net){0};
    for (int i = 0; i < CHANNELS * CHANNELS; i++)
        n->w[i] = (float)(rng_uniform(1, 0, (uint64_t)i) - 0.5);
    for (int i = 0; i < COUNT; i++)
        x_values[i] = (float)(rng_uniform(1, 1, (uint64_t)i) + 0.5);
    for (int i = 0; i < ROWS; i++)
        target_values[i] = i % CHANNELS;
    n->weight = (Tensor){.name = "w",
                         .block = -1,
                         .life = LIFE_PARAM,
                         .dtype = DT_F32,
                         .ndim = 2,
                         .shape = {CHANNELS, CHANNELS},
                         .needs_grad = true,
                         .data = n->w,
                         .grad = n->dw};
    graph_init(&n->graph);
    n->x = graph_input(&n->graph, "x", DT_F32, 2, (size_t[]){ROWS, CHANNELS});
    n->targets = graph_input(&n->graph, "targets", DT_I32, 1, (size_t[]){ROWS});
    graph_block_begin(&n->graph);
    n->linear = op_linear(&n->graph, n->x, &n->weight, NULL, ACT_NONE, NULL);
    n->dropped = op_dropout(&n->graph, n->linear, rate, n->x, false);
    Tensor *last = op_linear(&n->graph, n->dropped, &n->weight, NULL, ACT_NONE, NULL);
    graph_block_end(&n->graph);
    n->loss = op_cross_entropy(&n->graph, last, n->targets);
    if (rc == RECOMPUTE_NONE) {
        tensor_keep(n->linear);
        tensor_keep(n->dropped);
    }
    tensor_keep(n->loss);
    schedule_build(&n->schedule, &n->graph, n->loss, rc);
    plan_build(&n->plan, &n->schedule, 2);
    cr_assert_eq(exec_init(&n->exec, n->plan.arena_bytes, n->plan.scratch_bytes, 2, &err), 0);
}

static void net_release(Net *n)
{
    exec_release(&n->exec);
    plan_release(&n->plan);
    schedule_release(&n->schedule);
    graph_release(&n->graph);
}

static void net_forward(Net *n)
{
    exec_write(&n->exec, &n->plan, n->x, x_values);
    exec_write(&n->exec, &n->plan, n->targets, target_values);
    exec_run(&n->exec, &n->plan, PHASE_FORWARD);
}

/* Dropout's factor of element i: 0 where it was dropped, otherwise about the scale. */
static double factor(const Net *n, int i)
{
    const float *y = n->dropped->data, *x = n->linear->data;
    return ((double)y[i] - (double)x_values[i]) / (double)x[i];
}

static int count_dropped(const Net *n)
{
    int dropped = 0;
    for (int i = 0; i < COUNT; i++)
        dropped += fabs(factor(n, i)) < 1e-3;
    return dropped;
}

Test(dropout, drops_the_given_share_and_scales_the_rest)
{
    Net n;
    net_init(&n, 0.25f, RECOMPUTE_NONE);
    n.exec.training = (TrainingRun){.active = true, .seed = 3, .step = 5};
    net_forward(&n);
    /* binomial: 2310 * 0.25 = 577.5, standard deviation 20.8; the seed is fixed */
    cr_expect_lt(abs(count_dropped(&n) - 577), 63);
    for (int i = 0; i < COUNT; i++)
        cr_expect(fabs(factor(&n, i)) < 1e-3 || fabs(factor(&n, i) - 4.0 / 3) < 1e-3);
    net_release(&n);
}

Test(dropout, passes_everything_through_outside_training)
{
    Net n;
    net_init(&n, 0.5f, RECOMPUTE_NONE);
    net_forward(&n);
    const float *y = n.dropped->data, *x = n.linear->data;
    for (int i = 0; i < COUNT; i++)
        cr_expect_eq(y[i], x[i] + x_values[i]);
    net_release(&n);
}

Test(dropout, kernels_drop_what_the_hash_says)
{
    enum { N = 300, FIRST = 3 * DROPOUT_STEP, SEED = 5, STREAM = 9 };
    static const uint32_t shares[] = {0, 1, DROPOUT_LEVELS / 4, DROPOUT_LEVELS - 1};
    static const char *const isas[] = {"generic", "avx2", "avx512"};
    float x[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)(rng_uniform(1, 1, (uint64_t)i) + 0.5);
    for (size_t i = 0; i < COUNT_OF(isas) * COUNT_OF(shares); i++) {
        const Kernels *k = kernels_for(isas[i % COUNT_OF(isas)]);
        uint32_t dropped = shares[i / COUNT_OF(isas)];
        for (size_t n = 1; k && n < N; n += n < 70 ? 1 : 79) {
            float y[N];
            y[n] = 99;
            k->dropout(x, y, n, rng_key(SEED, STREAM), FIRST, dropped);
            for (size_t e = 0; e < n; e++) {
                uint64_t hash = rng_u64(SEED, STREAM, (FIRST + e) / 4);
                uint32_t bits = (hash >> 16 * (e % 4)) & 0xffff;
                float scale = (float)DROPOUT_LEVELS / (float)(DROPOUT_LEVELS - dropped);
                cr_assert_eq(y[e], bits < dropped ? 0 : x[e] * scale, "%s %zu", k->isa, e);
            }
            cr_assert_eq(y[n], 99);
        }
    }
}

Test(dropout, the_mask_follows_from_seed_and_step)
{
    Net n;
    float first[COUNT];
    net_init(&n, 0.5f, RECOMPUTE_NONE);
    n.exec.training = (TrainingRun){.active = true, .seed = 3, .step = 5};
    net_forward(&n);
    memcpy(first, n.dropped->data, sizeof first);
    net_forward(&n);
    cr_expect_eq(memcmp(first, n.dropped->data, sizeof first), 0, "the same again");
    n.exec.threads = 1;
    net_forward(&n);
    cr_expect_eq(memcmp(first, n.dropped->data, sizeof first), 0, "whatever the threads");
    n.exec.training.step = 6;
    net_forward(&n);
    cr_expect_neq(memcmp(first, n.dropped->data, sizeof first), 0, "another step");
    n.exec.training = (TrainingRun){.active = true, .seed = 4, .step = 5};
    net_forward(&n);
    cr_expect_neq(memcmp(first, n.dropped->data, sizeof first), 0, "another seed");
    net_release(&n);
}

Test(dropout, a_part_of_a_batch_has_the_whole_one_s_mask)
{
    Net n;
    bool kept[COUNT];
    net_init(&n, 0.5f, RECOMPUTE_NONE);
    n.exec.training = (TrainingRun){.active = true, .seed = 3, .step = 5};
    net_forward(&n);
    for (int i = 0; i < COUNT; i++)
        kept[i] = fabs(factor(&n, i)) > 1e-3;
    for (int first = 1; first < ROWS; first += 17) {
        n.exec.training.first_row = (size_t)first;
        n.exec.training.first_sequence = 1000; /* of which this node has no rows */
        net_forward(&n);
        for (int i = 0; i + first * CHANNELS < COUNT; i++)
            cr_assert_eq(fabs(factor(&n, i)) > 1e-3, kept[i + first * CHANNELS], "row %d", first);
    }
    net_release(&n);
}

static void gradients(Net *n, float *out)
{
    n->exec.training = (TrainingRun){.active = true, .seed = 9, .step = 1};
    net_forward(n);
    exec_run(&n->exec, &n->plan, PHASE_BACKWARD);
    memcpy(out, n->dw, sizeof n->dw);
}

Test(dropout, a_recomputed_block_drops_the_same_elements)
{
    static Net kept, again;
    static float a[CHANNELS * CHANNELS], b[CHANNELS * CHANNELS];
    net_init(&kept, 0.3f, RECOMPUTE_NONE);
    net_init(&again, 0.3f, RECOMPUTE_BLOCK);
    gradients(&kept, a);
    gradients(&again, b);
    cr_expect_eq(memcmp(a, b, sizeof a), 0);
    net_release(&kept);
    net_release(&again);
}

/* d loss / d w by central differences along one direction, with the same masks. */
Test(dropout, the_gradient_is_that_of_the_masked_function)
{
    static Net n;
    static float g[CHANNELS * CHANNELS];
    net_init(&n, 0.3f, RECOMPUTE_NONE);
    gradients(&n, g);
    double along = 0, loss[2];
    const float h = 1e-2f;
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < CHANNELS * CHANNELS; i++)
            n.w[i] += (side ? -2 * h : h) * (i % 2 ? 0.1f : -0.1f);
        net_forward(&n);
        loss[side] = (double)*(float *)n.loss->data;
    }
    for (int i = 0; i < CHANNELS * CHANNELS; i++)
        along += (double)g[i] * (i % 2 ? 0.1 : -0.1);
    double measured = (loss[0] - loss[1]) / (2 * (double)h);
    cr_expect_lt(fabs(measured / along - 1), 2e-3, "%g and %g", measured, along);
    net_release(&n);
}

Test(dropout, accumulated_and_weighted_gradients_add_up)
{
    static Net n;
    static float once[CHANNELS * CHANNELS];
    net_init(&n, 0.3f, RECOMPUTE_NONE);
    gradients(&n, once);
    n.exec.training.loss_weight = 0.25f;
    exec_run(&n.exec, &n.plan, PHASE_FORWARD);
    exec_run(&n.exec, &n.plan, PHASE_BACKWARD);
    n.exec.training.accumulate = true;
    for (int i = 0; i < 3; i++) {
        exec_run(&n.exec, &n.plan, PHASE_FORWARD);
        exec_run(&n.exec, &n.plan, PHASE_BACKWARD);
    }
    for (int i = 0; i < CHANNELS * CHANNELS; i++)
        cr_expect_lt(fabsf(n.dw[i] - once[i]), 1e-6f); /* observed: 6e-8, of gradients up to 0.5 */
    net_release(&n);
}
