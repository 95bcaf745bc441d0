/* test_pre_tokenizer: where words end, by the rules read by eye. */
#include "model/tokenizer/pre_tokenizer.h"

#include <criterion/criterion.h>
#include <string.h>

/* Cuts the text into words, or pieces, and joins them with '|'. */
static void cut(const PreTokenizer *p, const char *text, bool pieces, char *out)
{
    const unsigned char *at = (const unsigned char *)text;
    for (size_t left = strlen(text), n; left > 0; left -= n, at += n) {
        n = pieces ? pre_tokenizer_piece(p, at, left) : pre_tokenizer_word(p, at, left);
        cr_assert(n > 0 && n <= left, "'%s'", text);
        memcpy(out, at, n);
        out += n;
        *out++ = left > n ? '|' : '\0';
    }
}

static void expect_words(SplitRule rule, const char *text, const char *want)
{
    char got[256] = "";
    PreTokenizer p;
    pre_tokenizer_init(&p);
    p.rule = rule;
    cut(&p, text, false, got);
    cr_expect_str_eq(got, want, "rule %d: '%s', wanted '%s'", rule, got, want);
}

Test(pre_tokenizer, gpt2)
{
    expect_words(SPLIT_GPT2, "It's the film,  isn't it?", "It|'s| the| film|,| | isn|'t| it|?");
    expect_words(SPLIT_GPT2, "WE'LL 'sfoo '!!", "WE|'|LL| '|sfoo| '!!");
    expect_words(SPLIT_GPT2, "a1b22 333 x", "a|1|b|22| 333| x");
    expect_words(SPLIT_GPT2, "a  \t b", "a|  \t| b");
    expect_words(SPLIT_GPT2, "a \n\tb", "a| \n|\t|b");
    expect_words(SPLIT_GPT2, "a\n", "a|\n");
    expect_words(SPLIT_GPT2, "a  ", "a|  ");
    expect_words(SPLIT_GPT2, "\u00a0a", "\u00a0|a");
    expect_words(SPLIT_GPT2, " \u4e2d\u6587\u0301x", " \u4e2d\u6587|\u0301|x");
    expect_words(SPLIT_GPT2, "'", "'");
    expect_words(SPLIT_GPT2, "'l", "'|l");
}

Test(pre_tokenizer, llama3)
{
    expect_words(SPLIT_LLAMA3, "It'S the film,  isn'T it?\n",
                 "It|'S| the| film|,| | isn|'T| it|?\n");
    expect_words(SPLIT_LLAMA3, "'\u017fx 'Lab", "'\u017f|x| '|Lab");
    expect_words(SPLIT_LLAMA3, "12345 (ab", "123|45| (|ab");
    expect_words(SPLIT_LLAMA3, "(ab\tcd\nef", "(ab|\tcd|\n|ef");
    expect_words(SPLIT_LLAMA3, "!!\r\n\n x", "!!\r\n\n| x");
    expect_words(SPLIT_LLAMA3, " \n  \n  x", " \n  \n| | x");
    expect_words(SPLIT_LLAMA3, "a   ", "a|   ");
    expect_words(SPLIT_LLAMA3, "\u00a0a\u2028b", "\u00a0a|\u2028b");
    expect_words(SPLIT_LLAMA3, "a 1  2", "a| |1| | |2");
}

Test(pre_tokenizer, qwen2)
{
    expect_words(SPLIT_QWEN2, "12\u00bd x1", "1|2|\u00bd| x|1");
}

Test(pre_tokenizer, digits)
{
    char got[64];
    PreTokenizer p;
    pre_tokenizer_init(&p);
    cut(&p, "ab 12c", true, got);
    cr_expect_str_eq(got, "ab 12c");
    p.digits = true;
    cut(&p, "ab 12c\u0663", true, got);
    cr_expect_str_eq(got, "ab |1|2|c|\u0663");
}

Test(pre_tokenizer, expressions)
{
    SplitRule rule;
    cr_expect(
        split_rule_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
                      " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                      &rule) &&
        rule == SPLIT_LLAMA3);
    cr_expect(split_rule_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
                            " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
                            &rule) &&
              rule == SPLIT_QWEN2);
    cr_expect(split_rule_of("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|"
                            "\\s+(?!\\S)|\\s+",
                            &rule) &&
              rule == SPLIT_GPT2);
    cr_expect(!split_rule_of("\\s+", &rule));
}
