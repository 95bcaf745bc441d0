/* `tare compare` before and after the workers: its config file, and the comparison of outputs.
 * Whole runs are in tests/cli and tests/parity. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/compare/config.h"
#include "bench/compare/parity.h"
#include "bench/compare/cell.h"
#include "model/families/family.h"
#include "model/families/shapes.h"
#include "model/files/safetensors.h"

/* ---- config ---- */

#define MODELS                                                                                     \
    "[[model]]\nname = 'small'\nmake = 'distilbert-small'\n"                                       \
    "[[model]]\nname = 'mine'\ndir = '/some/where'\n"
#define CELL "[[cell]]\ncomponent = 'model'\nmodel = 'small'\nbatch_size = 1\nseq_len = 32\n"

static int load(CompareConfig *c, const char *text, const char *setting, const char *filter,
                Err *err)
{
    TextList settings = {.at = &setting, .count = setting ? 1 : 0};
    if (config_load_text(&compare_config_file, c, text, strlen(text), "c", &settings, err) != 0)
        return -1;
    if (compare_config_filter(c, filter, err) == 0)
        return 0;
    config_release(&compare_config_file, c);
    return -1;
}

static void expect_names(const CompareConfig *c, const char *const *names, size_t count)
{
    cr_assert(eq(sz, c->num_cells, count));
    for (size_t i = 0; i < count; i++) {
        char name[COMPARE_CELL_NAME];
        compare_cell_name(c, &c->cells[i], name);
        cr_expect(eq(str, name, (char *)names[i]));
    }
}

Test(compare, lists_multiply_in_order)
{
    CompareConfig c;
    Err err;
    const char *text = "rounds = 7\n" MODELS
                       "[[cell]]\ncomponent = ['model', 'end_to_end']\nmodel = ['small', 'mine']\n"
                       "batch_size = [1, 8]\nseq_len = 32\n"
                       "[[cell]]\ncomponent = 'tokenizer'\nmodel = 'mine'\nbatch_size = 8\n"
                       "rounds = 3\nfresh_process = true\n";
    const char *const names[] = {
        "small/model/b1s32",      "small/model/b8s32",     "small/end_to_end/b1s32",
        "small/end_to_end/b8s32", "mine/model/b1s32",      "mine/model/b8s32",
        "mine/end_to_end/b1s32",  "mine/end_to_end/b8s32", "mine/tokenizer/b8"};
    cr_assert(load(&c, text, NULL, NULL, &err) == 0, "%s", err.msg);
    expect_names(&c, names, COUNT_OF(names));
    cr_expect(eq(sz, c.cells[0].rounds, 7));
    cr_expect(eq(sz, c.cells[8].rounds, 3));
    cr_expect(c.cells[8].fresh_process);
    cr_expect(not(c.cells[0].fresh_process));
    config_release(&compare_config_file, &c);
    cr_assert(load(&c, text, "rounds=2", "^mine/.*b8", &err) == 0, "%s", err.msg);
    const char *const kept[] = {names[5], names[7], names[8]};
    expect_names(&c, kept, COUNT_OF(kept));
    cr_expect(eq(sz, c.cells[0].rounds, 2));
    cr_expect(eq(sz, c.cells[2].rounds, 2));
    config_release(&compare_config_file, &c);
}

Test(compare, a_file_of_texts_is_a_cell_without_sizes)
{
    CompareConfig c;
    Err err;
    const char *text = MODELS "[[cell]]\ncomponent = 'corpus'\nmodel = ['small', 'mine']\n"
                              "texts = 'reviews.jsonl'\n" CELL;
    const char *const names[] = {"small/corpus", "mine/corpus", "small/model/b1s32"};
    cr_assert(load(&c, text, NULL, NULL, &err) == 0, "%s", err.msg);
    expect_names(&c, names, COUNT_OF(names));
    cr_expect(eq(str, (char *)c.cells[1].texts, "reviews.jsonl"));
    cr_expect(c.cells[2].texts == NULL);
    config_release(&compare_config_file, &c);
    cr_assert(load(&c, text, NULL, "mine", &err) == 0, "%s", err.msg);
    expect_names(&c, names + 1, 1);
    config_release(&compare_config_file, &c);
}

