/* Training: its config, the batches of an epoch, the files it leaves, taking it up again, and
 * ranks, which are threads here (support/thread_ranks.h). */
#include "bench/train/train.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench/util/interrupt.h"
#include "model/files/config_json.h"
#include "model/files/checkpoint.h"
#include "tests/support/temp_dir.h"
#include "tests/support/thread_ranks.h"

TestSuite(train, .init = temp_dir_make, .fini = temp_dir_remove);

static void expect_same_files(const char *a, const char *b)
{
    Err err;
    size_t n, m;
    char *x = file_read(a, 1 << 30, &n, &err), *y = file_read(b, 1 << 30, &m, &err);
    cr_assert(x && y, "%s", err.msg);
    cr_expect(n == m && memcmp(x, y, n) == 0, "%s and %s differ", a, b);
    free(x);
    free(y);
}

/* ---- config ---- */

#define GPT_TRAINING "[training]\nepochs = 2\nbatch_size = 3\nlearning_rate = 1e-2\n"
#define GPT_MODEL    "[model]\nd_model = 12\nnum_layers = 1\nnum_heads = 2\ncontext = 8\n"
#define GPT_TOML     "task = \"gpt\"\nout = \"o\"\n[data]\ntext = \"t\"\n" GPT_MODEL GPT_TRAINING

static int load_config(TrainConfig *c, const char *text, Err *err)
{
    return config_load_text(&train_config_file, c, text, strlen(text), "c.toml", NULL, err);
}

Test(train, a_config_is_read_with_its_defaults)
{
    TrainConfig c;
    Err err = {""};
    cr_assert_eq(load_config(&c, GPT_TOML, &err), 0, "%s", err.msg);
    cr_expect_eq(c.task, TASK_GPT);
    cr_expect_eq(c.context, 8);
    cr_expect_eq(c.accumulate, 1);
    cr_expect_eq(c.learning_rate, 1e-2);
    cr_expect_eq(c.weight_decay, 0.01);
    cr_expect_eq(c.dropout, 0);
    train_config_release(&c);
}

static void expect_refused(const char *text, const char *sentence)
{
    TrainConfig c;
    Err err = {""};
    cr_expect_eq(load_config(&c, text, &err), -1);
    cr_expect_not_null(strstr(err.msg, sentence), "'%s' is not in: %s", sentence, err.msg);
}

Test(train, a_wrong_config_is_refused_with_its_line)
{
    expect_refused("out = \"o\"\n", "c.toml: there is no 'task', such as task = \"sentiment\"");
    expect_refused("task = \"bert\"\n", "c.toml:1: task is 'bert'; it may be sentiment or gpt");
    expect_refused("task = \"gpt\"\nout = \"o\"\n", "c.toml: there is no 'text' in [data]");
    expect_refused(GPT_TOML "drop_out = 0.1\n",
                   "c.toml:14: unknown key 'drop_out'; did you mean 'dropout'?");
    expect_refused(GPT_TOML "context = 3\n", "c.toml:14: 'context' belongs in [model]");
    expect_refused(GPT_TOML "dropout = 1.5\n", "c.toml:14: dropout is 1.5, outside 0 to 0.95");
    expect_refused(GPT_TOML "seed = \"x\"\n", "c.toml:14: seed is a string, not an integer");
    expect_refused(GPT_TOML "max_length = 3\n", "'max_length' is for task = \"sentiment\"");
    expect_refused("task = \"gpt\"\n[data]\nlabels = [\"a\"]\n", "is for task = \"sentiment\"");
    expect_refused("task = \"sentiment\"\n[data]\nlabels = [\"good\", \"b\\tad\"]\n",
                   "c.toml:3: label 'b\\x09ad' has a control character");
    expect_refused("task = \"sentiment\"\n[data]\nlabels = [\"a\", \"A\"]\n", "has 'A' twice");
}

