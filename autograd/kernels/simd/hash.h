/* hash: vectors of 64-bit hashes of counters, the SplitMix64 finaliser as in rng_u64 (base.c). */
#pragma once

#include "autograd/kernels/simd/vec.h"

typedef uint64_t vu64 __attribute__((vector_size(VL * 4)));

/* VL/2 hashes, of the counters from `counter` on. key: rng_key or any other random number. */
ALWAYS_INLINE vu64 vhash(uint64_t key, uint64_t counter)
{
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    vu64 z;
    for (size_t l = 0; l < VL / 2; l++)
        z[l] = golden * (l + 1);
    z += key + golden * counter;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}
