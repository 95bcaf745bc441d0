/* test_weights: where a directory's weights are, and what an index of shards is refused for. */
#include "model/files/weights.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/temp_dir.h"

TestSuite(weights, .init = temp_dir_make, .fini = temp_dir_remove);

static const float values[] = {1, 2, 3, 4, 5, 6};

/* Writes a file with a tensor [2] for each letter of `names`. */
static void write_shard(const char *file, const char *names)
{
    Err err;
    STensor t[8];
    char name[8][2] = {{0}};
    size_t n = strlen(names);
    for (size_t i = 0; i < n; i++) {
        name[i][0] = names[i];
        t[i] = stensor_make(name[i], ST_F32, 1, (size_t[]){2}, values + i);
    }
    cr_assert(safetensors_write(temp_path(file), t, n, NULL, &err) == 0, "%s", err.msg);
}

static void write_index(const char *map)
{
    char *text = xasprintf("{\"metadata\": {\"total_size\": 7}, \"weight_map\": %s}", map);
    temp_write("model.safetensors.index.json", text);
    free(text);
}

static SafeTensors *open_all(Err *err)
{
    char *path = weights_find(temp_dir);
    cr_assert(path, "nothing is found");
    SafeTensors *all = weights_open(path, err);
    free(path);
    return all;
}

static void expect_refused(const char *why)
{
    Err err = {""};
    SafeTensors *all = open_all(&err);
    cr_expect(!all && strstr(err.msg, why), "'%s', wanted '%s'", err.msg, why);
    cr_expect(!strchr(err.msg, '\n') && strstr(err.msg, temp_dir), "%s", err.msg);
    safetensors_free(all);
}

Test(weights, nothing)
{
    Err err;
    cr_expect_null(weights_find(temp_dir));
    cr_expect_null(weights_advice(temp_dir));
    cr_expect(weights_missing(temp_dir, &err) == -1 && strstr(err.msg, "cannot open"), "%s",
              err.msg);
    temp_write("pytorch_model.bin", "");
    cr_expect_null(weights_find(temp_dir));
    cr_expect(strstr(weights_advice(temp_dir), "save_pretrained"));
    weights_missing(temp_dir, &err);
    cr_expect(strstr(err.msg, "has no model.safetensors: its pytorch_model.bin is not read"), "%s",
              err.msg);
}

Test(weights, shards_are_one_file)
{
    Err err;
    write_shard("a.safetensors", "xy");
    write_shard("b.safetensors", "z");
    write_index("{\"z\": \"b.safetensors\", \"y\": \"a.safetensors\", \"x\": \"a.safetensors\"}");
    SafeTensors *all = open_all(&err);
    cr_assert(all, "%s", err.msg);
    cr_assert_eq(safetensors_count(all), 3);
    for (size_t i = 0; i < 3; i++) {
        const char name[] = {"xyz"[i], 0};
        const STensor *t = safetensors_find(all, name);
        cr_assert(t == safetensors_at(all, i), "'%s' is not found", name);
        cr_expect(memcmp(t->data, values + i % 2, t->bytes) == 0, "'%s' has other values", name);
    }
    cr_expect_null(safetensors_find(all, "w"));
    cr_expect_null(safetensors_metadata(all, "format"));
    safetensors_free(all);
}

/* As in the transformers library. */
Test(weights, one_file_counts_before_an_index)
{
    Err err;
    write_shard("model.safetensors", "xyz");
    temp_write("model.safetensors.index.json", "not JSON");
    SafeTensors *all = open_all(&err);
    cr_assert(all, "%s", err.msg);
    cr_expect_eq(safetensors_count(all), 3);
    safetensors_free(all);
}

Test(weights, files_in_the_order_of_their_names)
{
    Err err;
    WeightFiles files;
    write_index("{\"z\": \"2\", \"y\": \"1\", \"x\": \"2\"}");
    char *index = weights_find(temp_dir);
    cr_assert(weight_files_list(&files, index, &err) == 0, "%s", err.msg);
    cr_assert_eq(files.count, 2);
    cr_expect_str_eq(files.at[0], temp_path("1"));
    cr_expect_str_eq(files.at[1], temp_path("2"));
    weight_files_release(&files);
    free(index);
    cr_assert(weight_files_list(&files, "dir/model.safetensors", &err) == 0);
    cr_expect(files.count == 1 && strcmp(files.at[0], "dir/model.safetensors") == 0);
    weight_files_release(&files);
}

Test(weights, what_an_index_is_refused_for)
{
    static const char *const cases[][2] = {
        {"{\"x\": \"a\", \"y\": \"a\", \"z\": \"c\"}", "c': No such file"},
        {"{\"x\": \"b\", \"y\": \"a\", \"z\": \"b\"}",
         "tensor 'x' is in 'a', but weight_map has it in 'b'"},
        {"{\"x\": \"a\", \"z\": \"b\"}", "'a' has a tensor 'y' that weight_map does not name"},
        {"{\"x\": \"a\", \"y\": \"a\", \"z\": \"b\", \"w\": \"b\"}",
         "weight_map has tensor 'w' in 'b', which lacks it"},
        {"{\"x\": \"a\", \"y\": \"a\", \"z\": \"b\", \"v\": \"d\"}",
         "tensor 'x' is in 'd', but weight_map has it in 'a'"}, /* twice */
        {"{\"x\": \"../a\"}", "'x' is in '../a', which is no file beside it"},
        {"{\"x\": \"..\"}", "'x' is in '..', which is no file beside it"},
        {"{\"x\": \"/etc/passwd\"}", "'x' is in '/etc/passwd', which is no file beside it"},
        {"{\"x\": \"\"}", "'x' is in '', which is no file beside it"},
        {"{\"x\": 1}", "weight_map: 'x' has no name of a file"},
        {"{}", "its weight_map names no tensor"},
        {"[]", "it has no object 'weight_map'"},
        {"", ":1:"},
        {"{\"x\": \"e\"}", "e' is no safetensors file"},
    };
    write_shard("a", "xy");
    write_shard("b", "z");
    write_shard("d", "xv");
    temp_write("e", "short");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        write_index(cases[i][0]);
        expect_refused(cases[i][1]);
    }
    temp_write("model.safetensors.index.json", "[]");
    expect_refused("the file must hold one JSON object");
    temp_write("model.safetensors.index.json", "{\"metadata\": {}}");
    expect_refused("it has no object 'weight_map'");
}
