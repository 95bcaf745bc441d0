/* Sweep configs: the product in its order, and every way a config can be wrong. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/sweep/config.h"
#include "bench/util/units.h"

static int load(SweepConfig *s, const char *text, const char *setting, Err *err)
{
    const char *settings[] = {setting};
    TextList list = {settings, setting ? 1 : 0};
    return config_load_text(sweep_config_file(), s, text, strlen(text), "s.toml", &list, err);
}

/* Loads and expands; the rows are freed by the caller. */
static SweepRow *rows_of(const char *text, const char *setting, size_t *count)
{
    SweepConfig s;
    SweepRow *rows;
    Err err;
    cr_assert(load(&s, text, setting, &err) == 0, "%s", err.msg);
    cr_assert(sweep_expand(&s, &rows, count, &err) == 0, "%s", err.msg);
    config_release(sweep_config_file(), &s);
    return rows;
}

static void expect_refused_with(const char *text, const char *setting, const char *message)
{
    SweepConfig s;
    SweepRow *rows;
    size_t count;
    Err err = {""};
    int status = load(&s, text, setting, &err);
    if (status == 0) {
        status = sweep_expand(&s, &rows, &count, &err);
        config_release(sweep_config_file(), &s);
    }
    cr_expect(status == -1, "accepted: %s", text);
    cr_expect(eq(str, err.msg, (char *)message));
}

static void expect_refused(const char *text, const char *message)
{
    expect_refused_with(text, NULL, message);
}

static const char four_lists[] = "[sweep]\n"
                                 "forward_only = [false, true]\n"
                                 "num_warmups = [0, \"auto\"]\n"
                                 "context_length = [128, 256]\n"
                                 "model_size = [\"small\", \"2.7B\"]\n";

Test(sweep_config, lists_multiply_in_the_reference_order)
{
    size_t count;
    SweepRow *rows = rows_of(four_lists, NULL, &count);
    cr_assert(eq(sz, count, 16));
    cr_expect(eq(str, rows[0].name, "small/128/fwdbwd/w0"));
    cr_expect(eq(str, rows[1].name, "small/128/fwd/w0"));
    cr_expect(eq(str, rows[2].name, "small/128/fwdbwd/wauto"));
    cr_expect(eq(str, rows[4].name, "small/256/fwdbwd/w0"));
    cr_expect(eq(str, rows[8].name, "2.7B/128/fwdbwd/w0"));
    cr_expect(eq(i64, rows[8].config.d_model, 2560));
    free(rows);
}

Test(sweep_config, other_keys_vary_fastest_and_are_named)
{
    size_t count;
    SweepRow *rows = rows_of("[defaults]\nbatch_size = 3\nthreads = 1\n"
                             "[sweep]\nbatch_size = [1, 2]\nmodel_size = \"small\"\n"
                             "num_warmups = [0, 1]\n",
                             NULL, &count);
    cr_assert(eq(sz, count, 4));
    cr_expect(eq(str, rows[0].name, "small/128/fwdbwd/w0/batch_size=1"));
    cr_expect(eq(str, rows[1].name, "small/128/fwdbwd/w0/batch_size=2"));
    cr_expect(eq(str, rows[2].name, "small/128/fwdbwd/w1/batch_size=1"));
    cr_expect(eq(i64, rows[3].config.threads, 1));
    free(rows);
}

Test(sweep_config, models_of_the_file_go_before_built_in_ones)
{
    size_t count;
    SweepRow *rows = rows_of("[[model]]\nsize = \"small\"\nd_model = 36\nnum_layers = 2\n"
                             "num_heads = 3\n[sweep]\nmodel_size = [\"small\", \"medium\"]\n",
                             NULL, &count);
    cr_expect(eq(i64, rows[0].config.d_model, 36));
    cr_expect(eq(i64, rows[1].config.d_model, 1024));
    free(rows);
}