Test(train, the_learning_rate_rises_and_falls_on_lines)
{
    cr_expect_eq(learning_rate_at(1, 0, 4, 12), 0);
    cr_expect_eq(learning_rate_at(1, 3, 4, 12), 0.75);
    cr_expect_eq(learning_rate_at(1, 4, 4, 12), 1);
    cr_expect_eq(learning_rate_at(1, 8, 4, 12), 0.5);
    cr_expect_eq(learning_rate_at(2, 0, 0, 4), 2);
}

/* ---- batches ---- */

static Examples examples_of_lengths(const size_t *length, size_t count)
{
    Examples e = {.count = count,
                  .start = xcalloc(count + 1, sizeof(size_t)),
                  .label = xcalloc(count, sizeof(int32_t))};
    for (size_t i = 0; i < count; i++)
        e.start[i + 1] = e.start[i] + length[i];
    e.ids = xcalloc(e.start[count], sizeof *e.ids);
    for (size_t i = 0; i < e.start[count]; i++)
        e.ids[i] = (int32_t)i + 1;
    return e;
}

Test(train, an_epoch_has_each_example_once_in_its_bucket)
{
    enum { COUNT = 101 };
    size_t length[COUNT], num_lengths;
    for (size_t i = 0; i < COUNT; i++)
        length[i] = 2 + i * 7 % 60;
    Examples e = examples_of_lengths(length, COUNT);
    size_t *lengths = bucket_lengths(&(const Examples *){&e}, 1, 61, &num_lengths);
    cr_expect_eq(lengths[0], 8);
    cr_expect_eq(lengths[num_lengths - 1], 61);
    uint32_t first[2] = {0};
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        bool seen[COUNT] = {false};
        Batches b;
        batches_build(&b, &e, lengths, num_lengths, (BatchOrder){4, true, 1, epoch});
        for (size_t i = 0; i < b.count; i++) {
            cr_expect(b.at[i].count >= 1 && b.at[i].count <= 4);
            for (size_t k = 0; k < b.at[i].count; k++) {
                uint32_t n = b.at[i].example[k];
                cr_expect(!seen[n] && length[n] <= b.at[i].context);
                cr_expect(b.at[i].context == 8 || length[n] * 2 > b.at[i].context);
                seen[n] = true;
            }
        }
        for (size_t i = 0; i < COUNT; i++)
            cr_expect(seen[i]);
        first[epoch] = b.at[0].example[0] * 1000 + b.at[1].example[0];
        batches_release(&b);
    }
    cr_expect_neq(first[0], first[1], "another epoch, another order");
    free(lengths);
    examples_release(&e);
}

Test(train, examples_lie_one_after_the_other)
{
    Examples e = examples_of_lengths((size_t[]){3, 2}, 2);
    e.label[1] = 1;
    uint32_t order[] = {1, 0};
    TrainBatch b = {4, order, 2};
    BatchArrays a = batch_arrays_new(3, 8);
    cr_expect_eq(batch_positions(&e, &b), 5);
    batch_fill(&e, &b, 3, 8, &a);
    cr_expect_arr_eq(a.tokens, ((int32_t[]){4, 5, 1, 2, 3, 0, 0, 0}), 8 * sizeof *a.tokens);
    cr_expect_arr_eq(a.starts, ((int32_t[]){0, 2, 5, 5}), 4 * sizeof *a.starts);
    cr_expect_arr_eq(a.targets, ((int32_t[]){1, 0, -1}), 3 * sizeof *a.targets);
    batch_arrays_free(&a);
    examples_release(&e);
}

