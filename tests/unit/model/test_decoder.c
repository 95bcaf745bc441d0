/* test_decoder: a model that reads its tokens in pieces computes what one full forward computes,
 * bit for bit, however the tokens are divided. */
#include "model/decoder.h"
#include "tests/support/count_malloc.h"
#include "tests/support/odd_models.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KINDS = 12, MOST = 3, LONGEST = 160, STEPS = 6, SEED = 5 };

/* ---- models of each kind, small and odd ---- */

typedef struct Kind {
    const char *name;
    ModelConfig config;
} Kind;

/* Deep enough for several blocks over k, wide enough for two threads in a step. */
static ModelConfig wide(ModelConfig c)
{
    c.d_model = 400;
    c.num_layers = 1;
    c.num_heads = 5;
    c.num_kv_heads = c.family->rotary ? 1 : 0;
    c.head_dim = 0;
    c.d_ff = 810;
    c.vocab_size = 1009;
    return c;
}

/* Heads of so many channels, which attention may work in a way of its own. */
static ModelConfig with_heads_of(size_t channels, ModelConfig c)
{
    if (c.family->rotary)
        c.head_dim = channels;
    else
        c.d_model = c.num_heads * channels;
    return c;
}

static size_t all_kinds(Kind *kinds)
{
    ModelConfig gpt2 = odd_gpt(), scaled = odd_llama(&family_llama, 2, false);
    gpt2.max_positions = LONGEST + STEPS;
    scaled.rope.factor = 8;
    scaled.rope.low = 1;
    scaled.rope.high = 4;
    scaled.rope.original = 64;
    const Kind list[] = {
        {"gpt2", gpt2},
        {"llama", scaled},
        {"cs336", odd_llama(&family_llama, 6, true)},
        {"mistral", odd_llama(&family_mistral, 3, false)},
        {"qwen2", odd_llama(&family_qwen2, 1, false)},
        {"qwen3", odd_llama(&family_qwen3, 2, false)},
        {"wide gpt2", wide(gpt2)},
        {"wide llama", wide(scaled)},
        {"gpt2, heads of 8", with_heads_of(8, gpt2)},
        {"gpt2, heads of 16", with_heads_of(16, gpt2)},
        {"llama, heads of 8", with_heads_of(8, scaled)},
        {"llama, heads of 16", with_heads_of(16, scaled)},
    };
    _Static_assert(COUNT_OF(list) == KINDS, "room for all of them");
    memcpy(kinds, list, sizeof list);
    return COUNT_OF(list);
}

/* Logits [n, V] of one forward pass over the whole sequence. Caller frees. */
static float *full_logits(const ModelConfig *c, Precision precision, bool as_decoder,
                          const int32_t *tokens, size_t n)
{
    Model m;
    start(&m, c,
          &(ModelOptions){.wants = {.batch = 1, .context = n, .logits = true},
                          .precision = precision,
                          .as_decoder = as_decoder,
                          .threads = 2});
    params_randomize(&m.params, SEED, 1);
    model_set_tokens(&m, tokens);
    model_forward(&m);
    float *logits = xmalloc(n * c->vocab_size * sizeof *logits);
    exec_read(m.record.logits, logits);
    model_release(&m);
    return logits;
}

/* ---- one way of reading ---- */

typedef struct Way {
    size_t batch, rows, shortest; /* rows: of a piece; prompts of shortest, shortest + 13, ... */
    int threads;
    Precision precision;
    DType cache;
} Way;

/* Sequence b: its prompt, then the tokens that are read one by one. */
static size_t prompt_length(const Way *w, size_t b)
{
    return w->shortest + 13 * b % 40;
}

static void start_decoder(Decoder *d, const ModelConfig *c, const Way *w)
{
    Err err;
    decoder_plan(d, c,
                 &(DecoderOptions){.batch = w->batch,
                                   .capacity = LONGEST + STEPS,
                                   .rows = {w->rows, w->batch},
                                   .precision = w->precision,
                                   .cache_type = w->cache,
                                   .threads = w->threads});
    cr_assert(decoder_alloc(d, &err) == 0, "%s", err.msg);
    params_randomize(&d->params, SEED, 1);
}

