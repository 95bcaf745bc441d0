/* Fields: what a Schema makes of a struct in CSV and JSON, and what it refuses. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench/util/fields.h"

/* A member of each kind. */
typedef struct Fruit {
    FieldTEXT name;
    int not_a_field;
    FieldBOOL ripe;
    FieldFLAG sour;
    FieldINT seeds;
    FieldREAL grams, price;
} Fruit;

static const Field fields[] = {
    FIELD(Fruit, TEXT, "name", name, .choices = "apple|pear, green"),
    FIELD(Fruit, BOOL, "ripe", ripe, .doc = ""),
    FIELD(Fruit, FLAG, "sour", sour, .doc = ""),
    FIELD(Fruit, INT, "seeds", seeds, .min = 0, .max = 9),
    FIELD(Fruit, REAL, "grams", grams, .doc = ""),
    FIELD(Fruit, REAL, "price", price, .digits = 3),
};
static const Schema fruit = {"a fruit", fields, COUNT_OF(fields), sizeof(Fruit)};

static Fruit pear(void)
{
    Fruit f;
    schema_init(&fruit, &f);
    text_set(f.name, "pear, green");
    f.ripe = true;
    f.sour = 0;
    f.seeds = 7;
    f.grams = 0.1;
    f.price = 2.0 / 3;
    return f;
}

static void expect_csv(const Fruit *f, const char *line)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);
    schema_write_record(&fruit, f, out);
    fclose(out);
    cr_expect(eq(str, text, (char *)line));
    free(text);
}

static void expect_json(const Fruit *f, const char *line)
{
    json_t *object = schema_to_json(&fruit, f);
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(3));
    cr_expect(eq(str, text, (char *)line));
    free(text);
    json_decref(object);
}

Test(fields, a_record_is_a_line_and_an_object)
{
    Fruit f = pear(), none;
    expect_csv(&f, "\"pear, green\",True,False,7,0.1,0.667\n");
    expect_json(&f, "{\"name\":\"pear, green\",\"ripe\":true,\"sour\":false,\"seeds\":7,"
                    "\"grams\":0.1,\"price\":0.667}");
    memset(&none, 0xff, sizeof none);
    schema_init(&fruit, &none);
    cr_expect(eq(int, none.not_a_field, 0));
    expect_csv(&none, ",False,,,,\n");
    expect_json(&none, "{\"name\":null,\"ripe\":false,\"sour\":null,\"seeds\":null,"
                       "\"grams\":null,\"price\":null}");
}

Test(fields, infinity_is_null_in_json)
{
    Fruit f = pear();
    f.grams = INFINITY;
    expect_csv(&f, "\"pear, green\",True,False,7,inf,0.667\n");
    expect_json(&f, "{\"name\":\"pear, green\",\"ripe\":true,\"sour\":false,\"seeds\":7,"
                    "\"grams\":null,\"price\":0.667}");
}

Test(fields, json_gives_the_record_back)
{
    Err err;
    Fruit f = pear(), back;
    json_t *object = schema_to_json(&fruit, &f);
    cr_assert(schema_from_json(&fruit, object, &back, &err) == 0, "%s", err.msg);
    json_t *again = schema_to_json(&fruit, &back);
    cr_expect(json_equal(object, again) == 1);
    cr_expect(eq(dbl, back.price, f.price));
    json_decref(object);
    json_decref(again);
}

static void expect_wrong_json(const char *key, json_t *value, const char *message)
{
    Err err = {""};
    Fruit f = pear();
    json_t *object = schema_to_json(&fruit, &f);
    if (value)
        json_object_set_new(object, key, value);
    else
        json_object_del(object, key);
    cr_expect(schema_from_json(&fruit, object, &f, &err) == -1);
    cr_expect(eq(str, err.msg, (char *)message));
    json_decref(object);
}