/* The first that says it: [sweep] and --set, the [[model]], a published model, [defaults]. */
Test(sweep_config, who_decides_what_a_model_is)
{
    static const char text[] = "[[model]]\nsize = \"own\"\nd_model = 24\nnum_layers = 1\n"
                               "num_heads = 2\nvocab_size = 50\n"
                               "[defaults]\narch = \"cs336\"\nvocab_size = 70\nrope_theta = 500\n"
                               "[sweep]\nmodel_size = [\"own\", \"small\", \"smollm2-135m\"]\n";
    size_t count;
    SweepRow *rows = rows_of(text, NULL, &count);
    cr_assert(eq(sz, count, 3));
    cr_expect(eq(str, rows[0].config.arch, "cs336"));
    cr_expect(eq(i64, rows[0].config.vocab_size, 50));
    cr_expect(eq(dbl, rows[0].config.rope_theta, 500));
    cr_expect(eq(i64, rows[1].config.vocab_size, 70));
    cr_expect(eq(str, rows[2].config.arch, "llama"));
    cr_expect(eq(i64, rows[2].config.vocab_size, 49152));
    cr_expect(eq(dbl, rows[2].config.rope_theta, 100000));
    free(rows);
    rows = rows_of(text, "vocab_size=[30, 40]", &count);
    cr_assert(eq(sz, count, 6));
    for (size_t i = 0; i < count; i++)
        cr_expect(eq(i64, rows[i].config.vocab_size, i % 2 ? 40 : 30));
    cr_expect(eq(str, rows[1].name, "own/128/fwdbwd/w1/vocab_size=40"));
    free(rows);
    rows = rows_of(text, "sweep.arch=llama", &count);
    cr_expect(eq(str, rows[0].config.arch, "llama"));
    free(rows);
}

Test(sweep_config, lists_of_what_a_model_may_be)
{
    size_t count;
    SweepRow *rows = rows_of("[sweep]\nmodel_size = \"small\"\narch = [\"gpt2\", \"llama\"]\n"
                             "d_ff = [64, 128]\ntied_head = [false, true]\nnorm_eps = 1e-6\n",
                             NULL, &count);
    cr_assert(eq(sz, count, 8));
    cr_expect(eq(str, rows[7].name, "small/128/fwdbwd/w1/arch=llama/d_ff=128/tied_head=True"));
    cr_expect(eq(i64, rows[7].config.tied_head, 1));
    cr_expect(eq(i64, rows[6].config.tied_head, 0));
    cr_expect(eq(dbl, rows[0].config.norm_eps, 1e-6));
    cr_expect(eq(i64, rows[0].config.d_ff, 64));
    free(rows);
}

Test(sweep_config, settings_take_the_place_of_the_file)
{
    size_t count;
    SweepRow *rows = rows_of(four_lists, "model_size=medium", &count);
    cr_expect(eq(sz, count, 8));
    cr_expect(eq(str, rows[0].config.model_size, "medium"));
    free(rows);
    rows = rows_of(four_lists, "context_length=[8, 16, 32]", &count);
    cr_expect(eq(sz, count, 24));
    free(rows);
    rows = rows_of(four_lists, "forward_only=True", &count);
    cr_expect(eq(sz, count, 8));
    cr_expect(rows[0].config.forward_only);
    free(rows);
}

Test(sweep_config, limits)
{
    SweepConfig s;
    Err err;
    cr_assert(load(&s,
                   "[sweep]\nmodel_size = \"xl\"\n[limits]\nmax_memory = \"6 GiB\"\n"
                   "max_row_time = \"45m\"\n",
                   NULL, &err) == 0);
    cr_expect(eq(i64, s.grid.max_memory, INT64_C(6) << 30));
    cr_expect(eq(dbl, s.grid.max_row_time, 2700));
    config_release(sweep_config_file(), &s);
    cr_assert(
        load(&s, "name = \"n\"\n[sweep]\nmodel_size = \"xl\"\n", "max_memory=1048576", &err) == 0);
    cr_expect(eq(i64, s.grid.max_memory, 1048576));
    cr_expect(isinf(s.grid.max_row_time));
    cr_expect(eq(str, s.grid.name, "n"));
    config_release(sweep_config_file(), &s);
}

