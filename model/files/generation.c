/* generation: see generation.h. */
#include "model/files/generation.h"

#include <stdlib.h>
#include <unistd.h>

#include "model/files/config_json.h"
#include "model/files/gguf.h"
#include "model/json.h"

static int add_id(EndTokens *e, const json_t *id, Err *err)
{
    if (!json_is_integer(id))
        return err_set(err, "eos_token_id is neither an integer nor a list of integers");
    e->ids = xrealloc(e->ids, (e->count + 1) * sizeof *e->ids);
    e->ids[e->count++] = json_integer_value(id);
    return 0;
}

static int add_ids(EndTokens *e, const json_t *ids, Err *err)
{
    if (!ids || json_is_null(ids))
        return 0;
    if (!json_is_array(ids))
        return add_id(e, ids, err);
    int status = 0;
    for (size_t i = 0; status == 0 && i < json_array_size(ids); i++)
        status = add_id(e, json_array_get(ids, i), err);
    return status;
}

static int add_generation(EndTokens *e, const char *model_dir, Err *err)
{
    OWNED char *path = xasprintf("%s/generation_config.json", model_dir);
    if (access(path, F_OK) != 0)
        return 0;
    json_t *root = json_read_object(path, CONFIG_JSON_MAX_BYTES, err);
    int status = root ? add_ids(e, json_object_get(root, "eos_token_id"), err) : -1;
    if (root && status != 0)
        err_prefix(err, "'%s'", path);
    json_decref(root);
    return status;
}

static int add_config(EndTokens *e, const char *model_dir, Err *err)
{
    json_t *config = config_json_read(model_dir, err);
    int status = config ? add_ids(e, json_object_get(config, "eos_token_id"), err) : -1;
    if (config && status != 0)
        err_prefix(err, "'%s'", model_dir);
    json_decref(config);
    return status;
}

int end_tokens_load(EndTokens *e, const char *model_dir, Err *err)
{
    *e = (EndTokens){0};
    if (add_config(e, model_dir, err) == 0 &&
        (path_is_gguf(model_dir) || add_generation(e, model_dir, err) == 0))
        return 0;
    end_tokens_release(e);
    return -1;
}

void end_tokens_release(EndTokens *e)
{
    free(e->ids);
    *e = (EndTokens){0};
}

bool end_tokens_have(const EndTokens *e, int64_t id)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->ids[i] == id)
            return true;
    return false;
}