Test(compare, settings_replace_keys)
{
    CompareConfig c;
    Err err;
    cr_assert(load(&c, MODELS CELL, "peers=onnxruntime", NULL, &err) == 0, "%s", err.msg);
    const bool wanted[NUM_IMPLEMENTATIONS] = {true, false, false, true};
    cr_expect(memcmp(c.wanted, wanted, sizeof wanted) == 0);
    config_release(&compare_config_file, &c);
    cr_assert(load(&c, MODELS CELL, "peers=[]", NULL, &err) == 0, "%s", err.msg);
    cr_expect(c.wanted[0] && !c.wanted[1]);
    config_release(&compare_config_file, &c);
    cr_assert(load(&c, MODELS CELL, "max_wait=90s", NULL, &err) == 0, "%s", err.msg);
    cr_expect(eq(dbl, c.max_wait, 90));
    config_release(&compare_config_file, &c);
}

static void expect_refused(const char *text, const char *setting, const char *filter,
                           const char *part)
{
    CompareConfig c;
    Err err = {""};
    cr_expect(load(&c, text, setting, filter, &err) != 0, "accepted: %s", text);
    cr_expect(strstr(err.msg, part) != NULL, "'%s' does not say '%s'", err.msg, part);
}

Test(compare, wrong_configs_are_refused_with_file_and_line)
{
    expect_refused("rouns = 3\n" MODELS CELL, NULL, NULL,
                   ":1: unknown key 'rouns'; did you mean 'rounds'?");
    expect_refused("rounds = 0\n" MODELS CELL, NULL, NULL, ":1: rounds is 0, outside 1 to 100000");
    expect_refused("rounds = '3'\n" MODELS CELL, NULL, NULL, ":1: rounds is a string");
    expect_refused("peers = ['pytorhc']\n" MODELS CELL, NULL, NULL, "did you mean 'pytorch'?");
    expect_refused("peers = [1]\n" MODELS CELL, NULL, NULL, "not a string");
    expect_refused("max_wait = 'soon'\n" MODELS CELL, NULL, NULL,
                   "max_wait is 'soon'; it may be a time like \"10m\"");
    expect_refused(MODELS, NULL, NULL, "no [[cell]] table");
    expect_refused(CELL, NULL, NULL, "no [[model]] table");
    expect_refused("model = 3\n" CELL, NULL, NULL,
                   "c:1: model is an integer, not a [[model]] table");
    expect_refused("[[model]]\nname = 'small'\n" CELL, NULL, NULL,
                   ":1: a [[model]] has either make or dir");
    expect_refused("[[model]]\nname = 'a'\nmake = 'b'\nhead_dim = 8\n" CELL, NULL, NULL,
                   ":1: a [[model]] of head_dim is one attention layer");
    expect_refused("[[model]]\nname = 'a'\nmake = 'b'\ncausal = true\n" CELL, NULL, NULL,
                   "give its head_dim");
    expect_refused("[[model]]\nname = 'a'\nmake = '../b'\n" CELL, NULL, NULL, ":3: make = '../b'");
    expect_refused(MODELS "[[model]]\nname = 'mine'\nmake = 'x'\n" CELL, NULL, NULL,
                   "model 'mine' is defined twice");
    expect_refused(MODELS "[[cell]]\ncomponent = 'modle'\n", NULL, NULL, "did you mean 'model'?");
    expect_refused(MODELS "[[cell]]\nmodel = 'other'\n", NULL, NULL,
                   "model is 'other'; it may be small or mine");
    expect_refused(MODELS CELL "batch = 3\n", NULL, NULL, "unknown key 'batch'");
    expect_refused(MODELS "[[cell]]\nbatch_size = []\n", NULL, NULL, "batch_size is an empty list");
    expect_refused(MODELS "[[cell]]\nbatch_size = [1, 'x']\n", NULL, NULL, "not an integer");
    expect_refused(MODELS "[[cell]]\nseq_len = 4\n", NULL, NULL,
                   "there is no 'component' in [[cell]]");
    expect_refused(MODELS "[[cell]]\ncomponent = 'tokenizer'\nmodel = 'mine'\nbatch_size = 1\n"
                          "seq_len = 4\n",
                   NULL, NULL, "a tokenizer has no seq_len");
    expect_refused(MODELS "[[cell]]\ncomponent = 'model'\nmodel = 'mine'\nbatch_size = 1\n", NULL,
                   NULL, "without seq_len");
    expect_refused(MODELS "[[cell]]\ncomponent = 'end_to_end'\nmodel = 'mine'\nbatch_size = 1\n"
                          "seq_len = 1\n",
                   NULL, NULL, "no room for the two special ids");
    expect_refused(MODELS "[[cell]]\ncomponent = 'corpus'\nmodel = 'mine'\nbatch_size = 1\n", NULL,
                   NULL, "'corpus' has texts = \"a file\", and no batch_size");
    expect_refused(MODELS "[[cell]]\ncomponent = 'tokenizer'\nmodel = 'mine'\nbatch_size = 1\n"
                          "texts = 'a'\n",
                   NULL, NULL, "'tokenizer' reads no texts");
    expect_refused(MODELS "[[cell]]\ncomponent = ['tokenizer', 'corpus']\nmodel = 'mine'\n"
                          "texts = 'a'\n",
                   NULL, NULL, "'corpus' has texts, not batch_size: give it a [[cell]] of its own");
    expect_refused(MODELS "[[cell]]\ncomponent = 'classify'\nmodel = 'mine'\nbatch_size = 1\n",
                   NULL, NULL, "a file with task = \"sentiment\" measures it");
    expect_refused(MODELS CELL, "rounds", NULL, "--set 'rounds' is not key=value");
    expect_refused(MODELS CELL, "rounds=many", NULL, "rounds is a string");
    expect_refused(
        MODELS CELL, "batch_size=1", NULL,
        "--set batch_size=1: 'batch_size' belongs in [[cell]], which --set does not reach");
    expect_refused(MODELS CELL, NULL, "nothing",
                   "matches none of the 1 cells, the first of which is small/model/b1s32");
    expect_refused(MODELS CELL, NULL, "(", "--filter '(': Unmatched ( or");
}