Test(train, a_text_becomes_windows_with_the_next_byte_as_target)
{
    Examples train, held;
    Err err = {""};
    BatchArrays a = batch_arrays_new(2, 6);
    temp_write("text", "abcdefghijk"); /* 11 bytes: three windows of 3, one target over */
    cr_assert_eq(examples_load_windows(&train, &held, temp_path("text"), NULL, 3, 0.3, &err), 0);
    cr_expect_eq(train.count, 2);
    cr_expect_eq(held.count, 1);
    batch_fill(&held, &(TrainBatch){3, &(uint32_t){0}, 1}, 2, 6, &a);
    cr_expect_arr_eq(a.tokens, ((int32_t[]){'g', 'h', 'i', 0, 0, 0}), 6 * sizeof *a.tokens);
    cr_expect_arr_eq(a.targets, ((int32_t[]){'h', 'i', 'j', -1, -1, -1}), 6 * sizeof *a.targets);
    batch_arrays_free(&a);
    examples_release(&train);
    examples_release(&held);
    cr_expect_eq(examples_load_windows(&train, &held, temp_path("text"), NULL, 11, 0, &err), -1);
    cr_expect_not_null(strstr(err.msg, "has 11 bytes, not enough for windows of 11"));
    cr_assert_eq(examples_load_windows(&train, &held, temp_path("text"), NULL, 3, 1, &err), 0, "%s",
                 err.msg);
    cr_expect_eq(train.count, 0);
    cr_expect_eq(held.count, 3, "all of it");
    examples_release(&train);
    examples_release(&held);
}

Test(train, a_text_becomes_windows_of_its_tokens)
{
    Examples train, held;
    Err err = {""};
    temp_write("vocab.json", "{\"a\": 0, \"b\": 1, \"ab\": 2, \"<unk>\": 3}");
    temp_write("merges.txt", "a b\n");
    temp_write("config.json", "{\"model_type\": \"gpt2\"}");
    temp_write("text", "abababbaab");
    Tokenizer *t = tokenizer_load(temp_dir, &err);
    cr_assert_not_null(t, "%s", err.msg);
    cr_assert_eq(examples_load_windows(&train, &held, temp_path("text"), t, 2, 0.5, &err), 0);
    cr_expect_eq(train.count, 1);
    cr_expect_arr_eq(train.ids, ((int32_t[]){2, 2, 2}), 3 * sizeof *train.ids);
    cr_expect_eq(train.bytes, 4, "of the two targets");
    cr_expect_arr_eq(held.ids, ((int32_t[]){2, 1, 0}), 3 * sizeof *held.ids);
    cr_expect_eq(held.bytes, 2);
    examples_release(&train);
    examples_release(&held);
    tokenizer_free(t);
}

/* ---- training a GPT ---- */

static void write_text(void)
{
    char text[400];
    for (size_t i = 0; i + 1 < sizeof text; i++)
        text[i] = "the cat sat on the mat. "[i % 24];
    text[sizeof text - 1] = '\0';
    temp_write("text", text);
}

/* A config with dropout and accumulation; `more` are further lines of [training]. */
static TrainConfig gpt_config(const char *out, const char *more)
{
    TrainConfig c;
    Err err = {""};
    char *toml = xasprintf("task = \"gpt\"\nout = \"%s\"\n[data]\ntext = \"%s\"\n" GPT_MODEL
                           "[training]\nepochs = 2\nbatch_size = 4\naccumulate = 2\n"
                           "learning_rate = 1e-2\ndropout = 0.2\nwarmup = 0.2\n%s",
                           temp_path(out), temp_path("text"), more);
    cr_assert_eq(load_config(&c, toml, &err), 0, "%s", err.msg);
    free(toml);
    return c;
}

static TrainOutcome run_with(TrainConfig config, TrainOptions o, Err *err)
{
    Trainer t;
    o.threads = 1;
    FILE *chatter = fopen("/dev/null", "w");
    TrainOutcome outcome = TRAIN_FAILED;
    if (train_init(&t, &config, &o, err) == 0)
        outcome = train_run(&t, &o, chatter, err);
    train_release(&t);
    fclose(chatter);
    return outcome;
}

static TrainOutcome run(TrainConfig config, bool resume, Err *err)
{
    return run_with(config, (TrainOptions){.resume = resume}, err);
}

