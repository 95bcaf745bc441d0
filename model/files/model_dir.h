/* model_dir: the small files of a Hugging Face directory, or of a GGUF as one, beside its
 * weights. Reads the names of a classifier's labels, writes config.json, copies the tokenizer's
 * files. Weights are checkpoint.h's. */
#pragma once

#include "model/config.h"

/* How a classifier's logits become scores. */
typedef enum Scoring {
    SCORING_SOFTMAX, /* one label is right: probabilities that add up to 1 */
    SCORING_SIGMOID, /* each label by itself: several labels may be right, or there is only one */
    SCORING_NONE,    /* regression: the logits themselves */
} Scoring;

typedef struct Labels {
    char **at;
    size_t count;
    Scoring scoring;
} Labels;

/* Reads the names of `count` labels from config.json's id2label. A name that is null or no string,
 * and every name where there is no id2label, is LABEL_0, LABEL_1, ..., as in the transformers
 * library. The scoring follows from problem_type and the count, as in its pipeline. -1 for a
 * missing id, or a name that is empty or has a control character. */
int labels_load(Labels *l, const char *model_dir, size_t count, Err *err);
void labels_release(Labels *l);

/* Whether a name is not empty and has no control character: one line of any file. */
bool label_is_valid(const char *name);

/* The place of a name, letter case apart (ASCII), or -1. */
int labels_find(const Labels *l, const char *name);

/* Writes a file that appears only when it is complete and on disk; -1 leaves the old one. */
int file_write(const char *path, const char *text, size_t len, Err *err);

/* What a config.json says under keys that these functions do not set is written as it stands, byte
 * for byte, so that Python reads what it read before. */

/* Writes to_dir/config.json: that of from_dir, as its family's classifier of these labels in
 * fp32. */
int config_write_classifier(const char *from_dir, const char *to_dir, const ModelConfig *c,
                            const Labels *l, Err *err);

/* Writes to_dir/config.json of a family's language model in fp32, without beginning and end
 * tokens. */
int config_write_lm(const char *to_dir, const ModelConfig *c, Err *err);

/* The names of the files that a conversion writes, NULL-terminated. */
extern const char *const model_dir_files[];

/* Writes to_dir/config.json: that of from_dir with another dtype, such as "bfloat16". */
int config_write_dtype(const char *from_dir, const char *to_dir, const char *dtype, Err *err);

/* Copies those of the tokenizer's files that from_dir has. */
int tokenizer_copy(const char *from_dir, const char *to_dir, Err *err);