Test(compare, components_know_their_peers)
{
    const Component *gpt = component_find("gpt_step"), *model = component_find("model");
    cr_assert(gpt != NULL && model != NULL);
    cr_expect(component_find("gpt") == NULL);
    cr_expect(eq(uint, gpt->peers >> IMPL_PYTORCH & 1, 1));
    cr_expect(eq(uint, gpt->peers >> IMPL_PYTORCH_COMPILE & 1, 1));
    cr_expect(eq(uint, gpt->peers >> IMPL_ONNXRUNTIME & 1, 0));
    cr_expect(eq(uint, model->peers >> IMPL_ONNXRUNTIME & 1, 1));
    const Component *int8 = component_find("model_int8");
    cr_expect(eq(uint, int8->peers >> IMPL_ONNXRUNTIME & 1, 1));
    cr_expect(eq(uint, int8->peers >> IMPL_PYTORCH & 1, 0), "eager PyTorch has no such path");
    cr_expect(int8->tolerance > parity_tolerance && model->tolerance == 0);
    cr_expect(eq(uint, model->peers >> IMPL_TOKENIZERS & 1, 0));
    const Component *bf16 = component_find("model_bf16"), *mixed = component_find("gpt_step_mixed");
    cr_expect(eq(uint, bf16->peers >> IMPL_ONNXRUNTIME & 1, 0), "it has no bf16 on a CPU");
    cr_expect(bf16->precision == PRECISION_BF16 && mixed->precision == PRECISION_MIXED);
    cr_expect(mixed->backward && mixed->update && mixed->tolerance > parity_tolerance);
    const Component *decode = component_find("decode"), *small = component_find("decode_bf16");
    cr_expect(decode->generates && !component_find("prefill")->generates);
    cr_expect(eq(uint, decode->peers >> IMPL_OPENVINO & 1, 1));
    cr_expect(eq(uint, small->peers >> IMPL_OPENVINO & 1, 0), "it shows no logits");
    cr_expect(small->tolerance > parity_tolerance && decode->tolerance == 0);
}