/* One update in a process that is told to stop before it begins. */
static TrainOutcome run_one_update(TrainConfig config)
{
    pid_t child = fork();
    if (child == 0) {
        Err err;
        interrupt_note();
        _exit((int)run(config, true, &err));
    }
    int status;
    waitpid(child, &status, 0);
    train_config_release(&config);
    cr_assert(WIFEXITED(status));
    return (TrainOutcome)WEXITSTATUS(status);
}

Test(train, a_training_interrupted_at_every_step_is_the_same_training)
{
    Err err = {""};
    write_text();
    cr_assert_eq(run(gpt_config("whole", ""), false, &err), TRAIN_DONE, "%s", err.msg);
    int runs = 0;
    do {
        cr_assert_eq(run_one_update(gpt_config("pieces", "")), TRAIN_INTERRUPTED);
        runs++;
        Trainer t;
        TrainConfig c = gpt_config("pieces", "");
        TrainOptions o = {.threads = 1};
        cr_assert_eq(train_init(&t, &c, &o, &err), 0);
        cr_assert_eq(train_state_load(temp_path("pieces"), &t.model, &t.state, t.identity, &err),
                     0);
        cr_assert_eq(t.state.updates, (uint64_t)runs);
        bool done = t.state.updates == t.total_updates;
        train_release(&t);
        if (done)
            break;
    } while (runs < 100);
    cr_expect_gt(runs, 8);
    expect_same_files(temp_path("whole/model.safetensors"), temp_path("pieces/model.safetensors"));
    expect_same_files(temp_path("whole/training.safetensors"),
                      temp_path("pieces/training.safetensors"));
    expect_same_files(temp_path("whole/loss.csv"), temp_path("pieces/loss.csv"));
}

Test(train, a_training_is_not_begun_twice_nor_taken_up_with_another_config)
{
    Err err = {""};
    write_text();
    cr_assert_eq(run(gpt_config("out", ""), false, &err), TRAIN_DONE);
    cr_expect_eq(run(gpt_config("out", ""), false, &err), TRAIN_FAILED);
    cr_expect_not_null(strstr(err.msg, "has a training already"));
    cr_expect_eq(run(gpt_config("out", "seed = 2\n"), true, &err), TRAIN_FAILED);
    cr_expect_not_null(strstr(err.msg, "began with seed=1, and the config now says seed=2"));
    temp_write("text", "other text, other text, other text, other text, other text");
    cr_expect_eq(run(gpt_config("out", ""), true, &err), TRAIN_FAILED);
    cr_expect_not_null(strstr(err.msg, "training data="));
}

Test(train, a_loss_that_is_no_number_keeps_the_last_checkpoint)
{
    Err err = {""};
    write_text();
    TrainConfig c = gpt_config("out", "save_every = 1\n");
    c.learning_rate = 1e30; /* beyond what a file may say: the second update destroys all */
    cr_expect_eq(run(c, false, &err), TRAIN_DIVERGED);
    cr_expect_not_null(strstr(err.msg, "step 2: "), "%s", err.msg);
    Trainer t;
    c = gpt_config("out", "save_every = 1\n");
    c.learning_rate = 1e30;
    TrainOptions o = {.threads = 1};
    cr_assert_eq(train_init(&t, &c, &o, &err), 0);
    cr_assert_eq(train_state_load(temp_path("out"), &t.model, &t.state, t.identity, &err), 0, "%s",
                 err.msg);
    cr_expect_eq(t.state.updates, 1);
    train_release(&t);
}

/* Fewer updates than the running check needs, and all losses finite. */
Test(train, a_short_training_that_diverges_saves_nothing)
{
    Err err = {""};
    write_text();
    TrainConfig c = gpt_config("out", "");
    c.learning_rate = 3;
    cr_expect_eq(run(c, false, &err), TRAIN_DIVERGED);
    cr_expect_not_null(strstr(err.msg, "step 6: the training diverges: the mean loss is"), "%s",
                       err.msg);
    cr_expect_not(train_state_exists(temp_path("out")));
    cr_expect_neq(access(temp_path("out/model.safetensors"), F_OK), 0);
}

