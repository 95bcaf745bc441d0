/* A row's fields, identity and command line: every form of a row is the same row. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/kernels.h"
#include "model/families/family.h"
#include "bench/util/process.h"
#include "bench/result/read.h"
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

/* A config column more, at its fallback, is no other row: this id changes with ROW_ID_SCHEMA
 * only. */
Test(row, id_leaves_out_what_is_at_its_fallback)
{
    char id[ROW_ID_SIZE], blank[ROW_ID_SIZE];
    RowConfig c = config_of("small");
    row_id(&c, id);
    text_set(c.recompute, ""); /* as read from a file that lacks the column */
    c.seed = INT_MISSING;
    text_set(c.arch, "");
    c.d_ff = c.num_kv_heads = c.head_dim = c.tied_head = INT_MISSING;
    c.norm_eps = NAN;
    row_id(&c, blank);
    cr_expect(eq(str, id, blank));
    cr_expect(eq(str, id, "r8c7861bee23544b0"));
}

/* Ids written before rows knew arch, by schema 2. */
Test(row, ids_of_older_files_stay)
{
    StoredResult s;
    Err err;
    cr_assert(stored_read(&s, "tests/golden/one_build_1.csv", STORED_JUDGE, &err) == 0, "%s",
              err.msg);
    cr_expect(gt(sz, s.count, 0));
    for (size_t i = 0; i < s.count; i++) {
        char id[ROW_ID_SIZE];
        RowConfig c = s.rows[i].row.config;
        cr_expect(eq(str, c.arch, ""));
        cr_assert(row_config_complete(&c, &err) == 0, "%s", err.msg);
        row_id(&c, id);
        cr_expect(eq(str, id, s.rows[i].row.row_id));
    }
    stored_release(&s);
}

