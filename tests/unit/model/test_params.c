/* test_params: declaring and finding, flat blocks, packed copies, the AdamW step. Initial values
 * are tested where models declare them: test_model. */
#include "model/params.h"

#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"

static const ParamSpec matrix = {.rows = 5, .cols = 7, .init = INIT_NORMAL, .std = 0.5f};
static const ParamSpec vector = {.rows = 19, .init = INIT_ONES};

static void declare_two(Params *p)
{
    params_init(p);
    params_get(p, matrix, "h.%d.weight", 0);
    params_get(p, vector, "h.%d.bias", 0);
}

static void alloc(Params *p, ParamsMemory want)
{
    Err err;
    cr_assert(params_alloc(p, want, &err) == 0, "%s", err.msg);
}

Test(params, a_name_is_declared_once)
{
    Params p;
    declare_two(&p);
    Tensor *w = params_get(&p, matrix, "h.0.%s", "weight");
    cr_expect(w == &p.list[0]->tensor && p.count == 2);
    cr_expect(w->ndim == 2 && w->shape[0] == 5 && w->shape[1] == 7 && w->life == LIFE_PARAM);
    cr_expect(p.list[1]->tensor.ndim == 1 && p.list[1]->tensor.shape[0] == 19);
    cr_expect(params_total(&p) == 5 * 7 + 19);
    params_release(&p);
}

Test(params, two_shapes_of_one_name_are_our_bug, .signal = SIGABRT)
{
    Params p;
    declare_two(&p);
    params_get(&p, vector, "h.0.weight");
}

Test(params, declaring_after_allocation_is_our_bug, .signal = SIGABRT)
{
    Params p;
    declare_two(&p);
    alloc(&p, (ParamsMemory){0});
    params_get(&p, matrix, "late");
}

Test(params, blocks_hold_every_parameter_apart)
{
    Params p;
    declare_two(&p);
    p.list[0]->tensor.multiplies = true;
    size_t block = (48 + 32) * sizeof(float); /* 35 and 19, each in whole cache lines */
    cr_expect(params_bytes(&p, (ParamsMemory){0}) == block);
    cr_expect(params_bytes(&p, (ParamsMemory){.grads = true}) == 2 * block);
    cr_expect(params_bytes(&p, (ParamsMemory){.grads = true, .moments = true}) == 4 * block);
    cr_expect(params_bytes(&p, (ParamsMemory){.packs = true}) ==
              block + gemm_packed_bytes(DT_F32, 7, 5));
    alloc(&p, (ParamsMemory){.grads = true});
    for (size_t i = 0; i < p.count; i++) {
        const Param *q = p.list[i];
        cr_expect(q->offset % 16 == 0 && q->tensor.data == p.weights + q->offset &&
                  q->tensor.grad == p.grads + q->offset && !q->pack.memory);
    }
    cr_expect(p.list[1]->offset == 48 && !p.moment1 && !p.moment2 && !p.packs);
    params_release(&p);
    declare_two(&p);
    alloc(&p, (ParamsMemory){0});
    cr_expect(!p.list[0]->tensor.grad && !p.grads);
    params_release(&p);
}

Test(params, packed_copies_age_with_their_weights)
{
    Params p;
    declare_two(&p);
    p.list[0]->tensor.multiplies = true;
    alloc(&p, (ParamsMemory){.grads = true, .moments = true, .packs = true});
    const WeightPack *pack = &p.list[0]->pack;
    cr_expect(pack->memory && (uintptr_t)pack->memory % 64 == 0 && !p.list[1]->pack.memory);
    uint64_t version = pack->weight_version;
    cr_expect(version != pack->packed_version, "nothing is packed yet");
    params_touched(&p);
    cr_expect(pack->weight_version > version);
    version = pack->weight_version;
    params_randomize(&p, 1, 1);
    cr_expect(pack->weight_version > version);
    version = pack->weight_version;
    AdamW o = adamw_defaults();
    params_update(&p, &o, 1, 1);
    cr_expect(pack->weight_version > version);
    params_release(&p);
}

