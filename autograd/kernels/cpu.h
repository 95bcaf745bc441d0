/* cpu: the name and the features of this processor. */
#pragma once

#include "autograd/base.h"

/* A feature is true only where the processor has it and the system saves its registers (of AMX: on
 * request, which detection makes). All are false off x86-64. */
typedef struct CpuFeatures {
    char name[64]; /* as the processor or /proc/cpuinfo gives it, or "unknown" */
    bool avx2_fma; /* AVX2, FMA and F16C: what TARE_ISA=avx2 needs */
    bool avx512;   /* F, BW, VL and DQ: what TARE_ISA=avx512 needs */
    bool avx_vnni; /* vpdpbusd on the registers of AVX2 */
    bool avx512_bf16, avx512_fp16, avx512_vnni;
    bool amx_bf16, amx_int8;
    /* Streams gain from prefetch instructions on top of the processor's own prefetching: measured
     * on AMD family 1Ah (Zen 5); Zen 4 loses by it (analysis/SPEED.md). False where nothing was
     * measured. */
    bool stream_prefetch;
} CpuFeatures;

/* Detected once; the result lives for the whole program. */
const CpuFeatures *cpu_features(void);

/* Makes features look absent from now on: "-avx512_bf16,-avx512_vnni". All others are as the
 * processor has them; what needs a hidden feature is hidden too. -1 for an unknown word, with the
 * known ones in the message. The words: avx2 avx_vnni avx512 avx512_bf16 avx512_fp16 avx512_vnni
 * amx_bf16 amx_int8 stream_prefetch (formerly asked_streams, which is still accepted). */
int cpu_hide(const char *list, Err *err);

/* The features that this processor has and nobody hides, as such words with a space between them,
 * into buf; returns buf. */
char *cpu_features_text(char *buf, size_t size);
