/* prompt: see prompt.h. */
#include "bench/text/prompt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/gguf.h"
#include "model/files/gguf_model.h"
#include "model/json.h"

enum { MAX_TEMPLATE = 1 << 24 };

void prompt_encode(const Tokenizer *t, const char *text, size_t len, bool chat, IdBuffer *ids)
{
    static const char before[] = "<|im_start|>user\n";
    static const char after[] = "<|im_end|>\n<|im_start|>assistant\n";
    if (!chat) {
        tokenizer_encode(t, text, len, 0, ids);
        return;
    }
    ByteBuffer turn = {0};
    bytes_append(&turn, before, sizeof before - 1);
    bytes_append(&turn, text, len);
    bytes_append(&turn, after, sizeof after - 1);
    tokenizer_encode_bare(t, (const char *)turn.data, turn.len, ids);
    bytes_release(&turn);
}

/* Who writes which mark. */
static const char *template_name(const char *text)
{
    static const char *const known[][2] = {
        {"<|im_start|>", "ChatML"},       {"<|start_header_id|>", "Llama 3"},
        {"[INST]", "Llama 2 or Mistral"}, {"<start_of_turn>", "Gemma"},
        {"<|user|>", "Zephyr"},
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (strstr(text, known[i][0]))
            return known[i][1];
    return "one of its own";
}

/* The text of the template, NULL where there is none or the file is faulty, which err then says.
 * Caller frees. */
static char *read_template(const char *model_dir, Err *err)
{
    size_t len;
    OWNED char *jinja = xasprintf("%s/chat_template.jinja", model_dir);
    OWNED char *config = xasprintf("%s/tokenizer_config.json", model_dir);
    err->msg[0] = '\0';
    if (access(jinja, F_OK) == 0)
        return file_read(jinja, MAX_TEMPLATE, &len, err);
    bool gguf = path_is_gguf(model_dir);
    if (!gguf && access(config, F_OK) != 0)
        return NULL;
    json_t *root =
        gguf ? gguf_tokenizer_config(model_dir, err) : json_read_object(config, MAX_TEMPLATE, err);
    const char *text = json_string_value(json_object_get(root, "chat_template"));
    char *copy = text ? xstrdup(text) : NULL;
    json_decref(root);
    return copy;
}

int prompt_check_template(const char *model_dir, Err *err)
{
    OWNED char *text = read_template(model_dir, err);
    if (!text)
        return err->msg[0] ? -1 : err_set(err, "'%s' has no chat template for --chat", model_dir);
    const char *name = template_name(text);
    if (strcmp(name, "ChatML") == 0)
        return 0;
    return err_set(err, "'%s' has the chat template %s, but only ChatML is built", model_dir, name);
}
