/* bert_normalize: the text BERT sees. Removes control characters, makes every white space a space,
 * and, as the options say, puts spaces around ideographs, strips accents and lowercases (Devlin et
 * al. 2019, `BasicTokenizer`; in the order and with the Unicode tables of Hugging Face's
 * `BertNormalizer`). It does not split words. */
#pragma once

#include "model/tokenizer/char_table.h"

typedef struct BertNormalizer {
    const CharTable *chars;
    unsigned char ascii[128];     /* what a byte becomes */
    unsigned char ascii_len[128]; /* 0 where it vanishes */
} BertNormalizer;

void bert_normalizer_init(BertNormalizer *n, BertOptions options);

/* Appends the normalised form of well-formed UTF-8 text. */
void bert_normalize(const BertNormalizer *n, const unsigned char *text, size_t len,
                    ByteBuffer *out);
