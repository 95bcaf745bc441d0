/* Labelled texts: what is read, what is refused, and where the fault is said to be. */
#include "bench/text/jsonl.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const Labels labels = {.at = (char *[]){"negative", "positive"}, .count = 2};

static int load(LabelledTexts *t, const char *text, Err *err)
{
    return jsonl_load_text(t, text, strlen(text), "f.jsonl", &labels, err);
}

static void expect_refused(const char *text, const char *sentence)
{
    LabelledTexts t;
    Err err = {""};
    cr_expect_eq(load(&t, text, &err), -1);
    cr_expect_not_null(strstr(err.msg, sentence), "'%s' is not in: %s", sentence, err.msg);
    cr_expect_null(t.at);
}

#define GOOD "{\"text\": \"fine\", \"expected_label\": \"positive\"}"

Test(jsonl, reads_text_label_and_category)
{
    LabelledTexts t;
    Err err = {""};
    cr_assert_eq(load(&t,
                      "{\"text\": \"caf\\u00e9\", \"expected_label\": \"negative\", "
                      "\"category\": \"short\", \"rating\": -2}\n" GOOD "\n",
                      &err),
                 0, "%s", err.msg);
    cr_assert_eq(t.count, 2);
    cr_expect_str_eq(t.at[0].text, "caf\xc3\xa9");
    cr_expect_eq(t.at[0].len, 5);
    cr_expect_str_eq(t.at[0].category, "short");
    cr_expect_eq(t.at[0].label, 0);
    cr_expect_str_eq(t.at[1].category, "");
    cr_expect_eq(t.at[1].label, 1);
    labelled_texts_release(&t);
}

Test(jsonl, takes_line_ends_of_all_kinds)
{
    const char *const files[] = {
        GOOD, GOOD "\n", GOOD "\r\n", "\xef\xbb\xbf" GOOD "\r\n", "\n \n" GOOD "\r\n\r\n",
    };
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        LabelledTexts t;
        Err err = {""};
        cr_assert_eq(load(&t, files[i], &err), 0, "file %zu: %s", i, err.msg);
        cr_expect_eq(t.count, 1);
        labelled_texts_release(&t);
    }
}

Test(jsonl, labels_differ_in_letter_case)
{
    LabelledTexts t;
    Err err = {""};
    cr_assert_eq(load(&t, "{\"text\": \"x\", \"expected_label\": \"POSITIVE\"}", &err), 0);
    cr_expect_eq(t.at[0].label, 1);
    labelled_texts_release(&t);
}

/* Numbers of any size, words that are no JSON but Python's, half a surrogate pair, the last of
 * two. */
Test(jsonl, reads_what_python_writes)
{
    LabelledTexts t;
    Err err = {""};
    cr_assert_eq(
        load(&t,
             "{\"id\": 1000000000000000000000000000000, \"score\": NaN, \"best\": Infinity, "
             "\"rating\": 1e999, \"text\": \"a\", \"text\": \"b\\ud83d\", "
             "\"expected_label\": \"positive\"}",
             &err),
        0, "%s", err.msg);
    cr_expect_str_eq(t.at[0].text, "b\xef\xbf\xbd");
    labelled_texts_release(&t);
}

Test(jsonl, labels_may_be_numbers)
{
    LabelledTexts t;
    Err err = {""};
    cr_assert_eq(load(&t, "{\"text\": \"x\", \"expected_label\": 1}", &err), 0, "%s", err.msg);
    cr_expect_eq(t.at[0].label, 1);
    labelled_texts_release(&t);
    expect_refused("{\"text\": \"x\", \"expected_label\": 2}",
                   "f.jsonl:1: label 2 is not one of 0 to 1");
    expect_refused("{\"text\": \"x\", \"expected_label\": -1}",
                   "f.jsonl:1: label -1 is not one of 0 to 1");
    expect_refused("{\"text\": \"x\", \"expected_label\": 1.0}",
                   "\"expected_label\" is not a string");
}

Test(jsonl, says_where_a_file_is_broken)
{
    expect_refused(GOOD "\n\n{\"text\": \"x\"", "f.jsonl:3: column ");
    expect_refused(GOOD GOOD, "f.jsonl:1: ");
    expect_refused("[1]\n", "f.jsonl:1: not a JSON object");
    expect_refused("{\"text\": \"\xff\", \"expected_label\": \"positive\"}", "f.jsonl:1: ");
    expect_refused("{\"text\": \"a\\u0000b\", \"expected_label\": \"positive\"}", "f.jsonl:1: ");
    expect_refused("{\"expected_label\": \"positive\"}", "f.jsonl:1: there is no \"text\"");
    expect_refused("{\"text\": \"x\"}", "f.jsonl:1: there is no \"expected_label\"");
    expect_refused("{\"text\": 3, \"expected_label\": \"positive\"}", "\"text\" is not a string");
    expect_refused("{\"text\": \" \\t\", \"expected_label\": \"positive\"}", "\"text\" is empty");
    expect_refused("{\"text\": \"x\", \"expected_label\": \"positiv\"}",
                   "unknown label 'positiv'; did you mean 'positive'?");
    expect_refused("", "there is no sample");
    expect_refused("\xef\xbb\xbf\r\n", "there is no sample");
}

Test(jsonl, a_huge_text_is_refused_and_a_large_one_is_not)
{
    for (size_t over = 0; over < 2; over++) {
        size_t len = JSONL_MAX_TEXT + over;
        char *word = xmalloc(len + 1);
        memset(word, 'a', len);
        word[len] = '\0';
        char *line = xasprintf("{\"text\": \"%s\", \"expected_label\": \"positive\"}", word);
        LabelledTexts t;
        Err err = {""};
        cr_expect_eq(load(&t, line, &err), over ? -1 : 0, "%s", err.msg);
        labelled_texts_release(&t);
        free(line);
        free(word);
    }
}

Test(jsonl, a_missing_file_is_named)
{
    LabelledTexts t;
    Err err = {""};
    cr_expect_eq(jsonl_load(&t, "/nonexistent/x.jsonl", &labels, &err), -1);
    cr_expect_not_null(strstr(err.msg, "/nonexistent/x.jsonl"));
}

Test(jsonl, the_sentences_of_the_project_are_balanced)
{
    const struct {
        const char *path;
        size_t count;
    } files[] = {{"configs/data/sentiment_benchmark.jsonl", 50},
                 {"configs/data/sentiment_validation.jsonl", 30}};
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        LabelledTexts t;
        Err err = {""};
        size_t positive = 0;
        cr_assert_eq(jsonl_load(&t, files[i].path, &labels, &err), 0, "%s", err.msg);
        cr_expect_eq(t.count, files[i].count);
        for (size_t k = 0; k < t.count; k++)
            positive += (size_t)t.at[k].label;
        cr_expect_eq(2 * positive, t.count);
        labelled_texts_release(&t);
    }
}
