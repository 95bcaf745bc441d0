/* A row's fields, identity and command line: every form of a row is the same row. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "bench/row/config.h"

static RowConfig config_of(const char *size)
{
    RowConfig c;
    Err err;
    row_config_init(&c);
    cr_assert(row_config_set(&c, row_field("model_size"), size, &err) == 0, "%s", err.msg);
    cr_assert(row_config_complete(&c, &err) == 0, "%s", err.msg);
    c.threads = 2;
    return c;
}

static void set(RowConfig *c, const char *name, const char *text)
{
    Err err;
    cr_assert(row_config_set(c, row_field(name), text, &err) == 0, "%s", err.msg);
}

Test(row, columns_have_names_and_words)
{
    for (size_t i = 0; i < num_row_fields; i++) {
        cr_expect(row_field(row_fields[i].name) == &row_fields[i], "%s is there twice",
                  row_fields[i].name);
        cr_expect(strlen(row_fields[i].doc) > 0, "%s has no words", row_fields[i].name);
    }
}

Test(row, id_is_a_letter_and_a_hash_that_stays)
{
    char id[ROW_ID_SIZE], other[ROW_ID_SIZE];
    RowConfig c = config_of("small");
    row_id(&c, id);
    cr_expect(strlen(id) == 17 && id[0] == 'r' && strspn(id + 1, "0123456789abcdef") == 16);
    row_id(&c, other);
    cr_expect(eq(str, id, other));
}

/* main selects by TARE_GEMM before any row is made. */
Test(row, gemm_is_what_was_selected_unless_the_row_says_so)
{
    Err err;
    char plain[ROW_ID_SIZE], selected[ROW_ID_SIZE], told[ROW_ID_SIZE];
    RowConfig c = config_of("small");
    cr_expect(eq(str, c.gemm, "packed"));
    row_id(&c, plain);
    cr_assert(gemm_select("openblas", &err) == 0);
    c = config_of("small");
    cr_expect(eq(str, c.gemm, "openblas"));
    row_id(&c, selected);
    cr_expect(strcmp(plain, selected) != 0);
    char **argv = row_argv(&c, "tare"), **word = argv;
    while (*word && strcmp(*word, "--gemm") != 0)
        word++;
    cr_assert(word[0] != NULL, "the row's process is not told");
    cr_expect(eq(str, word[1], "openblas"));
    argv_free(argv);
    set(&c, "gemm", "packed");
    row_id(&c, told);
    cr_expect(eq(str, plain, told));
}

/* A config column more, at its fallback, is no other row: this id changes only with ROW_SCHEMA. */
Test(row, id_leaves_out_what_is_at_its_fallback)
{
    char id[ROW_ID_SIZE], blank[ROW_ID_SIZE];
    RowConfig c = config_of("small");
    row_id(&c, id);
    text_set(c.recompute, ""); /* as read from a file that lacks the column */
    c.seed = INT_MISSING;
    row_id(&c, blank);
    cr_expect(eq(str, id, blank));
    cr_expect(eq(str, id, "r8c7861bee23544b0"));
}

Test(row, id_changes_with_every_config_field)
{
    static const char *const changes[][2] = {
        {"model_size", "tiny"}, {"d_model", "772"},       {"context_length", "64"},
        {"num_layers", "11"},   {"num_heads", "6"},       {"batch_size", "5"},
        {"num_warmups", "2"},   {"num_warmups", "auto"},  {"num_warmups", "window"},
        {"num_trials", "11"},   {"forward_only", "True"}, {"threads", "3"},
        {"recompute", "block"}, {"gemm", "openblas"},     {"optimizer", "adamw"},
        {"seed", "2"},          {"vocab_size", "50258"}};
    char id[ROW_ID_SIZE], other[ROW_ID_SIZE];
    RowConfig c = config_of("small");
    row_id(&c, id);
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        RowConfig changed = c;
        set(&changed, changes[i][0], changes[i][1]);
        row_id(&changed, other);
        cr_expect(strcmp(id, other) != 0, "%s = %s", changes[i][0], changes[i][1]);
        cr_expect(row_config_difference(&c, &changed) == row_field(changes[i][0]));
    }
    cr_expect(row_config_difference(&c, &c) == NULL);
}

