/* Configs of every verb: the same refusals everywhere, and what --set may do. What one kind of file
 * alone has is in test_sweep_config.c, test_compare.c, test_serving.c, test_precision_study.c and
 * test_train.c. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <stdlib.h>
#include <string.h>

#include "bench/precision/config.h"
#include "bench/serving/config.h"
#include "bench/sweep/config.h"
#include "bench/train/config.h"
#include "tests/support/temp_dir.h"

#define CELLS                                                                                      \
    "[[model]]\nname = 'm'\nmake = 'x'\n"                                                          \
    "[[cell]]\ncomponent = 'model'\nmodel = 'm'\nbatch_size = 1\nseq_len = 8\n"
#define SENTIMENT "task = 'sentiment'\nmodel = 'm'\n[data]\nbenchmark = 'a'\nvalidation = 'b'\n"
#define STUDY     "[[model]]\nname = 'm'\ndir = 'x'\ntext = 't'\n"
#define ROWS      "[sweep]\nmodel_size = 'small'\n"
#define TRAIN                                                                                      \
    "task = 'sentiment'\nout = 'o'\n[data]\ntrain = 'a'\nlabels = ['x', 'y']\n"                    \
    "[model]\ncheckpoint = 'c'\n[training]\nepochs = 1\nbatch_size = 2\nlearning_rate = 1e-3\n"
#define GPT                                                                                        \
    "task = 'gpt'\nout = 'o'\n[data]\ntext = 't'\n"                                                \
    "[model]\nd_model = 8\nnum_layers = 1\nnum_heads = 2\ncontext = 8\n"                           \
    "[training]\nepochs = 1\nbatch_size = 2\nlearning_rate = 1e-3\n"

typedef union AnyConfig {
    CompareConfig compare;
    ServingConfig serving;
    StudyConfig study;
    SweepConfig sweep;
    TrainConfig train;
} AnyConfig;

static AnyConfig any;

/* Into `any`. */
static int load(const ConfigFile *kind, const char *text, const char *setting, Err *err)
{
    TextList settings = {.at = &setting, .count = setting ? 1 : 0};
    return config_load_text(kind, &any, text, strlen(text), "f.toml", &settings, err);
}

typedef struct Case {
    const ConfigFile *file; /* NULL = a sweep's */
    const char *text, *setting, *message;
} Case;

