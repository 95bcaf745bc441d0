/* classify: `tare classify`: a line of text in; its label, a tab and the label's probability out.
 *
 * Each line is answered before the next is read. What is longer than the model's positions is cut. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "model/files/checkpoint.h"
#include "bench/text/classifier.h"
#include "bench/commands.h"
#include "bench/util/lines.h"
#include "bench/util/options.h"
#include "bench/machine/threads.h"

static int classify_lines(Classifier *c, Lines *in, Err *err)
{
    int more;
    for (size_t number = 1; (more = lines_next(in, err)) == 1; number++) {
        double probability;
        classifier_encode(c, in->line, in->len);
        const float *logits = classifier_run(c);
        if (!classifier_finite(logits, c->labels.count))
            return err_set(err, "%s, line %zu: the model's output is not finite", in->name, number);
        size_t label = classifier_best(logits, c->labels.count, &probability);
        printf("%s\t%.6f\n", c->labels.at[label], probability);
        if (fflush(stdout) != 0)
            return err_set(err, "cannot write to standard output: %s", strerror(errno));
    }
    return more;
}

static int run(const char *dir, const char *file, int threads, Err *err)
{
    Classifier c;
    Lines in = {0};
    int status = classifier_init(&c, dir, 0, threads, err);
    if (status == 0) {
        unused_print(c.unused);
        status = lines_open(&in, file, err);
    }
    if (status == 0)
        status = classify_lines(&c, &in, err);
    lines_close(&in);
    classifier_release(&c);
    return status;
}

int cmd_classify(int argc, char **argv, Err *err)
{
    int64_t threads = threads_default();
    const Option options[] = {
        threads_option(&threads),
    };
    const Command command = {
        .verb = "classify",
        .arguments = "MODEL_DIR [FILE]",
        .summary = "Prints label, tab and probability for each line of FILE, or of standard input.",
        .options = options,
        .num_options = COUNT_OF(options),
        .min_arguments = 1,
        .max_arguments = 2,
        .notes =
            "MODEL_DIR is a DistilBERT or BERT sequence classifier with its vocab.txt, such as\n"
            "tare train makes. Labels are called as config.json's id2label says. Lines end at\n"
            "LF only; texts longer than the model's positions are cut.\n",
    };
    const char *arguments[2] = {NULL, NULL};
    size_t count;
    OptionsOutcome outcome = options_parse(&command, argc, argv, arguments, &count, err);
    if (outcome != OPTIONS_RUN)
        return outcome == OPTIONS_HELP ? EXIT_OK : EXIT_BAD_INPUT;
    return run(arguments[0], arguments[1], (int)threads, err) == 0 ? EXIT_OK : EXIT_BAD_INPUT;
}
