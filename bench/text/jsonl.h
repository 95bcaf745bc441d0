/* jsonl: labelled texts, one JSON object a line: {"text": "...", "expected_label": "positive",
 * "category": "negation"}; a label may also be its number, from 0; "category" may be missing,
 * further fields are ignored.
 *
 * The one idea: a file is read whole or refused with the line of its first fault. Fine are a byte
 * order mark at the start, CRLF, blank lines, and no line end at the end. Refused are a line that
 * is not one JSON object in UTF-8, a missing text, one that is empty or white space, one of more
 * than JSONL_MAX_TEXT bytes, a missing label, one that is not among those asked for, and a file
 * without samples. JSON is what Python's json module reads (model/json.h); of a field that appears
 * twice, the last counts. Nothing is tokenized or cut here. */
#pragma once

#include "model/files/model_dir.h"

enum { JSONL_MAX_TEXT = 1 << 20 };

typedef struct LabelledText {
    char *text;     /* UTF-8, NUL-terminated, without a NUL inside */
    char *category; /* "" where the line has none */
    size_t len;     /* of text, in bytes */
    int32_t label;  /* its place among the labels */
} LabelledText;

typedef struct LabelledTexts {
    LabelledText *at;
    size_t count;
} LabelledTexts;

/* Reads a file; letter case does not matter in labels (labels_find). -1, naming file and line,
 * leaves nothing to release. */
int jsonl_load(LabelledTexts *t, const char *path, const Labels *labels, Err *err);
int jsonl_load_text(LabelledTexts *t, const char *text, size_t len, const char *path,
                    const Labels *labels, Err *err);
void labelled_texts_release(LabelledTexts *t);