static const Case refused[] = {
    /* unknown keys */
    {NULL, ROWS "num_trails = 3\n", NULL,
     "f.toml:3: unknown key 'num_trails'; did you mean 'num_trials'?"},
    {NULL, "[[model]]\nsiez = 'a'\n", NULL, "f.toml:2: unknown key 'siez'; did you mean 'size'?"},
    {NULL, "[limits]\nmax_memroy = 1\n", NULL,
     "f.toml:2: unknown key 'max_memroy'; did you mean 'max_memory'?"},
    {&compare_config_file, "rouns = 3\n", NULL,
     "f.toml:1: unknown key 'rouns'; did you mean 'rounds'?"},
    {&compare_config_file, "[[model]]\nmaek = 'x'\n", NULL,
     "f.toml:2: unknown key 'maek'; did you mean 'make'?"},
    {&compare_config_file, "[[cel]]\n", NULL, "f.toml:1: unknown key 'cel'; did you mean 'cell'?"},
    {&serving_config_file, SENTIMENT "tets = 'c'\n", NULL,
     "f.toml:6: unknown key 'tets'; did you mean 'test'?"},
    {&study_config_file, "format = 'fp32'\n", NULL,
     "f.toml:1: unknown key 'format'; did you mean 'formats'?"},
    {&study_config_file, STUDY "max_lenght = 3\n", NULL,
     "f.toml:5: unknown key 'max_lenght'; did you mean 'max_length'?"},
    {&train_config_file, TRAIN "epoch = 3\n", NULL,
     "f.toml:12: unknown key 'epoch'; did you mean 'epochs'?"},
    {&train_config_file, GPT "epoch = 3\n", NULL,
     "f.toml:14: unknown key 'epoch'; did you mean 'epochs'?"},
    /* keys of another place */
    {NULL, "seed = 3\n", NULL, "f.toml:1: 'seed' belongs in [sweep]"},
    {&compare_config_file, CELLS "peers = []\n", NULL, "f.toml:9: 'peers' belongs at the top"},
    {&serving_config_file, SENTIMENT "warmups = 3\n", NULL,
     "f.toml:6: 'warmups' belongs at the top"},
    {&study_config_file, "text = 't'\n", NULL, "f.toml:1: 'text' belongs in [[model]]"},
    {&train_config_file, GPT "checkpoint = 'c'\n", NULL,
     "f.toml:14: 'checkpoint' is for task = \"sentiment\""},
    /* wrong types */
    {NULL, ROWS "num_trials = 'x'\n", NULL, "f.toml:3: num_trials is a string, not an integer"},
    {NULL, "name = 3\n", NULL, "f.toml:1: name is an integer, not a string"},
    {NULL, "model = 3\n", NULL, "f.toml:1: model is an integer, not a [[model]] table"},
    {&compare_config_file, "rounds = 1.5\n", NULL, "f.toml:1: rounds is a real, not an integer"},
    {&compare_config_file, CELLS "fresh_process = 1\n", NULL,
     "f.toml:9: fresh_process is an integer, not true or false"},
    {&compare_config_file, "peers = [1]\n", NULL, "f.toml:1: peers is an integer, not a string"},
    {&compare_config_file, "max_wait = true\n", NULL,
     "f.toml:1: max_wait is a boolean, not a time like \"10m\""},
    {&serving_config_file, SENTIMENT "[implementations]\npytorch = 'x'\n", NULL,
     "f.toml:7: pytorch is a string, not true or false"},
    {&study_config_file, STUDY "held_out = 'x'\n", NULL,
     "f.toml:5: held_out is a string, not a number"},
    {&study_config_file, "threads = [1]\n", NULL, "f.toml:1: threads is a list, not an integer"},
    {&train_config_file, "task = 'gpt'\ndata = 3\n", NULL,
     "f.toml:2: data is an integer, not a table"},
    {&train_config_file, GPT "dropout = 'x'\n", NULL,
     "f.toml:14: dropout is a string, not a number"},
    /* impossible values */
    {NULL, ROWS "batch_size = [4, 0]\n", NULL, "f.toml:3: batch_size is 0, outside 1 to 16777216"},
    {NULL, ROWS "precision = 'fp23'\n", NULL,
     "f.toml:3: precision is 'fp23'; did you mean 'fp32'? It may be fp32, fp16, bf16, mixed, "
     "int8, q8_0 or q4_0"},
    {NULL, "[limits]\nmax_memory = 'most'\n", NULL,
     "f.toml:2: max_memory is 'most'; it may be a size like \"6 GiB\" or auto"},
    {&compare_config_file, "rounds = 0\n", NULL, "f.toml:1: rounds is 0, outside 1 to 100000"},
    {&compare_config_file, "seed = -1\n", NULL, "f.toml:1: seed is -1, less than 0"},
    {&compare_config_file, "max_wait = 'soon'\n", NULL,
     "f.toml:1: max_wait is 'soon'; it may be a time like \"10m\""},
    {&compare_config_file, "peers = 'pytorhc'\n", NULL,
     "f.toml:1: peers is 'pytorhc'; did you mean 'pytorch'? It may be pytorch, pytorch_compile, "
     "onnxruntime, tokenizers, pytorch_gpu, pytorch_mps, pytorch_static, llama_cpp or openvino"},
    {&serving_config_file, "task = 'sentiment'\nmax_length = 1\n", NULL,
     "f.toml:2: max_length is 1, outside 2 to 1048576"},
    {&study_config_file, STUDY "held_out = 1.5\n", NULL,
     "f.toml:5: held_out is 1.5, outside 1e-09 to 1"},
    {&study_config_file, "name = ''\n", NULL, "f.toml:1: name is empty"},
    {&train_config_file, GPT "dropout = 1\n", NULL, "f.toml:14: dropout is 1, outside 0 to 0.95"},
    {&train_config_file, "task = 'gtp'\n", NULL,
     "f.toml:1: task is 'gtp'; did you mean 'gpt'? It may be sentiment or gpt"},
    /* what is missing */
    {NULL, "[[model]]\nsize = 'a'\n", NULL, "f.toml:1: there is no 'd_model' in [[model]]"},
    {&compare_config_file, "[[model]]\nmake = 'x'\n", NULL,
     "f.toml:1: there is no 'name' in [[model]]"},
    {&serving_config_file, "task = 'sentiment'\n", NULL, "f.toml: there is no 'model'"},
    {&study_config_file, "", NULL, "f.toml: no [[model]] table"},
    {&train_config_file, "task = 'gpt'\nout = 'o'\n", NULL, "f.toml: there is no 'text' in [data]"},
    /* settings */
    {NULL, ROWS, "num_trails=3",
     "--set num_trails=3: unknown key 'num_trails'; did you mean 'num_trials'?"},
    {NULL, ROWS, "d_model=3",
     "--set d_model=3: 'd_model' belongs in [[model]], which --set does not reach"},
    {&compare_config_file, CELLS, "rounds", "--set 'rounds' is not key=value"},
    {&compare_config_file, CELLS, "rounds=", "--set rounds=: rounds is a string, not an integer"},
    {&study_config_file, STUDY, "formats=fp8",
     "--set formats=fp8: formats is 'fp8'; did you mean 'fp32'? It may be fp32, fp16, bf16, mixed, "
     "int8, q8_0 or q4_0"},
    {&train_config_file, GPT, "epoch=3",
     "--set epoch=3: unknown key 'epoch'; did you mean 'epochs'?"},
    {&train_config_file, GPT, "task=gpt", "--set task=gpt: unknown key 'task'"},
    {&train_config_file, GPT, "data.epochs=3", "--set data.epochs=3: unknown key 'data.epochs'"},
};