/* Over a cache of fp32 the full forward is that of a decoder. Another one stores its logits in the
 * format of activations. */
static void expect_row(const char *name, const Way *w, const float *got, const float *full,
                       size_t b, size_t row, size_t V)
{
    const DType stored = w->cache == DT_F32 ? DT_F32 : precision_activations(w->precision);
    char *kept = xmalloc(V * sizeof *got);
    float *again = xmalloc(V * sizeof *again);
    kernels()->narrow(stored, got, kept, V);
    kernels()->widen(stored, kept, again, V);
    cr_expect(memcmp(again, full + row * V, V * sizeof *got) == 0,
              "%s on %s: batch %zu, pieces of %zu, %d threads: logits %zu of sequence %zu differ",
              name, kernels()->isa, w->batch, w->rows, w->threads, row, b);
    free(again);
    free(kept);
}

/* Prefill of prompts of several lengths, then steps with the tokens of the texts, which are no arg
 * max. tokens and full: [b] */
static void check_way(const Kind *kind, const Way *w, int32_t *const *tokens, float *const *full)
{
    const size_t V = kind->config.vocab_size;
    Decoder d;
    start_decoder(&d, &kind->config, w);
    size_t starts[w->batch + 1];
    starts[0] = 0;
    for (size_t b = 0; b < w->batch; b++)
        starts[b + 1] = starts[b] + prompt_length(w, b);
    int32_t *prompts = xmalloc(starts[w->batch] * sizeof *prompts);
    for (size_t b = 0; b < w->batch; b++)
        memcpy(prompts + starts[b], tokens[b], prompt_length(w, b) * sizeof *prompts);
    float *ends = xmalloc(w->batch * V * sizeof *ends);
    Prompts p = {.tokens = prompts, .starts = starts};
    while (decoder_prefill(&d, &p, w->rows, ends))
        ;
    for (size_t b = 0; b < w->batch; b++)
        expect_row(kind->name, w, ends + b * V, full[b], b, prompt_length(w, b) - 1, V);
    for (size_t step = 0; step < STEPS; step++) {
        for (size_t b = 0; b < w->batch; b++)
            d.next[b] = tokens[b][prompt_length(w, b) + step];
        decoder_step(&d);
        for (size_t b = 0; b < w->batch; b++)
            expect_row(kind->name, w, (const float *)d.logits->data + b * V, full[b], b,
                       prompt_length(w, b) + step, V);
    }
    free(ends);
    free(prompts);
    decoder_release(&d);
}

static void check_kind(const Kind *kind, Precision precision, DType cache)
{
    enum { BATCH_MOST = 8 };
    static const size_t ways[][4] = {
        {1, 1, 9, 1},  {1, 7, 60, 2}, {1, 64, 130, 1}, {1, 512, 160, 2}, {3, 7, 31, 2},
        {3, 1, 40, 1}, {8, 64, 1, 2}, {8, 8, 90, 1},   {8, 512, 60, 2},
    };
    int32_t *tokens[BATCH_MOST];
    float *full[BATCH_MOST];
    for (size_t b = 0; b < BATCH_MOST; b++) {
        tokens[b] = integers(b + 1, LONGEST + STEPS, kind->config.vocab_size);
        full[b] =
            full_logits(&kind->config, precision, cache == DT_F32, tokens[b], LONGEST + STEPS);
    }
    for (size_t i = 0; i < COUNT_OF(ways); i++)
        check_way(kind,
                  &(Way){.batch = ways[i][0],
                         .rows = ways[i][1],
                         .shortest = ways[i][2],
                         .threads = (int)ways[i][3],
                         .precision = precision,
                         .cache = cache},
                  tokens, full);
    for (size_t b = 0; b < BATCH_MOST; b++) {
        free(tokens[b]);
        free(full[b]);
    }
}

Test(decoder, logits_are_those_of_one_full_forward_bit_for_bit)
{
    static const char *const isas[] = {"generic", "avx2", "avx512"};
    Kind kinds[KINDS];
    size_t count = all_kinds(kinds);
    Err err;
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        for (size_t k = 0; k < count && kernels_for(isas[i]); k++) {
            cr_assert(kernels_select(isas[i], &err) == 0, "%s", err.msg);
            check_kind(&kinds[k], PRECISION_FP32, DT_F32);
        }
}

