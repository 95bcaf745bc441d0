/* nfc: Unicode's canonical composition, as the NFC normaliser of `tokenizers` makes it. Its tables
 * are older than utf8proc's: what they do not know (CHAR_LATER) neither sorts nor composes. */
#pragma once

#include "model/tokenizer/char_table.h"

/* Appends the normal form of well-formed text. */
void nfc_normalize(const CharTable *chars, const unsigned char *text, size_t len, ByteBuffer *out);
