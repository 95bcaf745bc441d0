/* nfc: see nfc.h. The text is cut where nothing reaches across, and only what has a character of
 * U+0300 or above, the first combining mark, goes through utf8proc. */
#include "model/tokenizer/nfc.h"

#include <stdlib.h>
#include <utf8proc.h>

enum { FIRST_MARK = 0x300 };

/* Appends a stretch whose characters are all of U+0300 and above, but the first perhaps. */
static void compose(const unsigned char *text, size_t len, ByteBuffer *out)
{
    uint8_t *composed;
    utf8proc_ssize_t n =
        utf8proc_map(text, (utf8proc_ssize_t)len, &composed, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    CHECK(n >= 0, "%s", utf8proc_errmsg(n));
    bytes_append(out, composed, (size_t)n);
    free(composed);
}

/* The end of the characters that may act on each other and begin at `at`; *plain: it is one, and as
 * it should be. */
static size_t stretch_end(const CharTable *chars, const unsigned char *text, size_t at, size_t len,
                          bool *plain)
{
    uint32_t c;
    at += utf8_decode(text + at, &c);
    *plain = c < FIRST_MARK || char_info(chars, c)->flags & CHAR_LATER;
    if (char_info(chars, c)->flags & CHAR_LATER)
        return at;
    while (at < len) {
        size_t n = utf8_decode(text + at, &c);
        if (c < FIRST_MARK || char_info(chars, c)->flags & CHAR_LATER)
            return at;
        *plain = false;
        at += n;
    }
    return at;
}

void nfc_normalize(const CharTable *chars, const unsigned char *text, size_t len, ByteBuffer *out)
{
    size_t done = 0; /* text up to here is in `out` */
    for (size_t at = 0, next; at < len; at = next) {
        bool plain;
        next = stretch_end(chars, text, at, len, &plain);
        if (plain)
            continue;
        bytes_append(out, text + done, at - done);
        compose(text + at, next - at, out);
        done = next;
    }
    bytes_append(out, text + done, len - done);
}