Test(train, what_the_last_update_did_is_looked_at)
{
    Err err = {""};
    write_text();
    for (int held_out = 0; held_out < 2; held_out++) {
        TrainConfig c = gpt_config("out", "");
        c.epochs = 1;
        c.accumulate = 100;
        c.warmup = 0;
        c.learning_rate = 1e3;
        c.held_out = 0.1 * held_out;
        cr_expect_eq(run(c, false, &err), TRAIN_DIVERGED);
        cr_expect_not_null(
            strstr(err.msg, "step 1: the training diverges: the mean loss after the update is"),
            "%s", err.msg);
        cr_expect_not(train_state_exists(temp_path("out")));
    }
}

/* ---- the directory ---- */

Test(train, an_overwritten_training_is_not_taken_up)
{
    Err err = {""};
    write_text();
    cr_assert_eq(run(gpt_config("out", ""), false, &err), TRAIN_DONE, "%s", err.msg);
    TrainConfig c = gpt_config("out", "");
    c.learning_rate = 1e30; /* ends it before its first save */
    cr_expect_eq(run_with(c, (TrainOptions){.overwrite = true}, &err), TRAIN_DIVERGED);
    cr_expect_not(train_state_exists(temp_path("out")));
    cr_expect_eq(run(gpt_config("out", ""), true, &err), TRAIN_FAILED);
    cr_expect_not_null(strstr(err.msg, "has a model, but no training that could go on"), "%s",
                       err.msg);
}

Test(train, a_foreign_model_is_replaced_only_on_demand)
{
    Err err = {""};
    write_text();
    temp_write("out/config.json", "{}");
    for (int resume = 0; resume < 2; resume++) {
        cr_expect_eq(run(gpt_config("out", ""), resume, &err), TRAIN_FAILED);
        cr_expect_not_null(strstr(err.msg, "--overwrite replaces it"), "%s", err.msg);
    }
    cr_expect_eq(run_with(gpt_config("out", ""), (TrainOptions){.overwrite = true}, &err),
                 TRAIN_DONE, "%s", err.msg);
}

static void expect_no_place(const char *out, const char *sentence)
{
    Err err = {""};
    TrainConfig c = gpt_config(out, "");
    cr_expect_eq(train_check_out(&c, &(TrainOptions){0}, &err), -1, "%s", out);
    cr_expect_not_null(strstr(err.msg, sentence), "%s", err.msg);
    train_config_release(&c);
}

Test(train, a_place_that_cannot_be_is_said_without_reading_data)
{
    Err err = {""};
    temp_write("file", "");
    expect_no_place("file", "is not a directory");
    expect_no_place("file/out", "Not a directory");
    TrainConfig c = gpt_config("new/deep/out/", "");
    cr_expect_eq(train_check_out(&c, &(TrainOptions){0}, &err), 0, "%s", err.msg);
    cr_expect_eq(train_check_out(&c, &(TrainOptions){.named = true}, &err), -1);
    cr_expect_not_null(strstr(err.msg, "there is no folder"), "%s", err.msg);
    cr_expect_neq(access(temp_path("new"), F_OK), 0, "asking makes nothing");
    train_config_release(&c);
}

Test(train, missing_parents_are_made)
{
    Err err = {""};
    write_text();
    cr_assert_eq(run(gpt_config("new/deep/out", ""), false, &err), TRAIN_DONE, "%s", err.msg);
    cr_expect(train_state_exists(temp_path("new/deep/out")));
}

