/* added_tokens: see added_tokens.h. */
#include "model/tokenizer/added_tokens.h"

void added_matcher_init(AddedMatcher *m, const AddedToken *tokens, const CharTable *chars,
                        bool skip_special)
{
    *m = (AddedMatcher){.tokens = tokens, .chars = chars, .skip_special = skip_special};
    trie_init(&m->patterns);
}

void added_matcher_release(AddedMatcher *m)
{
    trie_release(&m->patterns);
}

int added_matcher_add(AddedMatcher *m, size_t index, const void *pattern, size_t len, Err *err)
{
    const char *content = m->tokens[index].content;
    if (len == 0)
        return err_set(err, "added token '%.200s' is empty once normalised", content);
    int32_t other = trie_insert(&m->patterns, pattern, len, (int32_t)index);
    if (other >= 0)
        return err_set(err, "added tokens '%.200s' and '%.200s' match the same text",
                       m->tokens[other].content, content);
    m->begins[*(const unsigned char *)pattern] = true;
    return 0;
}

static bool flag_before(const AddedMatcher *m, const AddedSearch *s, size_t at, uint8_t flag)
{
    uint32_t c;
    if (at == 0)
        return false;
    utf8_decode_back(s->text + at, &c);
    return char_info(m->chars, c)->flags & flag;
}

static bool flag_after(const AddedMatcher *m, const AddedSearch *s, size_t at, uint8_t flag)
{
    uint32_t c;
    if (at == s->len)
        return false;
    utf8_decode(s->text + at, &c);
    return char_info(m->chars, c)->flags & flag;
}

static void take_space(const AddedMatcher *m, const AddedSearch *s, const AddedToken *token,
                       AddedMatch *match)
{
    uint32_t c;
    while (token->lstrip && match->start > s->rest && flag_before(m, s, match->start, CHAR_SPACE))
        match->start -= utf8_decode_back(s->text + match->start, &c);
    while (token->rstrip && flag_after(m, s, match->stop, CHAR_SPACE))
        match->stop += utf8_decode(s->text + match->stop, &c);
}

bool added_next(const AddedMatcher *m, AddedSearch *s, AddedMatch *match)
{
    while (s->at < s->len) {
        int32_t index;
        size_t start = s->at, n = 0;
        if (m->begins[s->text[start]])
            n = trie_longest(&m->patterns, TRIE_ROOT, s->text + start, s->len - start, &index);
        s->at += n ? n : 1;
        if (n == 0)
            continue;
        const AddedToken *token = &m->tokens[index];
        *match = (AddedMatch){.start = start, .stop = start + n, .id = token->id};
        if (token->special && m->skip_special)
            continue;
        if (token->single_word && (flag_before(m, s, match->start, CHAR_WORD) ||
                                   flag_after(m, s, match->stop, CHAR_WORD)))
            continue;
        take_space(m, s, token, match);
        return true;
    }
    return false;
}

void encode_around(const AddedMatcher *m, const unsigned char *text, size_t len, EncodePart *part,
                   const void *tokenizer, IdBuffer *out)
{
    AddedSearch search = {.text = text, .len = len};
    AddedMatch match;
    while (added_next(m, &search, &match)) {
        if (search.rest < match.start)
            part(tokenizer, text + search.rest, match.start - search.rest, out);
        push_id(out, match.id);
        search.rest = match.stop;
    }
    if (search.rest < len)
        part(tokenizer, text + search.rest, len - search.rest, out);
}