/* Where the CPU multiplies bf16, attention over a cache of bf16 does so too, as the full forward's;
 * heads of an odd number of channels have fp32 products over a cache. */
Test(decoder, logits_of_bf16_over_a_cache_of_bf16_do_not_depend_on_the_pieces)
{
    Kind kinds[KINDS];
    size_t count = all_kinds(kinds);
    for (size_t k = 0; k < count && attention_product() == DT_BF16; k++)
        if (model_heads(&kinds[k].config).channels % 2 == 0)
            check_kind(&kinds[k], PRECISION_BF16, DT_BF16);
}

/* Of models whose layers have whole groups of inputs. */
Test(decoder, logits_of_groups_are_those_of_one_forward_as_a_decoder)
{
    static const char *const isas[] = {"generic", "avx2", "avx512"};
    Kind kinds[] = {{"gpt2", odd_gpt()},
                    {"qwen3", odd_llama(&family_qwen3, 2, false)},
                    {"wide llama", wide(odd_llama(&family_llama, 2, false))}};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        ModelConfig *c = &kinds[k].config;
        bool is_wide = c->d_model > 100;
        c->d_model = is_wide ? 416 : 96;
        c->head_dim = c->family->rotary ? 32 : 0;
        c->d_ff = is_wide ? 832 : 160;
        c->max_positions = c->family->rotary ? c->max_positions : LONGEST + STEPS;
    }
    Err err;
    for (size_t i = 0; i < COUNT_OF(isas); i++)
        for (size_t k = 0; k < COUNT_OF(kinds) && kernels_for(isas[i]); k++) {
            cr_assert(kernels_select(isas[i], &err) == 0, "%s", err.msg);
            check_kind(&kinds[k], k % 2 ? PRECISION_Q4_0 : PRECISION_Q8_0, DT_F32);
        }
}

/* ---- everything else is near, or the same again ---- */

/* Largest difference of the logits of the last row from one full forward of the precision, over the
 * largest logit. */
static double error_of(const ModelConfig *c, Precision precision, DType cache)
{
    enum { N = 40 };
    const Way w = {.batch = 1,
                   .rows = 16,
                   .shortest = N,
                   .threads = 1,
                   .precision = precision,
                   .cache = cache};
    const size_t V = c->vocab_size, starts[] = {0, N};
    int32_t *tokens = integers(3, N, V);
    float *full = full_logits(c, precision, false, tokens, N), *last = full + (N - 1) * V;
    Decoder d;
    start_decoder(&d, c, &w);
    Prompts p = {.tokens = tokens, .starts = starts};
    while (decoder_prefill(&d, &p, w.rows, NULL))
        ;
    double worst = 0, largest = 0;
    float *got = xmalloc(V * sizeof *got);
    exec_read(d.logits, got);
    for (size_t i = 0; i < V; i++) {
        double e = fabs((double)got[i] - (double)last[i]);
        worst = e > worst || e != e ? e : worst;
        largest = fmax(largest, fabs((double)last[i]));
    }
    free(got);
    decoder_release(&d);
    free(full);
    free(tokens);
    return worst / largest;
}

/* As all_kinds, with heads of 32 channels. */
static size_t kinds_in_groups(Kind *kinds)
{
    size_t count = all_kinds(kinds);
    for (size_t k = 0; k < count; k++)
        kinds[k].config = with_heads_of(QUANT_GROUP, kinds[k].config);
    return count;
}

static void expect_near(Precision precision, DType cache, double observed)
{
    Kind kinds[KINDS];
    size_t count = dtype_is_grouped(cache) ? kinds_in_groups(kinds) : all_kinds(kinds);
    double worst = 0;
    for (size_t k = 0; k < count; k++) {
        double e = error_of(&kinds[k].config, precision, cache);
        worst = e > worst || e != e ? e : worst;
    }
    if (getenv("OP_ERRORS"))
        fprintf(stderr, "%s, cache of %s: %.2e\n", precision_name(precision), dtype_name(cache),
                worst);
    cr_expect(worst <= 3 * observed, "%s, cache of %s: off by %.2e", precision_name(precision),
              dtype_name(cache), worst);
}

