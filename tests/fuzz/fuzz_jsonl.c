/* Any bytes as a file of labelled texts: read whole or refused with a line, and what is read holds
 * what text/jsonl.h promises. */
#include "bench/text/jsonl.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char *names[] = {"negative", "positive"};
    const Labels labels = {.at = names, .count = COUNT_OF(names)};
    LabelledTexts t;
    Err err = {""};
    char *copy = xmalloc(size + 1); /* exactly as long as said: a byte too far is found */
    memcpy(copy, data, size);
    if (jsonl_load_text(&t, copy, size, "f", &labels, &err) != 0) {
        CHECK(strncmp(err.msg, "f:", 2) == 0, "an error without its place: '%s'", err.msg);
        CHECK(t.count == 0 && !t.at, "something was left");
    }
    for (size_t i = 0; i < t.count; i++) {
        const LabelledText *s = &t.at[i];
        CHECK(s->len > 0 && s->len <= JSONL_MAX_TEXT && strlen(s->text) == s->len, "a text");
        CHECK(s->label >= 0 && s->label < 2 && s->category, "a label");
    }
    labelled_texts_release(&t);
    free(copy);
    return 0;
}
