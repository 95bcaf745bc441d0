/* cpu: what this processor is called and can do. */
#ifndef TARE_AUTOGRAD_KERNELS_CPU_H
#define TARE_AUTOGRAD_KERNELS_CPU_H

#include "autograd/base.h"

/* A feature is true only when the processor has it and the system saves its registers, which for
 * AMX it has been asked to. All are false off x86-64. */
typedef struct CpuFeatures {
    char name[64]; /* as the processor or /proc/cpuinfo gives it, or "unknown" */
    bool avx2_fma; /* AVX2, FMA and F16C: what TARE_ISA=avx2 needs */
    bool avx512;   /* F, BW, VL and DQ: what TARE_ISA=avx512 needs */
    bool avx512_bf16, avx512_fp16, avx512_vnni;
    bool amx_bf16, amx_int8;
    /* What is read from memory as fast as it comes arrives sooner if instructions ask for it, beside the
     * processor's own prefetching: so measured on AMD family 1Ah (Zen 5), while Zen 4 loses by it
     * (analysis/SPEED.md). Off where nothing was measured. */
    bool asked_streams;
} CpuFeatures;

/* Found once; the result lives for the whole program. */
const CpuFeatures *cpu_features(void);

/* Makes features, named as below, look absent from now on: "-avx512_bf16,-avx512_vnni"; all others are as
 * the processor has them. What needs a hidden feature is hidden too. -1 for an unknown word. */
int cpu_hide(const char *list, Err *err);

/* The features as words, "avx2 avx512 avx512_bf16", into buf; returns buf. */
char *cpu_features_text(char *buf, size_t size);

#endif