/* ---- rates ---- */

static CompareCell cell_of(const char *component, size_t batch, size_t length)
{
    return (CompareCell){
        .component = component_find(component), .batch_size = batch, .seq_len = length};
}

Test(compare, flops_are_those_of_what_runs)
{
    const size_t d = 8, layers = 2, vocab = 50, t = 16, b = 3;
    ModelConfig gpt = model_config_gpt(d, layers, 2, vocab, t);
    CompareCell forward = cell_of("gpt_forward", b, t),
                both = cell_of("gpt_forward_backward", b, t), step = cell_of("gpt_step", b, t),
                words = cell_of("tokenizer", b, 0), table = cell_of("embeddings", b, t),
                model = cell_of("model", b, t);
    double linear = 2.0 * 12 * d * d * layers + 2.0 * d * vocab;
    double one = b * (t * linear + 2.0 * t * (t + 1) * d * layers);
    cr_expect(epsilon_eq(dbl, cell_flops(&forward, &gpt), one, 1e-6));
    cr_expect(epsilon_eq(dbl, cell_flops(&both, &gpt), 3 * one, 1e-6));
    cr_expect(epsilon_eq(dbl, cell_flops(&step, &gpt), 3 * one, 1e-6));
    cr_expect(isnan(cell_flops(&words, &gpt)));
    cr_expect(isnan(cell_flops(&table, &gpt)));
    CompareCell prefill = cell_of("prefill", b, t), decode = cell_of("decode", b, t);
    decode.n_gen = 4;
    double body = linear - 2.0 * d * vocab, keys = t * 4 + 4 * 5 / 2; /* that its steps look at */
    cr_expect(epsilon_eq(dbl, cell_flops(&prefill, &gpt),
                         b * (t * body + 2.0 * d * vocab + 2.0 * t * (t + 1) * d * layers), 1e-6));
    cr_expect(epsilon_eq(dbl, cell_flops(&decode, &gpt), b * (4 * linear + 4.0 * keys * d * layers),
                         1e-6));
    ModelConfig encoder = gpt;
    encoder.family = &family_distilbert;
    encoder.head = HEAD_CLASSIFIER; /* which the cell does not run */
    encoder.num_labels = 2;
    double full = b * (t * 2.0 * 12 * d * d * layers + 4.0 * t * t * d * layers);
    cr_expect(epsilon_eq(dbl, cell_flops(&model, &encoder), full, 1e-6));
}

static bool believed(const Peaks *p, DType product, double gflops)
{
    Err why;
    return plausible(p, &(Claim){.product = product, .gflops = gflops, .cpus_used = NAN}, &why) ==
           0;
}

Test(compare, no_rate_is_above_the_peak)
{
    Peaks p = {.threads = 1, .fma = 100, .gemm = 90, .bandwidth = NAN, .theoretical = 110};
    cr_expect(epsilon_eq(dbl, peaks_fraction(&p, DT_F32, 50), 0.5, 1e-12));
    cr_expect(believed(&p, DT_F32, 115), "1.05 x 110 is possible");
    cr_expect(not(believed(&p, DT_F32, 116)));
    cr_expect(believed(&p, DT_F32, NAN));
    p.i8 = 400;
    cr_expect(epsilon_eq(dbl, peaks_fraction(&p, DT_I8, 300), 0.75, 1e-12));
    cr_expect(believed(&p, DT_I8, 461), "1.05 x 400/100 of 110");
    cr_expect(not(believed(&p, DT_I8, 463)));
    cr_expect(isnan(peaks_fraction(NULL, DT_F32, 50)));
}