Test(sweep_config, wrong_files_are_refused_with_file_and_line)
{
    expect_refused("", "s.toml: [sweep] has no model_size");
    expect_refused("[sweep]\nmodel_size = [\"smal\"]\n",
                   "s.toml:2: model_size 'smal' is neither built in nor a [[model]]; did you mean "
                   "'small'?");
    expect_refused("[sweep]\nmodel_size = \"small\"\nnum_trails = 3\n",
                   "s.toml:3: unknown key 'num_trails'; did you mean 'num_trials'?");
    expect_refused("[[\n", "s.toml: not TOML: a key or a table header breaks off");
    expect_refused("\xc3\xa9 = 1\n",
                   "s.toml:1: Error while parsing root table: expected keys, tables, "
                   "whitespace or comments, saw '\xc3\xa9'");
    expect_refused("[defauls]\n", "s.toml:1: unknown key 'defauls'; did you mean 'defaults'?");
    expect_refused("num_trials = 3\n", "s.toml:1: 'num_trials' belongs in [sweep]");
    expect_refused("sweep = 1\n", "s.toml:1: sweep is an integer, not a table");
    expect_refused("[sweep]\nmodel_size = [\"small\"]\ncontext_length = [\"a\"]\n",
                   "s.toml:3: context_length is a string, not an integer");
    expect_refused("[sweep]\nmodel_size = \"small\"\nforward_only = 1\n",
                   "s.toml:3: forward_only is an integer, not true or false");
    expect_refused("[sweep]\nmodel_size = \"small\"\nnum_trials = 1.0\n",
                   "s.toml:3: num_trials is a real, not an integer");
    expect_refused("[sweep]\nmodel_size = []\n", "s.toml:2: model_size is an empty list");
    expect_refused("[sweep]\nmodel_size = \"xl\"\nseed = [1, 2, 1]\n",
                   "s.toml:3: seed lists '1' twice");
    expect_refused("[defaults]\nseed = [1, 2]\n",
                   "s.toml:2: seed is a list; lists belong in [sweep]");
    expect_refused("[sweep]\nmodel_size = \"small\"\nrope_theta = [1e4, 10000.0]\n",
                   "s.toml:3: rope_theta lists '10000' twice");
    expect_refused("[sweep]\nmodel_size = \"small\"\nrope_theta = nan\n",
                   "s.toml:3: rope_theta is nan, not a positive number");
    expect_refused("[[model]]\nsize = \"a\"\nnorm_eps = 0\n",
                   "s.toml:3: norm_eps is 0, not a positive number");
    expect_refused("[sweep]\nmodel_size = \"small\"\narch = \"cs337\"\n",
                   "s.toml:3: arch is 'cs337'; did you mean 'cs336'? It may be gpt2, llama or "
                   "cs336");
    expect_refused("[[model]]\nsize = \"a\"\nnum_kv_heads = [1, 2]\n",
                   "s.toml:3: num_kv_heads is a list, not an integer");
    expect_refused(
        "[sweep]\nmodel_size = \"smollm2-135\"\n",
        "s.toml:2: model_size 'smollm2-135' is neither built in nor a [[model]]; did you "
        "mean 'smollm2-135m'?");
    expect_refused("[sweep]\nmodel_size = \"smollm2-135m\"\narch = [\"llama\", \"gpt2\"]\n",
                   "s.toml:2: model_size 'smollm2-135m' is a llama, but arch is 'gpt2'");
    expect_refused("[defaults]\nnum_kv_heads = 4\n[sweep]\nmodel_size = \"small\"\n",
                   "s.toml:4: num_kv_heads is 4, but arch gpt2 has as many as num_heads, 12");
    expect_refused(
        "[sweep]\nmodel_size = \"small\"\nrecompute = \"block:x\"\n",
        "s.toml:3: recompute is 'block:x'; did you mean 'block:K'? It may be auto, none, "
        "cheap, block or block:K");
    expect_refused("[defaults]\nd_model = 8\n", "s.toml:2: 'd_model' belongs in [[model]]");
    char deep[600] = "name = \"\"\"........\n\"\"\" # ........\n\"\\\"\".";
    for (size_t i = 0; i < 64; i++)
        strcat(deep, "a.");
    strcat(deep, "a = 1\n");
    expect_refused(deep, "s.toml:3: a key of more than 64 parts");
    expect_refused("name = \"../x\"\n", "s.toml:1: name '../x' is no file name of letters, digits, "
                                        "'-', '_' and '.'");
}

Test(sweep_config, impossible_values_are_refused)
{
    expect_refused("[sweep]\nmodel_size = \"small\"\nnum_trials = 0\n",
                   "s.toml:3: num_trials is 0, outside 1 to 1000000");
    expect_refused("[sweep]\nmodel_size = \"small\"\nbatch_size = -4\n",
                   "s.toml:3: batch_size is -4, outside 1 to 16777216");
    expect_refused("[sweep]\nmodel_size = \"small\"\nnum_warmups = [\"some\"]\n",
                   "s.toml:3: num_warmups is 'some'; it may be an integer, auto or window");
    expect_refused("[limits]\nmax_memory = \"-1 GiB\"\n",
                   "s.toml:2: max_memory is '-1 GiB'; it may be a size like \"6 GiB\" or auto");
    expect_refused("[limits]\nmax_row_time = true\n",
                   "s.toml:2: max_row_time is a boolean, not a time like \"10m\"");
    expect_refused_with(four_lists, "num_trials=none",
                        "--set num_trials=none: num_trials is a string, not an integer");
    expect_refused_with(four_lists, "num_trials", "--set 'num_trials' is not key=value");
}

