/* md5: see md5.h. */
#include "bench/util/md5.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static uint32_t word_at(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void add_block(uint32_t state[4], const unsigned char *block)
{
    static const int shifts[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    static const unsigned factor[4] = {1, 5, 3, 7}, offset[4] = {0, 1, 5, 0};
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    for (unsigned i = 0; i < 64; i++) {
        unsigned round = i / 16, word = (factor[round] * i + offset[round]) % 16;
        uint32_t f = round == 0   ? (b & c) | (~b & d)
                     : round == 1 ? (d & b) | (~d & c)
                     : round == 2 ? b ^ c ^ d
                                  : c ^ (b | ~d);
        uint32_t constant = (uint32_t)floor(fabs(sin(i + 1)) * 0x1p32);
        uint32_t sum = a + f + constant + word_at(block + 4 * word);
        a = d;
        d = c;
        c = b;
        b += rotate(sum, shifts[round][i % 4]);
    }
    state[0] += a;
    state[1] += b;
    state[2] += c;
    state[3] += d;
}

/* The bytes behind the last whole block, a 1 bit, zeros, and the number of bits. */
static void add_end(uint32_t state[4], const unsigned char *rest, size_t count, size_t len)
{
    unsigned char end[128] = {0};
    size_t size = count < 56 ? 64 : 128;
    memcpy(end, rest, count);
    end[count] = 0x80;
    for (size_t i = 0; i < 8; i++)
        end[size - 8 + i] = (unsigned char)((uint64_t)len * 8 >> 8 * i);
    for (size_t at = 0; at < size; at += 64)
        add_block(state, end + at);
}

void md5_text(const void *data, size_t len, char text[MD5_TEXT_SIZE])
{
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const unsigned char *p = data;
    size_t whole = len / 64 * 64;
    for (size_t at = 0; at < whole; at += 64)
        add_block(state, p + at);
    add_end(state, p + whole, len - whole, len);
    for (int i = 0; i < 16; i++)
        snprintf(text + 2 * i, 3, "%02x", state[i / 4] >> 8 * (i % 4) & 0xff);
}