Test(compare, attention_is_a_layer_with_flops)
{
    const CompareModel m = {.head_dim = 16, .num_heads = 3, .causal = true}, one = {.head_dim = 8};
    const CompareCell cell = {.batch_size = 2, .seq_len = 5};
    const Attention a = compare_attention(&cell, &m), full = compare_attention(&cell, &one);
    const double pairs = 5 * 6 / 2; /* of a query and a key before it */
    cr_expect(eq(sz, a.qkv_stride, 3 * 3 * 16));
    cr_expect(eq(dbl, attention_layer_flops(&a, false), 2 * 2 * pairs * 2 * 3 * 16));
    cr_expect(eq(dbl, attention_layer_flops(&a, true), 6 * 2 * pairs * 2 * 3 * 16));
    cr_expect(eq(dbl, attention_layer_flops(&full, false), 2 * 2 * 25 * 2 * 8));
}

Test(compare, tokens_to_write_belong_to_cells_that_write)
{
    CompareConfig c;
    Err err;
    const char *text = MODELS "[[cell]]\ncomponent = ['prefill', 'decode']\nmodel = 'small'\n"
                              "batch_size = 1\nseq_len = 8\nn_gen = 5\n";
    cr_assert(load(&c, text, NULL, NULL, &err) == 0, "%s", err.msg);
    cr_expect(eq(sz, c.cells[0].n_gen, 0));
    cr_expect(eq(sz, c.cells[1].n_gen, 5));
    config_release(&compare_config_file, &c);
}

/* ---- parity ---- */

typedef struct Pair {
    char ours[40], theirs[40];
} Pair;

static void write_one(char *path, STensor t)
{
    Err err;
    strcpy(path, "/tmp/tare-parity-test-XXXXXX");
    close(mkstemp(path));
    cr_assert(safetensors_write(path, &t, 1, NULL, &err) == 0, "%s", err.msg);
}

static Parity compared_by(STensor ours, STensor theirs, double tolerance)
{
    Pair p;
    Parity parity;
    Err err;
    write_one(p.ours, ours);
    write_one(p.theirs, theirs);
    cr_assert(parity_compare(p.ours, p.theirs, tolerance, &parity, &err) == 0, "%s", err.msg);
    unlink(p.ours);
    unlink(p.theirs);
    return parity;
}

static Parity compared(STensor ours, STensor theirs)
{
    return compared_by(ours, theirs, parity_tolerance);
}

static STensor reals(const char *name, size_t n, const float *x)
{
    return stensor_make(name, ST_F32, 1, &n, x);
}

Test(compare, rounding_is_no_difference)
{
    const float x[] = {1, -4, 0.5f}, y[] = {1, -4, 0.50001f};
    Parity p = compared(reals("h", 3, x), reals("h", 3, y));
    cr_expect(p.ok);
    cr_expect(epsilon_eq(dbl, p.max_abs, 1e-5, 1e-7));
    cr_expect(epsilon_eq(dbl, p.max_rel, 2.5e-6, 1e-8));
    cr_expect(eq(str, p.worst, "h"));
    cr_expect(eq(str, p.reason, ""));
}

/* Two sequences of a small format: many errors of one size in the second, and one of another. */
static Parity compared_in_a_format(size_t n, float error, float outlier)
{
    OWNED float *x = xmalloc(2 * n * sizeof *x), *y = xmalloc(2 * n * sizeof *y);
    const size_t shape[] = {2, n};
    for (size_t i = 0; i < 2 * n; i++) {
        y[i] = i % 2 ? 1 : -1;
        x[i] = y[i] + (i < n ? 0 : i % 3 ? error : -error);
    }
    x[2 * n - 1] = y[2 * n - 1] + outlier;
    return compared_by(stensor_make("logits", ST_F32, 2, shape, x),
                       stensor_make("logits", ST_F32, 2, shape, y), 0.05);
}

