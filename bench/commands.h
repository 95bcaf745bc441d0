/* commands: the verbs of the program, one file each.
 *
 * A verb gets its own part of the command line (argv[0] is the verb), writes results to stdout and
 * progress to stderr, and returns the exit code, or -1 with err filled: main prints it and makes it
 * EXIT_BAD_INPUT. */
#pragma once

#include "autograd/base.h"

/* The exit codes of every verb. Interrupted: everything finished so far is on disk. */
enum {
    EXIT_OK = 0,
    EXIT_NOT_OK = 1,    /* a row failed, or a check did not pass; rows left out are ok */
    EXIT_BAD_INPUT = 2, /* the command line, a config or an input file */
    EXIT_REGRESSION = 3,
    EXIT_INTERRUPTED = 130
};

/* COMMAND(verb, one line for --help), COMMAND_AS where the verb is no C name, in the order of
 * --help. "" hides a verb: compare starts the
 * worker, people do not. */
#define COMMANDS                                                                                   \
    COMMAND(sweep, "run every row of a config file; the main job")                                 \
    COMMAND(run, "run one row")                                                                    \
    COMMAND(diff, "compare two result files, or two programs in turns")                            \
    COMMAND(merge, "join the result files of shards")                                              \
    COMMAND(compare, "beside PyTorch, ONNX Runtime and tokenizers, in turns, parity first")        \
    COMMAND(precision, "number formats from fp32 to q4_0, in turns, each only where it is real")   \
    COMMAND(attention, "time and memory of one attention layer, flash and plain, over shapes")     \
    COMMAND(comm, "collective operations among ranks, by MPI and by our ring, checked")            \
    COMMAND(doctor, "what this machine is, and what to fix before measuring")                      \
    COMMAND(train, "fine-tune a classifier, or train a small GPT")                                 \
    COMMAND(classify, "lines of text into labels and probabilities")                               \
    COMMAND(generate, "continue a prompt, token by token")                                         \
    COMMAND(tokenize, "lines of text into lines of token ids")                                     \
    COMMAND_AS("tokenizer-train", tokenizer_train, "byte-level BPE tables of a text")              \
    COMMAND(convert, "a model's weights in bf16, fp16, int8, q8_0 or q4_0")                        \
    COMMAND(dump, "hidden states, logits, loss and gradients of a checkpoint")                     \
    COMMAND(worker, "")

#define COMMAND(verb, help)          COMMAND_AS(#verb, verb, help)
#define COMMAND_AS(name, verb, help) int cmd_##verb(int argc, char **argv, Err *err);
COMMANDS
#undef COMMAND_AS
