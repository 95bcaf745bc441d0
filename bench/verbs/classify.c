/* classify: `tare classify`: a line of text in; its label, a tab and the label's score out, or all
 * labels and scores.
 *
 * Each line is answered before the next is read. What is longer than the model's positions is
 * cut. */
#include <stdio.h>
#include <string.h>

#include "model/files/checkpoint.h"
#include "bench/text/classifier.h"
#include "bench/commands.h"
#include "bench/util/lines.h"
#include "bench/util/options.h"
#include "bench/util/output.h"
#include "bench/machine/threads.h"
#include "bench/machine/warn.h"
#include "bench/util/owned.h"

typedef struct ClassifyOptions {
    const char *paths[2]; /* of the model and of the texts */
    int64_t threads;
    bool scores; /* of all labels */
    bool pair;   /* two texts a line */
} ClassifyOptions;

static void print_line(const Classifier *c, const float *logits, double *scores, bool all)
{
    size_t best = classifier_best(logits, c->labels.count);
    classifier_scores(c, logits, scores);
    for (size_t k = all ? 0 : best; k < (all ? c->labels.count : best + 1); k++) {
        OWNED char *name = text_cleaned(c->labels.at[k]); /* it comes from a file */
        printf("%s%s\t%.6f", all && k ? "\t" : "", name, scores[k]);
    }
    putchar('\n');
}

static int classify_line(Classifier *c, const Lines *in, const ClassifyOptions *o, double *scores,
                         Err *err)
{
    const char *tab = o->pair ? memchr(in->line, '\t', in->len) : NULL;
    if (o->pair && !tab)
        return err_set(err, "there is no tab between two texts");
    size_t first = tab ? (size_t)(tab - in->line) : in->len;
    if (tab)
        classifier_encode_pair(c, (WordText){in->line, first},
                               (WordText){tab + 1, in->len - first - 1});
    else
        classifier_encode(c, in->line, in->len);
    const float *logits = classifier_run(c);
    if (!classifier_finite(logits, c->labels.count))
        return err_set(err, "the model's output is not finite");
    print_line(c, logits, scores, o->scores);
    return 0;
}

static int classify_lines(Classifier *c, Lines *in, const ClassifyOptions *o, Err *err)
{
    int more, status = 0;
    OWNED double *scores = xcalloc(c->labels.count, sizeof *scores);
    for (size_t number = 1; status == 0 && (more = lines_next(in, err)) != 0; number++)
        if (more < 0)
            status = -1;
        else if ((status = classify_line(c, in, o, scores, err)) != 0)
            err_prefix(err, "%s, line %zu", in->name, number);
        else
            status = output_flush(err);
    return status;
}

static int run(const ClassifyOptions *o, Err *err)
{
    OWNED_BY(classifier_release) Classifier c;
    OWNED_BY(lines_close) Lines in = {0};
    output_stream();
    if (classifier_init(&c, o->paths[0], 0, o->pair, (int)o->threads, err) != 0)
        return -1;
    unused_print(c.unused);
    return lines_open(&in, o->paths[1], err) == 0 ? classify_lines(&c, &in, o, err) : -1;
}

int cmd_classify(int argc, char **argv, Err *err)
{
    ClassifyOptions o = {.threads = threads_default()};
    const Option options[] = {
        option_flag("--scores", &o.scores,
                    "print every label and its score, in the order of the labels' numbers"),
        option_flag("--pair", &o.pair,
                    "two texts a line with a tab between them, classified together"),
        threads_option(&o.threads),
    };
    const Command command = {
        .verb = "classify",
        .arguments = {"MODEL_DIR [FILE]", 1, 2, o.paths},
        .summary = "Prints label, tab and score for each line of FILE, or of standard input.",
        OPTIONS(options),
        .notes =
            "MODEL_DIR is a DistilBERT or BERT sequence classifier with its tokenizer, such as\n"
            "tare train makes. Labels are called as config.json's id2label says. Its problem_type\n"
            "makes the score: a softmax; for a multi_label_classification or a single label a\n"
            "sigmoid; for a regression the value itself. Lines end at LF only; texts longer than\n"
            "the model's positions are cut.\n",
    };
    int outcome = options_parse(&command, argc, argv, err);
    if (outcome != OPTIONS_RUN)
        return outcome;
    machine_warn(o.threads);
    return run(&o, err);
}