Test(row, auto_warmups_keep_their_id_when_counted)
{
    char before[ROW_ID_SIZE], after[ROW_ID_SIZE];
    FieldTEXT name;
    RowConfig c = config_of("small");
    set(&c, "num_warmups", "auto");
    row_id(&c, before);
    c.num_warmups = 15;
    row_id(&c, after);
    row_name(&c, name);
    cr_expect(eq(str, before, after));
    cr_expect(eq(str, name, "small/128/fwdbwd/wauto"));
    set(&c, "num_warmups", "window");
    row_name(&c, name);
    cr_expect(eq(str, name, "small/128/fwdbwd/wwindow"));
    set(&c, "num_warmups", "15");
    row_id(&c, after);
    cr_expect(strcmp(before, after) != 0);
}

Test(row, command_line_gives_the_row_back)
{
    RowConfig c = config_of("2.7B"), back;
    set(&c, "num_warmups", "auto");
    set(&c, "forward_only", "True");
    set(&c, "optimizer", "adamw");
    set(&c, "seed", "9223372036854775807");
    char **argv = row_argv(&c, "tare");
    int argc = 0;
    while (argv[argc])
        argc++;

    Option options[96];
    cr_assert(num_row_fields <= COUNT_OF(options));
    const Command command = {.verb = "run",
                             .arguments = "",
                             .summary = "",
                             .options = options,
                             .num_options = row_options(&back, options)};
    Err err = {""};
    row_config_init(&back);
    cr_assert(options_parse(&command, argc - 1, argv + 1, NULL, NULL, &err) == OPTIONS_RUN, "%s",
              err.msg);
    cr_expect(row_config_difference(&c, &back) == NULL);
    cr_expect(eq(str, argv[1], "run"));
    argv_free(argv);
}

static void expect_refused(const char *name, const char *text, const char *message)
{
    Err err = {""};
    RowConfig c = config_of("small");
    cr_expect(row_config_set(&c, row_field(name), text, &err) == -1, "%s = %s", name, text);
    cr_expect(eq(str, err.msg, (char *)message));
}

Test(row, wrong_values_are_refused)
{
    expect_refused("num_trials", "0", "num_trials is 0, outside 1 to 1000000");
    expect_refused("d_model", "1099511627776", "d_model is 1099511627776, outside 1 to 16777216");
    expect_refused("seed", "99999999999999999999",
                   "seed is '99999999999999999999', not an integer of 64 bits");
    expect_refused("gemm", "pakced",
                   "gemm is 'pakced'; did you mean 'packed'? It may be packed or openblas");
    expect_refused("num_warmups", "many", "num_warmups is 'many', not an integer of 64 bits");
    expect_refused("gemm", "", "gemm is empty");
}

Test(row, impossible_configs_are_refused)
{
    Err err;
    RowConfig c = config_of("small");
    c.num_heads = 7;
    cr_expect(row_config_check(&c, &err) == -1);
    c = config_of("small");
    c.batch_size = c.context_length = 1 << 24;
    cr_expect(row_config_check(&c, &err) == -1);
    row_config_init(&c);
    text_set(c.model_size, "unheard");
    cr_expect(row_config_complete(&c, &err) == -1);
}

Test(row, json_gives_the_row_back)
{
    RowResult r, back;
    Err err;
    row_result_init(&r);
    r.config = config_of("small");
    r.mean_time_ms = 0.1;
    r.num_params = INT64_C(1) << 62;
    text_set(r.noise, "trial 7: +212 ms");
    json_t *object = schema_to_json(&row_schema, &r);
    cr_expect(json_object_get(object, "std_time_ms") == json_null());
    cr_assert(schema_from_json(&row_schema, object, &back, &err) == 0, "%s", err.msg);
    json_t *again = schema_to_json(&row_schema, &back);
    cr_expect(json_equal(object, again) == 1);
    cr_expect(isnan(back.std_time_ms) && back.mean_time_ms == 0.1);
    json_object_set_new(object, "what", json_true());
    cr_expect(schema_from_json(&row_schema, object, &back, &err) == -1);
    json_decref(object);
    json_decref(again);
}

Test(row, cells_have_the_digits_that_read_back)
{
    static const double values[] = {192.65, 1.0 / 3, 0.1, 5e-324, 1.7976931348623157e308,
                                    1e15,   -0.25};
    RowResult r;
    FieldTEXT cell;
    row_result_init(&r);
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        r.mean_time_ms = values[i];
        field_cell(row_field("mean_time_ms"), &r, cell);
        cr_expect(strtod(cell, NULL) == values[i], "%s", cell);
    }
    r.mean_time_ms = 192.65;
    field_cell(row_field("mean_time_ms"), &r, cell);
    cr_expect(eq(str, cell, "192.65"));
}