Test(train, a_state_says_what_it_was_trained_on)
{
    Err err = {""};
    char *value;
    write_text();
    cr_assert_eq(train_state_value(temp_path("out"), "held_out", &value, &err), 0);
    cr_expect_null(value, "there is no state");
    cr_assert_eq(run(gpt_config("out", ""), false, &err), TRAIN_DONE, "%s", err.msg);
    cr_assert_eq(train_state_value(temp_path("out"), "epochs", &value, &err), 0, "%s", err.msg);
    cr_expect_str_eq(value, "2");
    free(value);
    cr_assert_eq(train_state_value(temp_path("out"), "epoch", &value, &err), 0);
    cr_expect_null(value);
    cr_assert_eq(truncate(temp_path("out/training.safetensors"), 100), 0);
    cr_expect_eq(train_state_value(temp_path("out"), "epochs", &value, &err), -1);
}

/* ---- fine-tuning ---- */

static const char vocabulary[] = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\nbad\nfilm\nvery\nthe\n";

/* A DistilBERT without a head in temp_dir/encoder: 10 words, random weights. */
static void write_encoder(void)
{
    Err err = {""};
    Checkpoint ck = {0};
    temp_write("encoder/vocab.txt", vocabulary);
    temp_write("encoder/config.json",
               "{\"model_type\": \"distilbert\", \"architectures\": [\"DistilBertModel\"], "
               "\"vocab_size\": 10, \"dim\": 16, \"n_layers\": 1, \"n_heads\": 2, "
               "\"hidden_dim\": 32, \"max_position_embeddings\": 16}");
    cr_assert_eq(model_config_load(temp_path("encoder"), &ck.config, &err), 0, "%s", err.msg);
    Bucketed m;
    RecordWants wants = {.batch = 1};
    bucketed_plan(&m, &ck.config, &wants, (size_t[]){8}, 1, false, 1);
    cr_assert_eq(bucketed_alloc(&m, (ParamsMemory){0}, &err), 0);
    params_randomize(&m.params, 5, 1);
    TensorList tensors = {0};
    checkpoint_export(&ck.config, true, &m.params, m.params.weights, "", &tensors);
    cr_assert_eq(safetensors_write(temp_path("encoder/model.safetensors"), tensors.at,
                                   tensors.count, NULL, &err),
                 0);
    tensor_list_release(&tensors);
    bucketed_release(&m);
}

/* `good` and `bad` are the labels of the texts with these words. */
static void write_samples(const char *name, const char *good, const char *bad)
{
    char text[8000] = "";
    for (int i = 0; i < 40; i++) {
        const char *word = i % 2 ? "good" : "bad";
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "{\"text\": \"%s%s film\", \"expected_label\": \"%s\"}\n",
                 i % 3 ? "the very very very very the the " : "", word, i % 2 ? good : bad);
    }
    temp_write(name, text);
}

static TrainConfig serving_config(const char *checkpoint)
{
    TrainConfig c;
    Err err = {""};
    char *toml = xasprintf("task = \"sentiment\"\nout = \"%s\"\n[data]\ntrain = \"%s\"\n"
                           "development = \"%s\"\nlabels = [\"negative\", \"positive\"]\n"
                           "max_length = 16\n[model]\ncheckpoint = \"%s\"\n[training]\n"
                           "epochs = 40\nbatch_size = 6\nlearning_rate = 3e-3\n",
                           temp_path("out"), temp_path("samples.jsonl"), temp_path("samples.jsonl"),
                           temp_path(checkpoint));
    cr_assert_eq(load_config(&c, toml, &err), 0, "%s", err.msg);
    free(toml);
    return c;
}