Test(fields, wrong_json_is_refused)
{
    expect_wrong_json("name", json_integer(1), "column 'name' of a fruit is not a text");
    expect_wrong_json("ripe", json_integer(1), "column 'ripe' of a fruit is not true or false");
    expect_wrong_json("sour", json_integer(1), "column 'sour' of a fruit is not true or false");
    expect_wrong_json("seeds", json_real(1), "column 'seeds' of a fruit is not an integer");
    expect_wrong_json("grams", json_true(), "column 'grams' of a fruit is not a number");
    expect_wrong_json("colour", json_true(), "a fruit has 7 columns where 6 are expected");
    expect_wrong_json("seeds", NULL, "a fruit has 5 columns where 6 are expected");
}

static void expect_parse(const char *name, const char *cell, const char *after)
{
    Err err = {""};
    FieldTEXT text;
    Fruit f = pear();
    const Field *field = schema_field(&fruit, name);
    if (field_parse(field, &f, cell, &err) != 0)
        text_set(text, err.msg);
    else
        field_cell(field, &f, text);
    cr_expect(eq(str, text, (char *)after));
}

Test(fields, cells_are_read)
{
    expect_parse("name", "apple", "apple");
    expect_parse("name", "apples",
                 "name is 'apples'; did you mean 'apple'? It may be apple or pear, green");
    expect_parse("name", "", "");
    expect_parse("ripe", "false", "False");
    expect_parse("ripe", "", "ripe is '', neither true nor false");
    expect_parse("sour", "True", "True");
    expect_parse("sour", "", "");
    expect_parse("sour", "1", "True"); /* as other tools write it */
    expect_parse("sour", "0", "False");
    expect_parse("sour", "TRUE", "True"); /* as spreadsheets do */
    expect_parse("ripe", "FALSE", "False");
    expect_parse("sour", "2", "sour is '2', neither true nor false");
    expect_parse("seeds", "1e0", "1");
    expect_parse("seeds", "10", "seeds is 10, outside 0 to 9");
    expect_parse("seeds", "1.5", "seeds is '1.5', not an integer of 64 bits");
    expect_parse("grams", "1e-2", "0.01");
    expect_parse("grams", "1 g", "grams is '1 g', not a finite number");
}

Test(fields, one_field)
{
    Fruit f = pear(), other;
    schema_init(&fruit, &other);
    const Field *name = schema_field(&fruit, "name"), *seeds = schema_field(&fruit, "seeds");
    cr_expect(schema_field(&fruit, "colour") == NULL);
    cr_expect(field_is_missing(name, &other) && field_is_missing(seeds, &other));
    cr_expect(not(field_is_missing(schema_field(&fruit, "ripe"), &other)));
    cr_expect(isnan(field_number(seeds, &other)));
    field_copy(name, &f, &other);
    field_copy(seeds, &f, &other);
    cr_expect(eq(str, other.name, "pear, green"));
    cr_expect(eq(dbl, field_number(seeds, &other), 7.0));
    cr_expect(eq(i64, int_unless_zero(0), INT_MISSING));
    cr_expect(eq(i64, int_unless_zero(3), 3));
}

/* An e with an accent is two bytes, of which the first is the last that fits. */
Test(fields, a_text_is_cut_between_characters)
{
    FieldTEXT text;
    char longer[TEXT_SIZE + 8];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    text_set(text, longer);
    cr_expect(eq(sz, strlen(text), TEXT_SIZE - 1));
    memcpy(longer + TEXT_SIZE - 2, "\xc3\xa9", 2);
    text_set(text, longer);
    cr_expect(eq(sz, strlen(text), TEXT_SIZE - 2));
}

Test(fields, sentences_are_added_to_a_text)
{
    FieldTEXT text = "";
    char large[2 * TEXT_SIZE];
    text_add(text, "%s", "");
    cr_expect(eq(str, text, ""));
    text_add(text, "one");
    text_add(text, "%s", "");
    text_add(text, "two");
    cr_expect(eq(str, text, "one; two"));
    memset(large, 'x', sizeof large - 1);
    large[sizeof large - 1] = '\0';
    text_add(text, "%s", large);
    cr_expect(eq(sz, strlen(text), TEXT_SIZE - 1));
    cr_expect(strncmp(text, "one; two; xxx", 13) == 0);
}