Test(compare, a_format_is_judged_by_root_mean_squares)
{
    Parity rounded = compared_in_a_format(1000, 0.02f, 0.12f);
    cr_expect(rounded.ok, "%s", rounded.reason);
    cr_expect(epsilon_eq(dbl, rounded.max_rel, 0.12, 1e-6));
    cr_expect(epsilon_eq(dbl, rounded.max_rms, 0.02, 1e-3), "of the second alone");
    cr_expect(not(compared_in_a_format(1000, 0.055f, 0).ok), "all of one sequence are far");
    cr_expect(not(compared_in_a_format(1000, 0, 0.16f).ok), "one number is wrong");
    cr_expect(not(compared_in_a_format(4, 0, 0.12f).ok), "one of few is wrong");
}

/* Two rows, of which the second is small and all wrong. */
Test(compare, a_gradient_is_of_all_sequences)
{
    const float x[] = {1, -1, 1, 0.02f, -0.02f, 0.02f}, y[] = {1, -1, 1, 0.01f, -0.01f, 0.01f};
    const size_t shape[] = {2, 3};
    Parity rows = compared_by(stensor_make("logits", ST_F32, 2, shape, x),
                              stensor_make("logits", ST_F32, 2, shape, y), 0.05),
           whole = compared_by(stensor_make("grad.w", ST_F32, 2, shape, x),
                               stensor_make("grad.w", ST_F32, 2, shape, y), 0.05);
    cr_expect(not(rows.ok));
    cr_expect(whole.ok, "%s", whole.reason);
    cr_expect(epsilon_eq(dbl, whole.max_rms, 0.01, 1e-5));
    cr_expect(not(compared_by(stensor_make("grad.w", ST_F32, 2, shape, x),
                              stensor_make("grad.w", ST_F32, 2, shape, y), 0.009)
                      .ok));
}

Test(compare, a_loss_is_a_mean_in_which_errors_cancel)
{
    const float right = 8, near = 8.03f, far = 8.05f;
    STensor loss = stensor_make("loss", ST_F32, 0, NULL, &right);
    cr_expect(compared_by(loss, stensor_make("loss", ST_F32, 0, NULL, &near), 0.16).ok);
    cr_expect(not(compared_by(loss, stensor_make("loss", ST_F32, 0, NULL, &far), 0.16).ok));
}

static void expect_different(Parity p, const char *reason)
{
    cr_expect(not(p.ok));
    cr_expect(eq(str, p.reason, (char *)reason));
}

Test(compare, differences_are_found)
{
    const float x[] = {1, -4, 0.5f}, far[] = {1, -4.0001f, 0.5f}, nan[] = {1, NAN, 0.5f},
                zero[] = {0, 0, 0};
    const int32_t ids[] = {3, 5, 7}, other[] = {3, 5, 8};
    STensor h = reals("h", 3, x);
    size_t n = 3;
    expect_different(compared(h, reals("h", 3, far)), "h differs by more than the bound");
    expect_different(compared(h, reals("h", 3, zero)), "h differs by more than the bound");
    expect_different(compared(h, reals("h", 3, nan)), "h holds a number that is not finite");
    expect_different(compared(reals("h", 3, nan), h), "h holds a number that is not finite");
    expect_different(compared(h, reals("h", 2, x)), "h has another shape");
    expect_different(compared(h, reals("g", 3, x)), "h is missing");
    expect_different(compared(h, stensor_make("h", ST_I32, 1, &n, ids)), "h has another type");
    STensor t = stensor_make("ids", ST_I32, 1, &n, ids);
    expect_different(compared(t, stensor_make("ids", ST_I32, 1, &n, other)), "ids differs");
    cr_expect(compared(t, t).ok);
    cr_expect(compared(reals("h", 3, zero), reals("h", 3, zero)).ok);
}