Test(train, a_classifier_learns_what_two_words_mean)
{
    Err err = {""};
    Trainer t;
    TrainOptions o = {.threads = 1};
    write_encoder();
    write_samples("samples.jsonl", "positive", "negative");
    TrainConfig c = serving_config("encoder");
    cr_assert_eq(train_init(&t, &c, &o, &err), 0, "%s", err.msg);
    cr_expect_eq(t.num_lengths, 2, "short and long samples have a bucket each");
    Evaluation before = train_evaluate(&t, &t.development);
    FILE *chatter = fopen("/dev/null", "w");
    cr_assert_eq(train_run(&t, &o, chatter, &err), TRAIN_DONE, "%s", err.msg);
    fclose(chatter);
    Evaluation after = train_evaluate(&t, &t.development);
    cr_expect_lt(before.right, 40);
    cr_expect_eq(after.right, 40);
    cr_expect_lt(after.loss, before.loss / 10);
    train_release(&t);

    Labels labels;
    Checkpoint ck;
    cr_assert_eq(checkpoint_open(&ck, temp_path("out"), &err), 0, "%s", err.msg);
    cr_expect_eq(ck.config.head, HEAD_CLASSIFIER);
    cr_assert_eq(labels_load(&labels, temp_path("out"), ck.config.num_labels, &err), 0);
    cr_expect_eq(labels_find(&labels, "Positive"), 1);
    labels_release(&labels);
    checkpoint_release(&ck);
}

Test(train, a_checkpoint_of_another_shape_is_refused)
{
    Err err = {""};
    write_encoder();
    write_samples("samples.jsonl", "positive", "negative");
    temp_write("encoder/config.json",
               "{\"model_type\": \"distilbert\", \"architectures\": [\"DistilBertModel\"], "
               "\"vocab_size\": 10, \"dim\": 16, \"n_layers\": 1, \"n_heads\": 2, "
               "\"hidden_dim\": 48, \"max_position_embeddings\": 16}");
    cr_expect_eq(run(serving_config("encoder"), false, &err), TRAIN_FAILED);
    cr_expect_not_null(strstr(err.msg, "has shape [32, 16], config.json makes it [48, 16]"), "%s",
                       err.msg);
    cr_expect_neq(access(temp_path("out"), F_OK), 0, "nothing was written");
}

/* What is right of the training data is wrong of these. */
Test(train, a_development_loss_that_diverges_keeps_the_last_checkpoint)
{
    Err err = {""};
    write_encoder();
    write_samples("samples.jsonl", "positive", "negative");
    write_samples("swapped.jsonl", "negative", "positive");
    TrainConfig c = serving_config("encoder");
    free(c.development);
    c.development = xstrdup(temp_path("swapped.jsonl"));
    cr_expect_eq(run(c, false, &err), TRAIN_DIVERGED);
    cr_expect_not_null(strstr(err.msg, "the training diverges: the development loss is"), "%s",
                       err.msg);
    cr_expect(train_state_exists(temp_path("out")), "of an epoch before");
}

/* ---- several ranks ---- */

typedef struct TrainingRank {
    const CommPlugin *plugin;
    TrainConfig config;
    TrainOptions options;
    TrainOutcome outcome;
    Err err;
} TrainingRank;

static void *run_rank(void *arg)
{
    TrainingRank *r = arg;
    CommThread comm;
    comm_thread_start(&comm, r->plugin, false);
    r->options.comm = &comm;
    r->outcome = run_with(r->config, r->options, &r->err);
    comm_thread_finish(&comm);
    return NULL;
}

/* The outcome, which is the same on all ranks. make: the config of each. */
static TrainOutcome run_on_ranks(TrainConfig (*make)(const char *out), const char *out, int ranks,
                                 Strategy strategy, bool resume)
{
    TrainingRank rank[MOST_THREAD_RANKS];
    pthread_t threads[MOST_THREAD_RANKS];
    const CommPlugin *plugin = thread_ranks(ranks);
    for (int r = 0; r < ranks; r++) {
        rank[r] = (TrainingRank){plugin, make(out), {.resume = resume}, TRAIN_FAILED, {""}};
        rank[r].config.ranks = ranks;
        rank[r].config.parallel = strategy;
        cr_assert_eq(pthread_create(&threads[r], NULL, run_rank, &rank[r]), 0);
    }
    for (int r = 0; r < ranks; r++) {
        pthread_join(threads[r], NULL);
        cr_assert_eq(rank[r].outcome, rank[0].outcome, "%s", rank[r].err.msg);
    }
    return rank[0].outcome;
}

