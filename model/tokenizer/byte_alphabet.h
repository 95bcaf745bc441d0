/* byte_alphabet: the 256 characters by which byte-level vocabularies write bytes (Radford et al.
 * 2019, GPT-2's bytes_to_unicode). The bytes that are printable in Latin-1 stand for themselves;
 * the other 68 are U+0100 and up, in their order: a space is U+0120. */
#pragma once

#include "model/tokenizer/utf8.h"

/* Writes a byte's character as UTF-8; returns its length, 1 or 2. */
size_t byte_to_char(unsigned char byte, unsigned char utf8[2]);

/* Appends what bytes are in the alphabet. */
void bytes_to_chars(const unsigned char *bytes, size_t len, ByteBuffer *out);

/* Appends the bytes that a token stands for. A token of well-formed UTF-8 with a character outside
 * the alphabet stands for itself, as an added token does. */
void chars_to_bytes(const unsigned char *token, size_t len, ByteBuffer *out);
