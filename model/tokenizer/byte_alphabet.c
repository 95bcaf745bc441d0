/* byte_alphabet: see byte_alphabet.h. */
#include "model/tokenizer/byte_alphabet.h"

static bool is_printable(unsigned c)
{
    return (c >= '!' && c <= '~') || (c >= 0xa1 && c <= 0xac) || (c >= 0xae && c <= 0xff);
}

/* The bytes that do not stand for themselves are 00-20, 7F-A0 and AD. */
static uint32_t char_of(unsigned char byte)
{
    if (is_printable(byte))
        return byte;
    return byte <= 0x20 ? 0x100u + byte : byte <= 0xa0 ? 0x121u + byte - 0x7fu : 0x143u;
}

/* -1: no byte has this character. */
static int byte_of(uint32_t c)
{
    if (c <= 0xff)
        return is_printable(c) ? (int)c : -1;
    if (c <= 0x120)
        return (int)(c - 0x100);
    return c <= 0x142 ? (int)(c - 0x121 + 0x7f) : c == 0x143 ? 0xad : -1;
}

size_t byte_to_char(unsigned char byte, unsigned char utf8[2])
{
    uint32_t c = char_of(byte);
    if (c < 0x80) {
        utf8[0] = (unsigned char)c;
        return 1;
    }
    utf8[0] = (unsigned char)(0xc0 | c >> 6);
    utf8[1] = (unsigned char)(0x80 | (c & 0x3f));
    return 2;
}

void bytes_to_chars(const unsigned char *bytes, size_t len, ByteBuffer *out)
{
    bytes_reserve(out, 2 * len);
    for (size_t i = 0; i < len; i++)
        out->len += byte_to_char(bytes[i], out->data + out->len);
}

void chars_to_bytes(const unsigned char *token, size_t len, ByteBuffer *out)
{
    size_t before = out->len;
    bytes_reserve(out, len);
    for (size_t at = 0; at < len;) {
        uint32_t c;
        at += utf8_decode(token + at, &c);
        int byte = byte_of(c);
        if (byte < 0) {
            out->len = before;
            bytes_append(out, token, len);
            return;
        }
        out->data[out->len++] = (unsigned char)byte;
    }
}