/* 44 windows in batches of 6: the last one has 2, which leaves one of 3 ranks without any. */
static TrainConfig uneven_gpt(const char *out)
{
    TrainConfig c = gpt_config(out, "max_grad_norm = 0.1\nprefetch_layers = 1\n");
    c.batch_size = 6;
    return c;
}

/* Texts of two lengths. */
static TrainConfig uneven_classifier(const char *out)
{
    TrainConfig c = serving_config("encoder");
    free(c.out);
    c.out = xstrdup(temp_path(out));
    c.dropout = 0.1;
    c.epochs = 4;
    return c;
}

/* The losses and norms of loss.csv; returns how many lines it has. */
static size_t read_curve(const char *dir, double values[][2], size_t most)
{
    char *path = xasprintf("%s/loss.csv", dir);
    FILE *f = fopen(temp_path(path), "r");
    size_t count = 0;
    cr_assert_not_null(f, "%s", path);
    cr_assert_neq(fscanf(f, "%*[^\n]"), EOF);
    while (count < most &&
           fscanf(f, "%*d,%*f,%lf,%lf%*[^\n]", &values[count][0], &values[count][1]) == 2)
        count++;
    fclose(f);
    free(path);
    return count;
}

static void expect_same_curve(const char *a, const char *b, const char *what)
{
    enum { MOST = 100 };
    double x[MOST][2], y[MOST][2], worst = 0;
    size_t n = read_curve(a, x, MOST);
    cr_assert(n > 5 && n == read_curve(b, y, MOST), "%s: %zu lines", what, n);
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 2; k++)
            worst = fmax(worst, fabs(y[i][k] / x[i][k] - 1));
    /* Observed: 2.6e-7. */
    cr_expect(worst < 1e-6, "%s: losses or norms differ by %.2g of their value", what, worst);
}

static void expect_same_on_ranks(TrainConfig (*make)(const char *), int ranks)
{
    Err err = {""};
    cr_assert_eq(run(make("one"), false, &err), TRAIN_DONE, "%s", err.msg);
    for (Strategy s = DDP_NAIVE; s <= FSDP; s++) {
        char *out = xasprintf("out%d", (int)s), *what = xasprintf("strategy %d", (int)s);
        cr_assert_eq(run_on_ranks(make, out, ranks, s, false), TRAIN_DONE, "%s", what);
        expect_same_curve("one", out, what);
        char *first = xstrdup(temp_path("out1/training.safetensors"));
        char *file = xasprintf("%s/training.safetensors", out);
        expect_same_files(first, temp_path(file));
        free(file);
        free(first);
        free(what);
        free(out);
    }
}

Test(train, a_gpt_is_the_same_on_ranks, .timeout = 120)
{
    write_text();
    expect_same_on_ranks(uneven_gpt, 3);
}

Test(train, a_classifier_is_the_same_on_ranks, .timeout = 120)
{
    write_encoder();
    write_samples("samples.jsonl", "positive", "negative");
    expect_same_on_ranks(uneven_classifier, 4);
}

/* One update on this many ranks, in a process that is told to stop before it begins. */
static void update_once(const char *out, int ranks, Strategy strategy)
{
    pid_t child = fork();
    if (child == 0) {
        interrupt_note();
        _exit((int)run_on_ranks(uneven_gpt, out, ranks, strategy, true));
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == TRAIN_INTERRUPTED);
}

Test(train, a_training_goes_on_with_another_number_of_ranks, .timeout = 120)
{
    Err err = {""};
    write_text();
    cr_assert_eq(run(uneven_gpt("one"), false, &err), TRAIN_DONE, "%s", err.msg);
    update_once("out", 2, FSDP);
    update_once("out", 3, ZERO1);
    update_once("out", 4, SHARDED_OPTIMIZER);
    update_once("out", 4, FSDP);
    cr_assert_eq(run(uneven_gpt("out"), true, &err), TRAIN_DONE, "%s", err.msg);
    expect_same_curve("one", "out", "taken up");
}
