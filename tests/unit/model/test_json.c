/* test_json: what Python's json module reads and jansson does not, and that nothing else is
 * touched. */
#include "model/json.h"
#include "model/json_edit.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char *overwritten(const char *text)
{
    static char copy[256];
    cr_assert(strlen(text) < sizeof copy);
    strcpy(copy, text);
    json_overwrite(copy, strlen(copy));
    return copy;
}

Test(json, overwrites_byte_for_byte)
{
    static const char *const cases[][2] = {
        {"[9223372036854775808]", "[92233720368547758e2]"},
        {"[-9223372036854775809]", "[-92233720368547758e2]"},
        {"{\"a\":1000000000000000019884624838656}", "{\"a\":10000000000000000198846248386e2}"},
        {"[NaN]", "[[] ]"},
        {"[Infinity, -Infinity]", "[9e307   , -9e307   ]"},
        {"[1e999,-1E+400]", "[9e307,-9e307 ]"},
        {"[\"\\ud800\"]", "[\"\\ufffd\"]"},
        {"[\"\\uDC00\\ud83d\"]", "[\"\\ufffd\\ufffd\"]"},
        {"[\"\\ud800\\ud83d\\ude00\"]", "[\"\\ufffd\\ud83d\\ude00\"]"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        json_error_t where;
        json_t *value = json_parse(cases[i][0], strlen(cases[i][0]), &where);
        cr_expect(value, "%s: %s", cases[i][0], where.text);
        json_decref(value);
        cr_expect_str_eq(overwritten(cases[i][0]), cases[i][1]);
    }
}

Test(json, leaves_everything_else)
{
    static const char *const texts[] = {
        "[9223372036854775807,-9223372036854775808,0,-0,1e308,1.5e-999,0e999]",
        "[\"NaN Infinity 99999999999999999999 \\\\ud800 \\\" NaN\", \"\\ud83d\\ude00\", "
        "\"\\u00e9\"]",
        /* What neither reads may not become something that is read. */
        "[1Infinity]",
        "[0.1Infinity]",
        "[0x1p99999]",
        "[1.e999]",
        "[00000000000000000000000001]",
        "[1NaN]",
        "[\"\\ud8",
        "[\"\\",
        "\"NaN",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        cr_expect_str_eq(overwritten(texts[i]), texts[i]);
}

Test(json, the_last_of_a_key_counts)
{
    static const char text[] = "{\"a\": 1, \"b\": 2, \"a\": 3}";
    json_t *value = json_parse(text, strlen(text), NULL);
    cr_expect_eq(json_integer_value(json_object_get(value, "a")), 3);
    cr_expect_eq(json_object_size(value), 2);
    json_decref(value);
}

Test(json, errors_have_the_places_of_the_file)
{
    static const char text[] = "{\"a\": 1000000000000000000000,\n \"b\": [NaN, \"\\ud800\" 3]}";
    json_error_t where;
    cr_expect_null(json_parse(text, strlen(text), &where));
    cr_expect(where.line == 2 && where.column == 22, "%d:%d", where.line, where.column);
}

/* ---- other values for some keys ---- */

static void expect_edited(const char *text, const char *changes, const char *want)
{
    json_error_t where;
    json_t *c = json_loads(changes, 0, &where);
    cr_assert(c, "%s", where.text);
    char *got = json_edit(text, c);
    cr_expect_str_eq(got, want);
    free(got);
    json_decref(c);
}

Test(json, what_is_not_edited_is_copied_byte_for_byte)
{
    expect_edited("{ \"a\" : NaN,\n\"b\":[1000000000000000019884624838656, {\"x\": \"},\\\"\"}] ,"
                  "\"\\ud800\": -Infinity}\n",
                  "{\"dtype\": \"bfloat16\"}",
                  "{\n  \"a\" : NaN,\n"
                  "  \"b\":[1000000000000000019884624838656, {\"x\": \"},\\\"\"}],\n"
                  "  \"\\ud800\": -Infinity,\n"
                  "  \"dtype\": \"bfloat16\"\n}\n");
}

Test(json, edited_keys_have_one_value)
{
    expect_edited("{\"a\": 1, \"b\": 2, \"\\u0061\": {\"a\": 3}, \"c\": [\"b\"]}",
                  "{\"a\": [4, 5], \"b\": null, \"d\": null}",
                  "{\n  \"a\": [\n    4,\n    5\n  ],\n  \"c\": [\"b\"]\n}\n");
    expect_edited(" {} ", "{\"a\": \"x\"}", "{\n  \"a\": \"x\"\n}\n");
    expect_edited("{\"a\": 1}", "{}", "{\n  \"a\": 1\n}\n");
}