/* Stored slice by slice, the last of which the panels of AVX-512 would cut. */
Test(params, packed_only_holds_the_same_weights_once)
{
    enum { ROWS = 394, COLS = 2000 };
    const ParamsMemory want = {.packed_only = true};
    Params plain, packed;
    Params *both[] = {&plain, &packed};
    float *row = xmalloc(COLS * sizeof *row);
    for (int i = 0; i < 2; i++) {
        params_init(both[i]);
        params_get(both[i], (ParamSpec){.rows = 9, .cols = 5, .std = 1}, "table");
        params_get(both[i], (ParamSpec){.rows = ROWS, .cols = COLS, .std = 1}, "w")->multiplies =
            true;
        params_get(both[i], (ParamSpec){.rows = 7, .init = INIT_ONES}, "b");
        alloc(both[i], i ? want : (ParamsMemory){0});
        params_randomize(both[i], 3, 2);
    }
    cr_expect(!packed.weights && packed.list[1]->tensor.data == NULL);
    cr_expect(params_bytes(&packed, want) < params_bytes(&plain, (ParamsMemory){0}) * 102 / 100);
    cr_expect_eq(packed.pack_bytes, (gemm_packed_bytes(DT_F32, COLS, ROWS) + 63) / 64 * 64);
    for (size_t i = 0; i < ROWS; i++) {
        gemm_packed_column(packed.list[1]->pack.memory, i, row);
        cr_assert_eq(
            memcmp(row, plain.weights + plain.list[1]->offset + i * COLS, COLS * sizeof *row), 0,
            "row %zu", i);
    }
    for (size_t k = 0; k < 3; k += 2)
        cr_expect_eq(memcmp(packed.list[k]->tensor.data, plain.list[k]->tensor.data,
                            tensor_bytes(&plain.list[k]->tensor)),
                     0);
    params_release(&plain);
    params_release(&packed);
    free(row);
}

Test(params, defaults_are_pytorchs)
{
    AdamW o = adamw_defaults();
    cr_expect(o.learning_rate == 1e-3f && o.beta1 == 0.9f && o.beta2 == 0.999f &&
              o.epsilon == 1e-8f && o.weight_decay == 0.01f);
}

/* One weight through steps of AdamW as the paper's algorithm 2 writes it, in double. */
typedef struct Reference {
    double w, m, v;
} Reference;

static void step_reference(Reference *r, const AdamW *o, int t, double g, bool decay)
{
    r->m = (double)o->beta1 * r->m + (1 - (double)o->beta1) * g;
    r->v = (double)o->beta2 * r->v + (1 - (double)o->beta2) * g * g;
    double m = r->m / (1 - pow((double)o->beta1, t)), v = r->v / (1 - pow((double)o->beta2, t));
    double lr = (double)o->learning_rate;
    r->w -=
        lr * (m / (sqrt(v) + (double)o->epsilon) + (decay ? (double)o->weight_decay * r->w : 0));
}

/* Matrices decay, vectors do not; gradients are scaled; padding between parameters stays as it
 * is. */
Test(params, update)
{
    enum { STEPS = 30 };
    Params p;
    declare_two(&p);
    alloc(&p, (ParamsMemory){.grads = true, .moments = true});
    params_randomize(&p, 3, 1);
    size_t n = p.block_floats;
    Reference *r = xcalloc(n, sizeof *r);
    for (size_t i = 0; i < n; i++)
        r[i].w = (double)p.weights[i];
    AdamW o = {1e-2f, 0.9f, 0.99f, 1e-8f, 0.3f};
    const float scale = 0.25f;
    double worst = 0;
    for (int t = 1; t <= STEPS; t++) {
        for (size_t i = 0; i < n; i++)
            p.grads[i] = (float)(2 * rng_uniform(5, (uint64_t)t, i) - 1);
        params_update(&p, &o, scale, 2);
        cr_expect(p.step == (uint64_t)t);
        for (size_t k = 0; k < p.count; k++)
            for (size_t i = 0; i < tensor_count(&p.list[k]->tensor); i++) {
                size_t at = p.list[k]->offset + i;
                step_reference(&r[at], &o, t, (double)(p.grads[at] * scale), k == 0);
                worst = fmax(worst, fabs((double)p.weights[at] - r[at].w));
            }
    }
    cr_log_info("weights are off by at most %.2e", worst);
    /* Observed: 4.0e-7, of weights about 1. */
    cr_expect(worst < 1.6e-6, "weights are off by %.2e", worst);
    for (size_t i = 35; i < 48; i++)
        cr_expect(p.weights[i] == 0, "padding was updated");
    free(r);
    params_release(&p);
}

Test(params, an_update_without_moments_is_our_bug, .signal = SIGABRT)
{
    Params p;
    declare_two(&p);
    alloc(&p, (ParamsMemory){.grads = true});
    AdamW o = adamw_defaults();
    params_update(&p, &o, 1, 1);
}
