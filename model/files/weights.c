/* weights: see weights.h. */
#include "model/files/weights.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "model/files/gguf.h"
#include "model/files/gguf_model.h"
#include "model/json.h"

static const char index_name[] = "model.safetensors.index.json";

/* dir/name where something of that name is there, else NULL. */
static char *existing(const char *dir, const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    if (access(path, F_OK) == 0)
        return path;
    free(path);
    return NULL;
}

char *weights_find(const char *model_dir)
{
    if (path_is_gguf(model_dir))
        return xstrdup(model_dir);
    char *path = existing(model_dir, "model.safetensors");
    return path ? path : existing(model_dir, index_name);
}

const char *weights_advice(const char *model_dir)
{
    static const char *const others[][2] = {
        {"pytorch_model.bin", "its pytorch_model.bin is not read; in Python, from_pretrained and "
                              "then save_pretrained write model.safetensors"},
        {"pytorch_model.bin.index.json", "its pytorch_model-*.bin are not read; in Python, "
                                         "from_pretrained and then save_pretrained write "
                                         "model.safetensors"},
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        char *path = existing(model_dir, others[i][0]);
        free(path);
        if (path)
            return others[i][1];
    }
    return NULL;
}

int weights_missing(const char *model_dir, Err *err)
{
    const char *advice = weights_advice(model_dir);
    return advice ? err_set(err, "'%s' has no model.safetensors: %s", model_dir, advice)
                  : err_set(err, "cannot open '%s/model.safetensors': No such file or directory",
                            model_dir);
}

/* ---- the index ---- */

static bool is_plain_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int check_map(json_t *map, Err *err)
{
    if (!json_is_object(map))
        return err_set(err, "it has no object 'weight_map'");
    if (json_object_size(map) == 0)
        return err_set(err, "its weight_map names no tensor");
    const char *tensor;
    json_t *shard;
    json_object_foreach (map, tensor, shard) {
        if (!json_is_string(shard))
            return err_set(err, "weight_map: '%.200s' has no name of a file", tensor);
        if (!is_plain_name(json_string_value(shard)))
            return err_set(err, "weight_map: '%.200s' is in '%.200s', which is no file beside it",
                           tensor, json_string_value(shard));
    }
    return 0;
}

/* The whole index, to be given to json_decref; *map is its weight_map, checked. */
static json_t *read_index(const char *path, json_t **map, Err *err)
{
    enum { MAX_INDEX_BYTES = 100000000 }; /* as for the header of one file */
    json_t *root = json_read_object(path, MAX_INDEX_BYTES, err);
    *map = json_object_get(root, "weight_map");
    if (!root || check_map(*map, err) == 0)
        return root;
    err_prefix(err, "%s", path);
    json_decref(root);
    return NULL;
}

/* ---- the shards ---- */

static int compare_strings(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void list_shards(WeightFiles *files, const char *path, const json_t *map)
{
    const char *tensor;
    json_t *shard, *seen = json_object();
    files->at = xcalloc(json_object_size(map), sizeof *files->at);
    json_object_foreach ((json_t *)map, tensor, shard) {
        const char *name = json_string_value(shard);
        if (json_object_get(seen, name))
            continue;
        json_object_set_new(seen, name, json_true());
        files->at[files->count++] =
            xasprintf("%.*s%s", (int)(strlen(path) - strlen(index_name)), path, name);
    }
    json_decref(seen);
    qsort(files->at, files->count, sizeof *files->at, compare_strings);
}

int weight_files_list(WeightFiles *files, const char *path, Err *err)
{
    *files = (WeightFiles){0};
    if (!text_ends_with(path, index_name)) {
        files->at = xcalloc(1, sizeof *files->at);
        files->at[files->count++] = xstrdup(path);
        return 0;
    }
    json_t *map, *root = read_index(path, &map, err);
    if (!root)
        return -1;
    list_shards(files, path, map);
    json_decref(root);
    return 0;
}

void weight_files_release(WeightFiles *files)
{
    for (size_t i = 0; i < files->count; i++)
        free(files->at[i]);
    free(files->at);
    *files = (WeightFiles){0};
}

static const char *name_in(const char *path)
{
    return strrchr(path, '/') + 1;
}

/* Whether every tensor of the shard is where the map has it. */
static int check_shard(const SafeTensors *shard, const char *name, const json_t *map, Err *err)
{
    for (size_t i = 0; i < safetensors_count(shard); i++) {
        const char *tensor = safetensors_at(shard, i)->name;
        const char *said = json_string_value(json_object_get(map, tensor));
        if (!said)
            return err_set(err, "'%.100s' has a tensor '%.200s' that weight_map does not name",
                           name, tensor);
        if (strcmp(said, name) != 0)
            return err_set(err, "tensor '%.200s' is in '%.100s', but weight_map has it in '%.100s'",
                           tensor, name, said);
    }
    return 0;
}

/* Whether every tensor of the map is there; those that are there are where it has them. */
static int check_found(const SafeTensors *all, const json_t *map, Err *err)
{
    const char *tensor;
    json_t *shard;
    json_object_foreach ((json_t *)map, tensor, shard) {
        if (!safetensors_find(all, tensor))
            return err_set(err, "weight_map has tensor '%.200s' in '%.200s', which lacks it",
                           tensor, json_string_value(shard));
    }
    return 0;
}

static SafeTensors *open_shards(const WeightFiles *files, const json_t *map, const char *path,
                                Err *err)
{
    SafeTensors **shards = xcalloc(files->count, sizeof *shards);
    int status = 0;
    for (size_t i = 0; i < files->count && status == 0; i++) {
        shards[i] = safetensors_open(files->at[i], err);
        if (!shards[i])
            status = -1;
        else if (check_shard(shards[i], name_in(files->at[i]), map, err) != 0)
            status = err_prefix(err, "%s", path);
    }
    SafeTensors *all = status == 0 ? safetensors_join(shards, files->count) : NULL;
    for (size_t i = 0; i < files->count && !all; i++)
        safetensors_free(shards[i]);
    free(shards);
    if (!all || check_found(all, map, err) == 0)
        return all;
    err_prefix(err, "%s", path);
    safetensors_free(all);
    return NULL;
}

SafeTensors *weights_open(const char *path, Err *err)
{
    if (path_is_gguf(path))
        return gguf_weights(path, err);
    if (!text_ends_with(path, index_name))
        return safetensors_open(path, err);
    json_t *map, *root = read_index(path, &map, err);
    if (!root)
        return NULL;
    WeightFiles files = {0};
    list_shards(&files, path, map);
    SafeTensors *all = open_shards(&files, map, path, err);
    weight_files_release(&files);
    json_decref(root);
    return all;
}