Test(sweep_config, wrong_models_are_refused)
{
    expect_refused("[[model]]\nsize = \"a\"\nd_model = 10\nnum_layers = 1\nnum_heads = 3\n",
                   "s.toml:1: num_heads 3 does not divide d_model 10");
    expect_refused("[[model]]\nsize = \"a\"\nd_model = 8\nnum_layers = 1099511627776\n",
                   "s.toml:4: num_layers is 1099511627776, outside 1 to 16777216");
    expect_refused("[[model]]\nsize = \"a\"\nd_model = 8\nnum_layers = 1\n",
                   "s.toml:1: there is no 'num_heads' in [[model]]");
    expect_refused("[[model]]\nd_model = 8\n", "s.toml:1: there is no 'size' in [[model]]");
    expect_refused("[[model]]\nsize = \"a\"\ndmodel = 8\n",
                   "s.toml:3: unknown key 'dmodel'; did you mean 'd_model'?");
    expect_refused("[[model]]\nsize = \"a/b\"\n",
                   "s.toml:2: size 'a/b' has a control character or a slash");
    expect_refused("[[model]]\nsize=\"a\"\nd_model=8\nnum_layers=1\nnum_heads=1\n"
                   "[[model]]\nsize=\"a\"\nd_model=8\nnum_layers=1\nnum_heads=1\n",
                   "s.toml:6: size 'a' is already defined at s.toml:1");
}

Test(sweep_config, too_many_rows_are_refused)
{
    char text[4096] = "[sweep]\nmodel_size = \"small\"\n";
    const char *const keys[] = {"batch_size", "context_length", "seed", "num_trials"};
    for (size_t k = 0; k < COUNT_OF(keys); k++) {
        sprintf(text + strlen(text), "%s = [1", keys[k]);
        for (int i = 2; i <= 11; i++)
            sprintf(text + strlen(text), ",%d", i);
        strcat(text, "]\n");
    }
    expect_refused(text, "s.toml: more than 10000 rows; split the sweep");
}

Test(sweep_config, units)
{
    int64_t bytes;
    double seconds;
    cr_expect(parse_bytes("1.5 GiB", &bytes) == 0 && bytes == INT64_C(3) << 29);
    cr_expect(parse_bytes("2kB", &bytes) == 0 && bytes == 2000);
    cr_expect(parse_duration("1.5h", &seconds) == 0 && seconds == 5400);
    cr_expect(parse_duration("90", &seconds) == 0 && seconds == 90);
    static const char *const wrong[] = {"", "GiB", "1 gib", "-1", "nan", "1e300", "0x", "1 2"};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        cr_expect(parse_bytes(wrong[i], &bytes) == -1, "%s", wrong[i]);
        cr_expect(parse_duration(wrong[i], &seconds) == -1, "%s", wrong[i]);
    }
}

Test(units, shares_are_never_written_with_an_exponent)
{
    static const struct {
        double share;
        const char *text;
    } cases[] = {
        {0.00254, "0.25 %"}, {0.123, "12 %"},  {0.994, "99 %"},    {0.9951, "100 %"},
        {1.04, "104 %"},     {-30, "-3000 %"}, {0, "0 %"},         {1e-7, "less than 0.001 %"},
        {1e-5, "0.001 %"},   {NAN, ""},        {INFINITY, "inf %"}};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        char text[UNIT_TEXT_SIZE];
        format_percent(text, cases[i].share);
        cr_expect_str_eq(text, cases[i].text);
    }
}

Test(sweep_config, quantities_for_people)
{
    char text[UNIT_TEXT_SIZE];
    format_bytes(text, 1047600);
    cr_expect(eq(str, text, "1023 KiB"));
    format_bytes(text, 1.5 * 0x1p30);
    cr_expect(eq(str, text, "1.5 GiB"));
    format_duration(text, 0.82);
    cr_expect(eq(str, text, "820 ms"));
    format_duration(text, 200);
    cr_expect(eq(str, text, "3 min 20 s"));
    format_duration(text, 3599.6);
    cr_expect(eq(str, text, "1 h 00 min"));
    format_duration(text, NAN);
    cr_expect(eq(str, text, ""));
}