/* The largest errors observed on an AMD EPYC (Zen 4). */
Test(decoder, small_formats_are_near_one_full_forward)
{
    expect_near(PRECISION_FP32, DT_BF16, 1.7e-3);
    expect_near(PRECISION_FP32, DT_F16, 2.2e-4);
    expect_near(PRECISION_FP32, DT_Q8_0, 4.6e-3);
    expect_near(PRECISION_BF16, DT_Q8_0, 6.8e-3);
    expect_near(PRECISION_BF16, DT_F32, 6.2e-3);
    expect_near(PRECISION_BF16, DT_F16, 6.2e-3);
    expect_near(PRECISION_FP16, DT_F32, 3.1e-4);
    expect_near(PRECISION_FP16, DT_BF16, 1.7e-3);
    expect_near(PRECISION_MIXED, DT_F32, 5.8e-3);
    expect_near(PRECISION_INT8, DT_F32, 2.3e-2); /* groups: the same bits, see above */
}

/* Logits [V] after a prompt of 40. Caller frees. */
static float *logits_by(const ModelConfig *c, const Way *w, const int32_t *tokens)
{
    const size_t starts[] = {0, w->shortest};
    float *logits = xmalloc(c->vocab_size * sizeof *logits);
    Prompts p = {.tokens = tokens, .starts = starts};
    Decoder d;
    start_decoder(&d, c, w);
    while (decoder_prefill(&d, &p, w->rows, logits))
        ;
    decoder_release(&d);
    return logits;
}

Test(decoder, a_quantised_cache_does_not_depend_on_pieces_and_threads)
{
    enum { N = 40 };
    Kind kinds[KINDS];
    size_t count = kinds_in_groups(kinds);
    for (size_t k = 0; k < count; k++) {
        const ModelConfig *c = &kinds[k].config;
        const Way ways[] = {{1, N, N, 1, PRECISION_FP32, DT_Q8_0},
                            {1, 7, N, 2, PRECISION_FP32, DT_Q8_0}};
        int32_t *tokens = integers(3, N, c->vocab_size);
        float *once = logits_by(c, &ways[0], tokens), *pieces = logits_by(c, &ways[1], tokens);
        cr_expect(memcmp(once, pieces, c->vocab_size * sizeof *once) == 0, "%s", kinds[k].name);
        free(once);
        free(pieces);
        free(tokens);
    }
}

Test(decoder, a_cache_in_groups_needs_whole_groups)
{
    Kind kinds[KINDS];
    Err err;
    all_kinds(kinds);
    cr_expect_eq(decoder_cache_takes(&kinds[1].config, DT_BF16, &err), 0);
    cr_expect_eq(decoder_cache_takes(&kinds[1].config, DT_Q8_0, &err), -1);
    cr_expect_str_eq(err.msg, "a cache of q8_0 is in groups of 32 channels, but head_dim is 10");
    kinds_in_groups(kinds);
    cr_expect_eq(decoder_cache_takes(&kinds[1].config, DT_Q8_0, &err), 0);
    cr_expect_eq(decoder_cache_bytes_per_position(&kinds[1].config, DT_Q8_0), 2 * 2 * 2 * 34);
}

static int32_t first_of_largest(const float *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        at = x[i] > x[at] ? i : at;
    return (int32_t)at;
}

Test(decoder, a_cache_cut_back_generates_the_same_again)
{
    enum { N = 20, NEW = 12 };
    Kind kinds[KINDS];
    all_kinds(kinds);
    const Way w = {.batch = 2, .rows = 16, .shortest = N, .threads = 1};
    const size_t V = kinds[1].config.vocab_size, starts[] = {0, N, 2 * N};
    int32_t *tokens = integers(4, 2 * N, V), first[2], ids[NEW][2];
    Decoder d;
    start_decoder(&d, &kinds[1].config, &w);
    Prompts p = {.tokens = tokens, .starts = starts};
    while (decoder_prefill(&d, &p, w.rows, NULL))
        ;
    memcpy(first, d.next, sizeof first);
    for (int again = 0; again < 2; again++) {
        memcpy(d.next, first, sizeof first);
        for (size_t i = 0; i < NEW; i++) {
            decoder_step(&d);
            for (size_t b = 0; b < w.batch; b++) {
                int32_t best = first_of_largest((const float *)d.logits->data + b * V, V);
                cr_expect_eq(d.next[b], best, "token %d, not the likeliest %d", d.next[b], best);
                cr_expect(!again || ids[i][b] == best, "another token after a cut");
                ids[i][b] = best;
            }
        }
        cr_expect_eq(d.past[1], N + NEW);
        decoder_cut(&d, N);
    }
    decoder_release(&d);
    free(tokens);
}

