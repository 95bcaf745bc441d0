/* llama: what the Llama family offers beside its rows: the frequencies of rotary embedding. */
#pragma once

#include "model/config.h"

/* frequency [channels / 2]: radians that each plane turns from one position to the next, in fp32
 * arithmetic as the transformers library does it (Su et al. 2021; Llama 3's scaling where
 * r->factor > 0). */
void rope_frequencies(const Rope *r, size_t channels, float *frequency);