Test(row, id_changes_with_every_config_field)
{
    static const char *const changes[][2] = {
        {"model_size", "tiny"}, {"d_model", "772"},       {"context_length", "64"},
        {"num_layers", "11"},   {"num_heads", "6"},       {"batch_size", "5"},
        {"num_warmups", "2"},   {"num_warmups", "auto"},  {"num_warmups", "window"},
        {"num_trials", "11"},   {"forward_only", "True"}, {"threads", "3"},
        {"recompute", "block"}, {"gemm", "openblas"},     {"optimizer", "adamw"},
        {"seed", "2"},          {"vocab_size", "50258"},  {"arch", "llama"},
        {"d_ff", "3071"},       {"num_kv_heads", "4"},    {"head_dim", "32"},
        {"rope_theta", "1e4"},  {"norm_eps", "1e-6"},     {"tied_head", "false"},
        {"qk_norm", "false"},   {"qkv_bias", "true"},     {"num_processes", "2"}};
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

static void expect_name(const char *wanted, const char *const *settings)
{
    Err err;
    FieldTEXT name;
    RowConfig c = config_of("small");
    c.batch_size = 1;
    for (; *settings; settings += 2)
        set(&c, settings[0], settings[1]);
    cr_assert(row_config_complete(&c, &err) == 0, "%s", err.msg);
    row_name(&c, name);
    cr_expect(eq(str, name, (char *)wanted));
}

#define EXPECT_NAME(wanted, ...) expect_name(wanted, (const char *const[]){__VA_ARGS__, NULL})

Test(row, names_of_prefill_and_decode)
{
    EXPECT_NAME("small/pp512", "task", "prefill", "context_length", "512");
    EXPECT_NAME("small/tg128", "task", "decode");
    EXPECT_NAME("small/tg64@d512", "task", "decode", "depth", "512", "n_gen", "64");
    EXPECT_NAME("small/tg128/b8", "task", "decode", "batch_size", "8");
}

/* What the task does not have is cleared, so that it makes no other row. */
Test(row, settings_of_another_task_say_nothing)
{
    Err err;
    char first[ROW_ID_SIZE], second[ROW_ID_SIZE];
    RowConfig c = config_of("small"), d = c;
    set(&c, "task", "decode");
    d = c;
    set(&d, "context_length", "77");
    set(&d, "optimizer", "adamw");
    set(&d, "forward_only", "True");
    cr_assert(row_config_complete(&c, &err) == 0 && row_config_complete(&d, &err) == 0);
    row_id(&c, first);
    row_id(&d, second);
    cr_expect(eq(str, first, second));
    cr_expect(eq(i64, c.context_length, INT_MISSING));
    cr_expect(c.forward_only);
    cr_expect(eq(sz, row_positions(&c), 128));
    RowConfig loss = config_of("small"), told = loss;
    set(&told, "n_gen", "5");
    set(&told, "kv_type", "bf16");
    cr_assert(row_config_complete(&loss, &err) == 0 && row_config_complete(&told, &err) == 0);
    row_id(&loss, first);
    row_id(&told, second);
    cr_expect(eq(str, first, second));
}

/* Learned positions are at least as many as the cache has. */
Test(row, a_decode_row_has_its_positions)
{
    Err err;
    RowConfig c = config_of("small");
    set(&c, "task", "decode");
    set(&c, "depth", "2000");
    cr_assert(row_config_complete(&c, &err) == 0 && row_config_check(&c, &err) == 0);
    cr_expect(eq(sz, row_config_model(&c).max_positions, 2128));
}

Test(row, command_line_gives_the_row_back)
{
    RowConfig c = config_of("2.7B"), back;
    set(&c, "num_warmups", "auto");
    set(&c, "forward_only", "True");
    set(&c, "optimizer", "adamw");
    set(&c, "seed", "9223372036854775807");
    set(&c, "recompute", "block:3");
    set(&c, "arch", "llama");
    set(&c, "rope_theta", "123456.789");
    set(&c, "tied_head", "false");
    set(&c, "qk_norm", "true");
    Err err = {""};
    cr_assert(row_config_complete(&c, &err) == 0, "%s", err.msg);
    char **argv = row_argv(&c, "tare");
    int argc = 0;
    while (argv[argc])
        argc++;

    Option options[256];
    cr_assert(num_row_fields <= COUNT_OF(options));
    const Command command = {.verb = "run",
                             .summary = "",
                             .options = options,
                             .num_options = row_options(&back, options)};
    row_config_init(&back);
    cr_assert(options_parse(&command, argc - 1, argv + 1, &err) == OPTIONS_RUN, "%s", err.msg);
    cr_assert(row_config_complete(&back, &err) == 0, "%s", err.msg);
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
    expect_refused("arch", "lama",
                   "arch is 'lama'; did you mean 'llama'? It may be gpt2, llama or cs336");
    expect_refused("d_ff", "16777217", "d_ff is 16777217, outside 1 to 16777216");
    expect_refused("rope_theta", "0", "rope_theta is 0, not a positive number");
    expect_refused("rope_theta", "nan", "rope_theta is 'nan', not a finite number");
    expect_refused("norm_eps", "-1e-5", "norm_eps is -1e-5, not a positive number");
    expect_refused("recompute", "block:0",
                   "recompute is 'block:0'; did you mean 'block:K'? It may be auto, none, cheap, "
                   "block or block:K");
}

/* What a row's model became, in one line. */
static void expect_model(const char *size, const char *arch, const char *expected)
{
    static const char *const names[] = {"arch",       "d_ff",      "num_kv_heads", "head_dim",
                                        "rope_theta", "norm_eps",  "tied_head",    "qk_norm",
                                        "qkv_bias",   "vocab_size"};
    char line[256] = "";
    RowConfig c;
    Err err;
    row_config_init(&c);
    text_set(c.model_size, size);
    text_set(c.arch, arch);
    cr_assert(row_config_complete(&c, &err) == 0 && row_config_check(&c, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        FieldTEXT cell;
        field_cell(row_field(names[i]), &c, cell);
        strcat(strcat(line, i ? " " : ""), *cell ? cell : "-");
    }
    cr_expect(eq(str, line, (char *)expected));
}

Test(row, a_model_gets_what_nobody_gave)
{
    expect_model("small", "", "gpt2 3072 12 64 - 1e-05 True - - 50257");
    expect_model("2.7B", "llama", "llama 10240 32 80 10000 1e-05 False False False 50257");
    expect_model("xl", "cs336", "cs336 6400 25 64 10000 1e-05 False False False 50257");
    expect_model("smollm2-135m", "", "llama 1536 3 64 100000 1e-05 True False False 49152");
    expect_model("llama-3.2-1b", "llama", "llama 8192 8 64 500000 1e-05 True False False 128256");
    expect_model("qwen3-0.6b", "", "llama 3072 8 128 1000000 1e-06 True True False 151936");
}

/* The scaling has no column: it comes with the name. */
Test(row, a_published_model_is_that_model)
{
    RowConfig c = config_of("llama-3.2-1b");
    ModelConfig m = row_config_model(&c);
    cr_expect(eq(sz, model_num_params(&m), 1235814400));
    cr_expect(m.rope.factor == 32 && m.rope.original == 8192 && m.rope.theta == 500000);
    c = config_of("qwen3-0.6b");
    m = row_config_model(&c);
    cr_expect(m.qk_norm && m.norm_eps == 1e-6f && m.rope.factor == 0 && !m.xavier);
    c = config_of("small");
    set(&c, "arch", "cs336");
    c.tied_head = 0;
    m = row_config_model(&c);
    cr_expect(m.xavier && m.rope.interleaved && !m.tied_head);
}

static void expect_impossible(const char *const (*set_to)[2], size_t count, const char *message)
{
    RowConfig c;
    Err err = {""};
    row_config_init(&c);
    set(&c, "model_size", "small");
    for (size_t i = 0; i < count; i++)
        set(&c, set_to[i][0], set_to[i][1]);
    cr_expect(row_config_complete(&c, &err) != 0 || row_config_check(&c, &err) != 0);
    cr_expect(eq(str, err.msg, (char *)message));
}

#define IMPOSSIBLE(message, ...)                                                                   \
    do {                                                                                           \
        const char *const given[][2] = {__VA_ARGS__};                                              \
        expect_impossible(given, COUNT_OF(given), message);                                        \
    } while (0)

Test(row, shapes_that_cannot_be_are_refused)
{
    IMPOSSIBLE("num_kv_heads 5 does not divide num_heads 12", {"arch", "llama"},
               {"num_kv_heads", "5"});
    IMPOSSIBLE("head_dim 63 is odd, but rotary embedding turns pairs", {"arch", "cs336"},
               {"head_dim", "63"});
    IMPOSSIBLE("num_heads 7 does not divide d_model 768", {"arch", "llama"}, {"num_heads", "7"});
    IMPOSSIBLE("rope_theta is 1e-07, outside 1e-06 to 1e+30", {"arch", "llama"},
               {"rope_theta", "1e-7"});
    IMPOSSIBLE("model_size 'qwen3-0.6b' is a llama, but arch is 'cs336'", {"arch", "cs336"},
               {"model_size", "qwen3-0.6b"});
    IMPOSSIBLE("rope_theta is set, but arch gpt2 has none; llama and cs336 do",
               {"rope_theta", "10000"});
    IMPOSSIBLE("qkv_bias is set, but arch gpt2 has none; llama and cs336 do", {"qkv_bias", "true"});
    IMPOSSIBLE("num_kv_heads is 4, but arch gpt2 has as many as num_heads, 12",
               {"num_kv_heads", "4"});
    IMPOSSIBLE("head_dim is 32, but in arch gpt2 it is d_model / num_heads, 768 / 12",
               {"head_dim", "32"});
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
