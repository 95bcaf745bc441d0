/* run: see run.h. */
#include "bench/attention/run.h"

#include <math.h>
#include <omp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "model/model.h"
#include "bench/attention/layer.h"
#include "bench/machine/threads.h"
#include "bench/row/counters.h"
#include "bench/row/result.h"

/* ---- time ---- */

/* Everything between the first stamp and the last is the time of the trial. */
static Sample run_once(const AttentionLayer *l)
{
    Counters before, after;
    Sample s = sample_empty();
    counters_before(&before);
    int64_t start = clock_ns();
    l->impl->forward(l);
    int64_t forward_done = clock_ns();
    l->impl->backward(l);
    int64_t end = clock_ns();
    counters_after(&after);
    s.wall_ns = end - start;
    s.forward_ns = forward_done - start;
    s.backward_ns = end - forward_done;
    counters_difference(&before, &after, &s);
    return s;
}

static void run_trials(const RowConfig *c, const AttentionLayer *l, Samples *samples)
{
    const int64_t runs = c->num_warmups + c->num_trials;
    samples_reserve(samples, (size_t)runs);
    for (int64_t i = 0; i < runs; i++) {
        Sample s = run_once(l);
        s.trial = i + 1;
        s.is_warmup = i < c->num_warmups;
        samples_add(samples, s);
    }
}

static int layer_of(AttentionLayer *l, const AttentionRow *r, const Attention *shape,
                    const AttentionImpl *impl, Err *err)
{
    const RowConfig *c = &r->base.config;
    omp_set_num_threads((int)c->threads);
    return gemm_select(c->gemm, err) != 0
               ? -1
               : attention_layer_init(l, shape, impl, (int)c->threads, (uint64_t)c->seed, err);
}

int attention_run(AttentionRow *r, Samples *samples, Err *err)
{
    const Attention shape = attention_shape(r);
    AttentionLayer l;
    if (layer_of(&l, r, &shape, attention_impl(r->impl), err) != 0)
        return -1;
    products_taken();
    run_trials(&r->base.config, &l, samples);
    products_describe(products_taken(), r->base.product_instruction, TEXT_SIZE);
    counters_doubt(samples);
    r->base.peak_rss_bytes = peak_rss_bytes(getpid());
    r->base.threads_seen = threads_seen(r->base.config.threads);
    attention_layer_release(&l);
    text_set(r->base.isa, kernels()->isa);
    text_set(r->base.blas, gemm_blas_description());
    result_fill(&r->base, samples, clock_cost().resolution_ns);
    text_set(r->base.status, STATUS_OK);
    return 0;
}

/* ---- parity ---- */

/* Observed over contexts to 16,384 and head sizes to 128, causal and not: 1.6e-6 in fp32, 5.9e-3
 * in bf16, whose probabilities and out have 8 bits. */
static double tolerance(DType type)
{
    return type == DT_F32 ? 4e-6 : 1.5e-2;
}

static bool both_fit(const Attention *a, int threads, int64_t memory_limit)
{
    double bytes = attention_process_bytes(a, &attention_flash, threads) +
                   attention_process_bytes(a, &attention_plain, threads) - MODEL_PROCESS_BYTES;
    return memory_limit == INT_MISSING || bytes <= (double)memory_limit;
}

static int compare(AttentionRow *r, const Attention *a, Err *err)
{
    AttentionLayer flash = {0}, plain = {0};
    int status = layer_of(&flash, r, a, &attention_flash, err);
    if (status == 0)
        status = layer_of(&plain, r, a, &attention_plain, err);
    if (status == 0)
        r->parity_error = attention_difference(&flash, &plain);
    attention_layer_release(&flash);
    attention_layer_release(&plain);
    if (status == 0 && !(r->parity_error <= tolerance(a->type)))
        return err_set(err, "flash and plain differ by %.2g, %.2g is rounding", r->parity_error,
                       tolerance(a->type));
    return status;
}

int attention_parity(AttentionRow *r, int64_t memory_limit, Err *err)
{
    Attention a = attention_shape(r);
    while (a.T > 1 && !both_fit(&a, (int)r->base.config.threads, memory_limit))
        a.T /= 2;
    r->parity_context = (int64_t)a.T;
    text_set(r->parity, (int64_t)a.T == r->base.config.context_length
                            ? "flash and plain, this shape"
                            : "flash and plain, a shorter context");
    return compare(r, &a, err);
}