Test(config_file, every_verb_refuses_alike)
{
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        const Case *c = &refused[i];
        Err err = {""};
        int status = load(c->file ? c->file : sweep_config_file(), c->text, c->setting, &err);
        cr_expect(eq(int, status, -1), "accepted: %s", c->text);
        cr_expect(eq(str, err.msg, (char *)c->message), "of: %s", c->text);
    }
}

Test(config_file, a_setting_reaches_keys_of_tables)
{
    Err err = {""};
    cr_assert(load(&train_config_file, GPT, "training.epochs=7", &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, any.train.epochs, 7));
    train_config_release(&any.train);
    cr_assert(load(&train_config_file, GPT, "epochs=8", &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, any.train.epochs, 8));
    train_config_release(&any.train);
    cr_assert(load(&train_config_file, GPT, "out=2024", &err) == 0, "%s", err.msg);
    cr_expect(eq(str, any.train.out, "2024"), "a text needs no quotes");
    train_config_release(&any.train);
    cr_assert(load(&serving_config_file, SENTIMENT, "onnxruntime=False", &err) == 0, "%s", err.msg);
    cr_expect(not(any.serving.wanted[IMPL_ONNXRUNTIME]));
    config_release(&serving_config_file, &any);
}

Test(config_file, a_setting_may_give_what_the_file_lacks)
{
    Err err = {""};
    cr_assert(load(&serving_config_file,
                   "task = 'sentiment'\n[data]\nbenchmark = 'a'\nvalidation = 'b'\n", "model=m",
                   &err) == 0,
              "%s", err.msg);
    cr_expect(eq(str, any.serving.model, "m"));
    config_release(&serving_config_file, &any);
}

Test(config_file, rounds_of_the_command_line_win_over_those_of_models)
{
    Err err = {""};
    cr_assert(load(&study_config_file, STUDY "rounds = 3\n", NULL, &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, any.study.models[0].rounds, 3));
    config_release(&study_config_file, &any);
    cr_assert(load(&study_config_file, STUDY "rounds = 3\n", "rounds=9", &err) == 0, "%s", err.msg);
    cr_expect(eq(i64, any.study.models[0].rounds, 9));
    config_release(&study_config_file, &any);
}

#define TWO_MODELS                                                                                 \
    "[[model]]\nname = 'a'\ndir = 'x'\ntest = 't'\nbatch_size = [1, 8]\nseq_len = 32\n"            \
    "[[model]]\nname = 'b'\ndir = 'y'\ntext = 't'\n"

/* What a filter keeps of TWO_MODELS: times, accuracies, perplexities, models. */
static void expect_kept(const char *regex, const size_t kept[4])
{
    Err err = {""};
    size_t got[4] = {0};
    cr_assert(load(&study_config_file, TWO_MODELS, NULL, &err) == 0, "%s", err.msg);
    cr_assert(study_config_filter(&any.study, regex, &err) == 0, "%s", err.msg);
    for (size_t i = 0; i < any.study.num_models; i++) {
        got[0] += any.study.models[i].num_times;
        got[1] += any.study.models[i].test != NULL;
        got[2] += any.study.models[i].text != NULL;
        got[3]++;
    }
    for (size_t i = 0; i < 4; i++)
        cr_expect(eq(sz, got[i], kept[i]), "--filter %s", regex ? regex : "");
    config_release(&study_config_file, &any);
}

Test(config_file, a_filter_keeps_work_of_models)
{
    expect_kept(NULL, (size_t[]){2, 1, 1, 2});
    expect_kept("^a/", (size_t[]){2, 1, 0, 1});
    expect_kept("time/b8s32$", (size_t[]){1, 0, 0, 1});
    expect_kept("accuracy|perplexity", (size_t[]){0, 1, 1, 2});
    Err err = {""};
    cr_assert(load(&study_config_file, TWO_MODELS, NULL, &err) == 0, "%s", err.msg);
    cr_expect(eq(int, study_config_filter(&any.study, "c/", &err), -1));
    cr_expect(eq(
        str, err.msg,
        "--filter 'c/' matches none of the 4 pieces of work, the first of which is a/time/b1s32"));
    config_release(&study_config_file, &any);
}

/* A file without a task is one of cells, and says so of a sentiment key. */
Test(config_file, a_key_of_another_task, .init = temp_dir_make, .fini = temp_dir_remove)
{
    const char *path = temp_write("a.toml", "warmups = 3\n");
    Err err = {""};
    ConfigDocument d;
    cr_assert(config_open(&d, &serving_config_file, path, &err) == 0, "%s", err.msg);
    cr_expect(eq(int, config_read(&d, &any, NULL, &err), -1));
    cr_expect(strstr(err.msg, ":1: 'warmups' is for task = \"sentiment\"") != NULL, "%s", err.msg);
    config_close(&d);
}