Test(compare, logits_may_be_hidden_behind_ids)
{
    const float x[] = {1, -4};
    const int32_t id = 0, other = 1;
    const size_t one = 1;
    Pair p;
    Parity parity;
    Err err;
    STensor both[] = {stensor_make("ids", ST_I32, 1, &one, &id), reals("logits", 2, x)};
    write_one(p.theirs, both[0]);
    write_one(p.ours, both[0]);
    cr_assert(safetensors_write(p.ours, both, 2, NULL, &err) == 0, "%s", err.msg);
    cr_assert(parity_compare(p.ours, p.theirs, parity_tolerance, &parity, &err) == 0);
    cr_expect(parity.ok);
    both[0].data = &other;
    cr_assert(safetensors_write(p.ours, both, 2, NULL, &err) == 0, "%s", err.msg);
    cr_assert(parity_compare(p.ours, p.theirs, parity_tolerance, &parity, &err) == 0);
    expect_different(parity, "ids differs");
    unlink(p.ours);
    unlink(p.theirs);
}

Test(compare, ids_of_logits_that_may_differ_may_be_nearly_as_likely)
{
    const float x[] = {3, 3.01f}, y[] = {3.01f, 3};
    const int32_t first = 0, second = 1;
    const size_t one = 1;
    const double tolerances[] = {parity_tolerance, 0.05};
    Pair p;
    Parity parity;
    Err err;
    STensor ours[] = {stensor_make("ids", ST_I32, 1, &one, &second), reals("logits", 2, x)},
            theirs[] = {stensor_make("ids", ST_I32, 1, &one, &first), reals("logits", 2, y)};
    write_one(p.ours, ours[0]);
    write_one(p.theirs, theirs[0]);
    cr_assert(safetensors_write(p.ours, ours, 2, NULL, &err) == 0, "%s", err.msg);
    cr_assert(safetensors_write(p.theirs, theirs, 2, NULL, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < COUNT_OF(tolerances); i++) {
        cr_assert(parity_compare(p.ours, p.theirs, tolerances[i], &parity, &err) == 0);
        cr_expect_eq(parity.ok, i == 1, "tolerance %g", tolerances[i]);
    }
    unlink(p.ours);
    unlink(p.theirs);
}

Test(compare, ids_alone_are_judged_by_the_logits_beside_ours)
{
    const float x[] = {3, 3.01f, -5};
    const int32_t ids[] = {1, 0, 2, 3};
    const char *const reasons[] = {"", "", "ids is not nearly the likeliest",
                                   "ids is not nearly the likeliest"};
    const size_t one[] = {1, 1}, three[] = {1, 3};
    Pair p;
    Parity parity;
    Err err;
    STensor ours[] = {stensor_make("ids", ST_I32, 2, one, ids),
                      stensor_make("logits", ST_F32, 2, three, x)};
    write_one(p.ours, ours[0]);
    cr_assert(safetensors_write(p.ours, ours, 2, NULL, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        write_one(p.theirs, stensor_make("ids", ST_I32, 2, one, &ids[i]));
        cr_assert(parity_compare(p.ours, p.theirs, 0.05, &parity, &err) == 0, "%s", err.msg);
        cr_expect(eq(str, parity.reason, (char *)reasons[i]), "id %d", ids[i]);
        unlink(p.theirs);
    }
    unlink(p.ours);
}

/* PyTorch multiplies bf16 where the others multiply q8_0, and is held to bf16's bound. */
Test(compare, bounds_are_of_the_format_that_computed)
{
    const Component *q8_0 = component_find("prefill_q8_0"), *bf16 = component_find("prefill_bf16");
    cr_expect(component_tolerance(q8_0, IMPL_PYTORCH) == component_tolerance(bf16, IMPL_PYTORCH));
    cr_expect(component_tolerance(q8_0, IMPL_LLAMA_CPP) > component_tolerance(bf16, IMPL_TARE));
}