Test(decoder, a_logit_that_is_no_number_gives_no_token)
{
    Kind kinds[KINDS];
    all_kinds(kinds);
    const Way w = {.batch = 1, .rows = 4, .shortest = 4, .threads = 1};
    Decoder d;
    start_decoder(&d, &kinds[0].config, &w);
    for (size_t i = 0; i < d.params.count; i++)
        if (strcmp(d.params.list[i]->name, "ln_f.bias") == 0)
            ((float *)d.params.list[i]->tensor.data)[0] = NAN;
    decoder_read(&d, (const int32_t[]){0}, (const size_t[]){1}, true);
    cr_expect_eq(d.next[0], -1);
    decoder_release(&d);
}

/* What faults no page either: test_row_generate. */
Test(decoder, a_warm_step_allocates_nothing)
{
    Kind kinds[KINDS];
    size_t count = all_kinds(kinds);
    if (!malloc_is_counted())
        cr_skip_test("a sanitizer allocates for itself");
    for (size_t k = 0; k < count; k++)
        for (int threads = 1; threads <= 2; threads++) {
            const Way w = {.batch = 2, .rows = 2, .shortest = 1, .threads = threads};
            Decoder d;
            start_decoder(&d, &kinds[k].config, &w);
            size_t before = malloc_count();
            for (int i = 0; i < 12; i++) {
                before = i == 2 ? malloc_count() : before;
                decoder_step(&d);
            }
            cr_expect_eq(malloc_count(), before, "%s, %d threads: %zu allocations", kinds[k].name,
                         threads, malloc_count() - before);
            decoder_release(&d);
        }
}

Test(decoder, states_lie_at_one_place_in_every_plan_and_share_it_with_nothing)
{
    Kind kinds[KINDS];
    all_kinds(kinds);
    Decoder d;
    decoder_plan(&d, &kinds[0].config,
                 &(DecoderOptions){.batch = 2, .capacity = 30, .rows = {2, 33}, .threads = 2});
    const Plan *plans[] = {&d.passes[0].whole, &d.passes[0].fill, &d.passes[1].whole,
                           &d.passes[1].fill};
    size_t bytes = 2 * 30 * decoder_cache_bytes_per_position(&d.config, DT_F32);
    cr_assert_eq(d.num_passes, 2);
    for (size_t k = 0; k < COUNT_OF(plans); k++) {
        size_t states = 0, end = 0;
        cr_expect(plans[k]->state_bytes >= bytes && plans[k]->state_bytes < bytes + 4 * 64);
        for (size_t i = 0; i < plans[k]->count; i++) {
            const Buffer *b = &plans[k]->buffers[i];
            size_t at = plan_place(plans[k], b, 0);
            if (b->t->life != LIFE_STATE) {
                cr_expect(at >= plans[k]->state_bytes);
                continue;
            }
            cr_expect(at == end && b->t->index == d.passes[0].whole.buffers[i].t->index,
                      "the states of plan %zu lie elsewhere", k);
            end = at + b->bytes;
            states++;
        }
        cr_expect_eq(states, 2 * d.config.num_layers);
    }
    decoder_release(&d);
}

Test(decoder, only_language_models_generate)
{
    Err err;
    ModelConfig encoder = odd_encoder(&family_bert), headless = odd_gpt();
    headless.head = HEAD_NONE;
    cr_expect(decoder_check(&encoder, &err) != 0);
    cr_expect_str_eq(err.msg, "a bert reads whole texts and generates none");
    cr_expect(decoder_check(&headless, &err) != 0);
    cr_expect_str_eq(err.msg, "this model has no language model head, so it generates no text");
    cr_expect(decoder_check(&(ModelConfig){.family = &family_qwen3, .head = HEAD_LM}, &err) == 0);
}
