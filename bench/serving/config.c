/* config: see config.h. */
#include "bench/serving/config.h"

#include "bench/machine/threads.h"

const char *const serving_set_names[NUM_SETS] = {"benchmark", "validation", "test"};

#define KEY(kind, name, ...) CONFIG_KEY(kind, ServingConfig, name, __VA_ARGS__)

static const ConfigKey top_keys[] = {
    TURN_KEYS(ServingConfig, "sentiment"),
    KEY(TEXT, model, .required = true, .doc = "a Hugging Face directory with a classifier"),
    KEY(INT, rounds, .min = 1, .max = 10000, .fallback = "20",
        .doc = "repeats of the benchmark samples"),
    KEY(INT, warmups, .min = 0, .max = 100000, .fallback = "100",
        .doc = "untimed requests before the first round"),
    KEY(INT, cold_starts, .min = 1, .max = 1000, .fallback = "3",
        .doc = "fresh processes whose start, load and first request are timed"),
    KEY(INT, max_length, .min = 2, .max = 1 << 20,
        .doc = "tokens of a text, what is longer is cut; the model's positions by default"),
    MAX_WAIT_KEY(ServingConfig),
};

#define DATA_KEY(set, name, ...)                                                                   \
    CONFIG_KEY_CALLED(name, TEXT, ServingConfig, data[set], __VA_ARGS__)

static const ConfigKey data_keys[] = {
    DATA_KEY(SET_BENCHMARK, "benchmark", .required = true,
             .doc = "JSON lines; timed, one request a sample and round"),
    DATA_KEY(SET_VALIDATION, "validation", .required = true, .doc = "JSON lines; accuracy only"),
    DATA_KEY(SET_TEST, "test", .doc = "the same; left out where the file is missing"),
};

#define IMPLEMENTATION_KEY(index, name, fallback_, doc_)                                           \
    CONFIG_KEY_CALLED(name, BOOL, ServingConfig, wanted[index], .fallback = fallback_, .doc = doc_)

static const ConfigKey implementation_keys[] = {
    IMPLEMENTATION_KEY(IMPL_TARE, "tare", "true", "always: everything is compared with it"),
    IMPLEMENTATION_KEY(IMPL_PYTORCH, "pytorch", "true", "eager, on the CPU"),
    IMPLEMENTATION_KEY(IMPL_PYTORCH_COMPILE, "pytorch_compile", "false", "torch.compile"),
    IMPLEMENTATION_KEY(IMPL_ONNXRUNTIME, "onnxruntime", "true", "ONNX Runtime"),
    IMPLEMENTATION_KEY(IMPL_PYTORCH_GPU, "pytorch_gpu", "false", "where there is a CUDA device"),
    IMPLEMENTATION_KEY(IMPL_PYTORCH_MPS, "pytorch_mps", "false", "where there is an Apple GPU"),
};

static const ConfigSection sections[] = {CONFIG_SECTION(NULL, top_keys),
                                         CONFIG_SECTION("data", data_keys),
                                         CONFIG_SECTION("implementations", implementation_keys)};

static int finish(void *out, Err *err)
{
    ServingConfig *c = out;
    if (c->threads == 0)
        c->threads = threads_default();
    return c->wanted[IMPL_TARE]
               ? 0
               : err_set(err, "tare cannot be switched off: everything is compared with it");
}

const ConfigFile serving_config_file =
    CONFIG_FILE(sections, ServingConfig, .title = "`tare compare`: a sentiment classifier",
                .task = "sentiment", .next = &compare_config_file, .check = finish);
