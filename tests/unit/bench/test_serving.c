/* The sentiment benchmark before and after the workers: its config file, and how labels are scored.
 * Whole runs are in tests/cli and tests/parity. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/serving/config.h"
#include "bench/serving/score.h"
#include "tests/support/temp_dir.h"

/* ---- config ---- */

#define WHOLE                                                                                      \
    "task = 'sentiment'\nmodel = 'm'\n[data]\nbenchmark = 'a'\nvalidation = 'b'\ntest = 'c'\n"     \
    "[implementations]\npytorch = false\npytorch_gpu = true\n"

static int load(ServingConfig *c, const char *text, const char *setting, Err *err)
{
    TextList settings = {.at = &setting, .count = setting ? 1 : 0};
    return config_load_text(&serving_config_file, c, text, strlen(text), "c", &settings, err);
}

Test(sentiment, config_with_defaults_and_settings)
{
    ServingConfig c;
    Err err;
    cr_assert(load(&c, WHOLE, "warmups=7", &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, c.rounds, 20));
    cr_expect(eq(i64, c.warmups, 7));
    cr_expect(eq(i64, c.max_length, 0));
    cr_expect(eq(str, c.data[SET_TEST], "c"));
    for (size_t k = 0; k < NUM_IMPLEMENTATIONS; k++) {
        const char *name = implementation_names[k];
        bool wanted =
            k == 0 || strcmp(name, "onnxruntime") == 0 || strcmp(name, "pytorch_gpu") == 0;
        cr_expect(eq(int, c.wanted[k], wanted), "%s", name);
    }
    config_release(&serving_config_file, &c);
}

Test(sentiment, a_task_makes_the_file, .init = temp_dir_make, .fini = temp_dir_remove)
{
    const struct {
        const char *text;
        const ConfigFile *file;
    } cases[] = {{WHOLE, &serving_config_file},
                 {"rounds = 3\n", &compare_config_file},
                 {"task = 'gpt'\n", NULL}};
    Err err = {""};
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *path = temp_write("a.toml", cases[i].text);
        ConfigDocument d;
        cr_expect(
            eq(int, config_open(&d, &serving_config_file, path, &err), cases[i].file ? 0 : -1));
        cr_expect(eq(ptr, (void *)d.file, (void *)cases[i].file));
        if (cases[i].file)
            config_close(&d);
    }
    cr_expect(strstr(err.msg, ":1: task is 'gpt'; it may be sentiment") != NULL, "%s", err.msg);
}

static void expect_refused(const char *text, const char *setting, const char *part)
{
    ServingConfig c;
    Err err = {""};
    cr_expect(load(&c, text, setting, &err) != 0, "accepted: %s", text);
    cr_expect(strstr(err.msg, part) != NULL, "'%s' does not say '%s'", err.msg, part);
}

#define TASK "task = 'sentiment'\n"

Test(sentiment, wrong_configs_are_refused_with_file_and_line)
{
    expect_refused(TASK "modle = 'm'\n", NULL, "c:2: unknown key 'modle'; did you mean 'model'?");
    expect_refused(TASK "model = 3\n", NULL, ":2: model is an integer, not a string");
    expect_refused(TASK "model = 'm'\ndata = 3\n", NULL, ":3: data is an integer, not a table");
    expect_refused(TASK "model = 'm'\n[data]\nbenchmark = 'a'\n", NULL,
                   "no 'validation' in [data]");
    expect_refused(TASK "[data]\nbenchmark = 'a'\nvalidation = 'b'\n", NULL, "there is no 'model'");
    expect_refused(TASK "[implementations]\npytroch = true\n", NULL, ":3: unknown key 'pytroch'");
    expect_refused(WHOLE "tare = false\n", NULL, "cannot be switched off");
    expect_refused(TASK "[implementations]\npytorch = 1\n", NULL, "not true or false");
    expect_refused(TASK "[[cell]]\n", NULL, "c:2: 'cell' is for a file without task");
    expect_refused(WHOLE, "rounds=0", "--set rounds=0: rounds is 0, outside 1 to 10000");
    expect_refused(WHOLE, "pytroch=true",
                   "--set pytroch=true: unknown key 'pytroch'; did you mean 'pytorch'?");
    expect_refused(WHOLE, "max_wait=soon", "max_wait is 'soon'; it may be a time");
}

/* ---- scores ---- */

static LabelledText texts_at[] = {
    {.category = "plain", .label = 1}, {.category = "short", .label = 0},
    {.category = "plain", .label = 0}, {.category = "", .label = 1},
    {.category = "irony", .label = 1},
};
static const LabelledTexts texts = {.at = texts_at, .count = COUNT_OF(texts_at)};

Test(sentiment, right_labels_are_counted_by_category)
{
    const int32_t labels[] = {1, 1, 1, 1, 1};
    Score all = score_of(&texts, labels, NULL), plain = score_of(&texts, labels, "plain"),
          none = score_of(&texts, labels, "missing");
    cr_expect(eq(dbl, all.right, 3));
    cr_expect(eq(i64, all.texts, 5));
    cr_expect(epsilon_eq(dbl, all.share, 0.6, 1e-12));
    cr_expect(epsilon_eq(dbl, all.lo, 0.2307, 1e-4)); /* Wilson, 3 of 5 */
    cr_expect(epsilon_eq(dbl, all.hi, 0.8824, 1e-4));
    cr_expect(eq(dbl, plain.right, 1));
    cr_expect(eq(i64, plain.texts, 2));
    cr_expect(eq(i64, none.texts, 0));
    cr_expect(isnan(none.share) && isnan(none.lo));
}

Test(sentiment, categories_are_named_once)
{
    size_t count;
    const char **names = categories_of(&texts, &count);
    cr_assert(eq(sz, count, 3));
    cr_expect(eq(str, (char *)names[0], "irony"));
    cr_expect(eq(str, (char *)names[1], "plain"));
    cr_expect(eq(str, (char *)names[2], "short"));
    free(names);
}

Test(sentiment, agreement_and_its_test)
{
    const int32_t right[] = {1, 0, 0, 1, 1}, a[] = {1, 0, 0, 1, 0}, wrong[] = {0, 1, 1, 0, 0};
    cr_expect(eq(sz, agreements(right, a, 5), 4));
    cr_expect(eq(sz, agreements(right, wrong, 5), 0));
    cr_expect(epsilon_eq(dbl, mcnemar_of(&texts, right, right), 1, 1e-12));
    cr_expect(epsilon_eq(dbl, mcnemar_of(&texts, right, a), 1, 1e-12));
    cr_expect(epsilon_eq(dbl, mcnemar_of(&texts, right, wrong), 2.0 / 32, 1e-12));
}
