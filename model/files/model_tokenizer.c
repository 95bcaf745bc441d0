/* model_tokenizer: see model_tokenizer.h. */
#include "model/files/model_tokenizer.h"

#include <stdlib.h>
#include <unistd.h>

#include "model/files/gguf.h"
#include "model/files/gguf_model.h"

bool model_has_tokenizer(const char *model)
{
    static const char *const names[] = {"tokenizer.json", "vocab.json", "vocab.txt"};
    bool there = path_is_gguf(model);
    for (size_t i = 0; i < COUNT_OF(names) && !there; i++) {
        char *path = xasprintf("%s/%s", model, names[i]);
        there = access(path, F_OK) == 0;
        free(path);
    }
    return there;
}

Tokenizer *model_tokenizer_load(const char *model, Err *err)
{
    if (path_check_model(model, err) != 0)
        return NULL;
    if (!path_is_gguf(model))
        return tokenizer_load(model, err);
    json_t *json = gguf_tokenizer(model, err);
    Tokenizer *t = json ? tokenizer_of_json(json, model, err) : NULL;
    json_decref(json);
    return t;
}
