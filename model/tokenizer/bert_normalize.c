/* bert_normalize: see bert_normalize.h. */
#include "model/tokenizer/bert_normalize.h"

#include <string.h>

void bert_normalizer_init(BertNormalizer *n, BertOptions options)
{
    n->chars = char_table(options);
    for (uint32_t c = 0; c < 128; c++) {
        const CharInfo *info = char_info(n->chars, c);
        CHECK(info->text_len <= 1, "U+%04X becomes %d bytes", c, info->text_len);
        n->ascii[c] = info->action == CHAR_REPLACE ? n->chars->pool.data[info->text] : (uint8_t)c;
        n->ascii_len[c] = info->action != CHAR_DROP;
    }
}

static unsigned char *append(unsigned char *out, const unsigned char *text, size_t len)
{
    memcpy(out, text, len);
    return out + len;
}

/* Sorts one run of marks by combining class, keeping the order within a class. */
static void sort_marks(const CharTable *t, unsigned char *run, size_t len, unsigned char *scratch)
{
    bool present[256] = {false};
    uint32_t c;
    if (len == 0)
        return;
    for (size_t i = 0; i < len;) {
        i += utf8_decode(run + i, &c);
        present[char_info(t, c)->combining] = true;
    }
    memcpy(scratch, run, len);
    for (unsigned class = 0; class < 256; class ++) {
        for (size_t i = 0; present[class] && i < len;) {
            size_t n = utf8_decode(scratch + i, &c);
            if (char_info(t, c)->combining == class)
                run = append(run, scratch + i, n);
            i += n;
        }
    }
}

/* The canonical ordering algorithm (Unicode 15, section 3.11, D109) on [text, end). Marks that are
 * stripped need no order; fewer than ten classes are left, so a pass for each is cheap. */
static void order_marks(const CharTable *t, unsigned char *text, unsigned char *end,
                        unsigned char *scratch)
{
    unsigned char *run = text;
    while (text < end) {
        uint32_t c;
        size_t n = utf8_decode(text, &c);
        if (char_info(t, c)->combining == 0) {
            sort_marks(t, run, (size_t)(text - run), scratch);
            run = text + n;
        }
        text += n;
    }
    sort_marks(t, run, (size_t)(text - run), scratch);
}

/* Text from *p on as long as marks may move in it; returns the end of what was written. */
static unsigned char *normalize_ordered(const CharTable *t, const unsigned char **p,
                                        const unsigned char *end, unsigned char *out)
{
    unsigned char *first = out;
    while (*p < end) {
        uint32_t c;
        size_t n = utf8_decode(*p, &c);
        const CharInfo *info = char_info(t, c);
        if (info->action != CHAR_ORDERED && info->action != CHAR_DROP)
            break;
        out = append(out, t->pool.data + info->text, info->text_len);
        *p += n;
    }
    order_marks(t, first, out, out);
    return out;
}

void bert_normalize(const BertNormalizer *n, const unsigned char *text, size_t len, ByteBuffer *out)
{
    const CharTable *t = n->chars;
    const unsigned char *p = text, *end = text + len;
    /* Text grows at most threefold, and order_marks copies a run behind it. */
    bytes_reserve(out, 6 * len);
    unsigned char *o = out->data + out->len;
    while (p < end) {
        if (*p < 0x80) {
            *o = n->ascii[*p];
            o += n->ascii_len[*p];
            p++;
            continue;
        }
        uint32_t c;
        size_t bytes = utf8_decode(p, &c);
        const CharInfo *info = char_info(t, c);
        switch (info->action) {
        case CHAR_DROP:
            break;
        case CHAR_REPLACE:
            o = append(o, t->pool.data + info->text, info->text_len);
            break;
        case CHAR_ORDERED:
            o = normalize_ordered(t, &p, end, o);
            continue;
        case CHAR_ISOLATE:
            *o++ = ' ';
            o = append(o, p, bytes);
            *o++ = ' ';
            break;
        default:
            o = append(o, p, bytes);
        }
        p += bytes;
    }
    out->len = (size_t)(o - out->data);
}
