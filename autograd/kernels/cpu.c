/* cpu: reads cpuid leaves 1, 7 and the brand string (Intel SDM vol. 2A, CPUID; AMD APM vol. 3), and
 * XCR0 for the registers that the system saves on a switch. AMX needs a request to the system as
 * well. */
#include "autograd/kernels/cpu.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

static uint64_t enabled_state(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

static bool bit(uint32_t word, int n)
{
    return word >> n & 1;
}

/* Without this the first use of a tile register kills the process (Linux 5.16,
 * Documentation/arch/x86/xstate.rst; the constants are in its asm/prctl.h). Threads and children
 * inherit the permission. */
static bool amx_granted(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static void brand_string(char name[64])
{
    uint32_t words[12] = {0}, a = 0, b, c, d;
    if (!__get_cpuid(0x80000000, &a, &b, &c, &d) || a < 0x80000004)
        return;
    for (uint32_t i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &words[4 * i], &words[4 * i + 1], &words[4 * i + 2],
                    &words[4 * i + 3]);
    char brand[49] = {0};
    memcpy(brand, words, 48);
    const char *start = brand + strspn(brand, " ");
    if (*start)
        snprintf(name, 64, "%s", start);
}

/* AMD APM vol. 3, CPUID functions 0 and 1. */
static bool is_amd_family(uint32_t family)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(0, &a, &b, &c, &d) || b != signature_AMD_ebx || c != signature_AMD_ecx ||
        d != signature_AMD_edx || !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    uint32_t base = a >> 8 & 0xf, extended = a >> 20 & 0xff;
    return family == base + (base == 0xf ? extended : 0);
}

static void detect(CpuFeatures *f)
{
    enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6, AMX_STATE = 0x60000 };
    uint32_t a, b, c, d;
    brand_string(f->name);
    f->stream_prefetch = is_amd_family(0x1a);
    if (!__get_cpuid(1, &a, &b, &c, &d) || !bit(c, 27))
        return;
    bool fma = bit(c, 12), f16c = bit(c, 29);
    uint64_t state = enabled_state();
    bool avx = (state & AVX_STATE) == AVX_STATE;
    bool avx512 = (state & AVX512_STATE) == AVX512_STATE;
    bool amx = (state & AMX_STATE) == AMX_STATE;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return;
    f->avx2_fma = avx && fma && f16c && bit(b, 5);
    f->avx512 = f->avx2_fma && avx512 && bit(b, 16) && bit(b, 17) && bit(b, 30) && bit(b, 31);
    f->avx512_vnni = f->avx512 && bit(c, 11);
    f->avx512_fp16 = f->avx512 && bit(d, 23);
    amx = amx && bit(d, 24) && amx_granted();
    f->amx_bf16 = amx && bit(d, 22);
    f->amx_int8 = amx && bit(d, 25);
    if (a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d)) {
        f->avx_vnni = f->avx2_fma && bit(a, 4);
        f->avx512_bf16 = f->avx512 && bit(a, 5);
    }
}
#else
static void detect(CpuFeatures *f)
{
    FILE *cpuinfo = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (cpuinfo && fgets(line, sizeof(line), cpuinfo))
        if (sscanf(line, "model name : %63[^\n]", f->name) == 1)
            break;
    if (cpuinfo)
        fclose(cpuinfo);
}
#endif

static CpuFeatures found, visible;

const CpuFeatures *cpu_features(void)
{
    if (!found.name[0]) {
        CpuFeatures now = {.name = "unknown"};
        detect(&now);
        found = visible = now;
    }
    return &visible;
}

typedef struct Feature {
    const char *name;
    size_t offset; /* of its bool */
} Feature;

#define FEATURE(name, field)                                                                       \
    {                                                                                              \
        name, offsetof(CpuFeatures, field)                                                         \
    }
static const Feature features[] = {
    FEATURE("avx2", avx2_fma),
    FEATURE("avx_vnni", avx_vnni),
    FEATURE("avx512", avx512),
    FEATURE("avx512_bf16", avx512_bf16),
    FEATURE("avx512_fp16", avx512_fp16),
    FEATURE("avx512_vnni", avx512_vnni),
    FEATURE("amx_bf16", amx_bf16),
    FEATURE("amx_int8", amx_int8),
    FEATURE("stream_prefetch", stream_prefetch),
};

enum { FEATURES_TEXT = 192 }; /* all names with a space and a minus each */

static bool *feature(CpuFeatures *f, size_t i)
{
    return (bool *)((char *)f + features[i].offset);
}

/* Hides what needs a hidden feature. */
static void hide_dependents(CpuFeatures *f)
{
    f->avx_vnni &= f->avx2_fma;
    f->avx512 &= f->avx2_fma;
    f->avx512_bf16 &= f->avx512;
    f->avx512_fp16 &= f->avx512;
    f->avx512_vnni &= f->avx512;
    f->amx_bf16 &= f->avx512_bf16; /* hiding the vectors hides the tiles */
    f->amx_int8 &= f->avx512_vnni;
}

/* The number of a feature in the table; COUNT_OF(features) for an unknown word. */
static size_t find_feature(const char *word, size_t length)
{
    static const char before[] = "asked_streams"; /* what stream_prefetch was called */
    if (length == strlen(before) && memcmp(before, word, length) == 0)
        return find_feature("stream_prefetch", strlen("stream_prefetch"));
    size_t i = 0;
    while (i < COUNT_OF(features) &&
           (strlen(features[i].name) != length || memcmp(features[i].name, word, length) != 0))
        i++;
    return i;
}

static int unknown_feature(const char *word, size_t length, Err *err)
{
    char known[FEATURES_TEXT] = "";
    for (size_t i = 0; i < COUNT_OF(features); i++)
        sprintf(known + strlen(known), "%s -%s", i ? "," : "", features[i].name);
    return err_set(err, "TARE_CPU: '%.*s' is no feature to hide:%s are", (int)length, word, known);
}

int cpu_hide(const char *list, Err *err)
{
    cpu_features();
    CpuFeatures left = found;
    for (const char *word = list + strspn(list, ", "); *word;) {
        size_t length = strcspn(word, ", ");
        size_t i = *word == '-' ? find_feature(word + 1, length - 1) : COUNT_OF(features);
        if (i == COUNT_OF(features))
            return unknown_feature(word, length, err);
        *feature(&left, i) = false;
        word += length;
        word += strspn(word, ", ");
    }
    hide_dependents(&left);
    visible = left;
    return 0;
}

char *cpu_features_text(char *buf, size_t size)
{
    CpuFeatures f = *cpu_features();
    size_t used = 0;
    buf[0] = '\0';
    for (size_t i = 0; i < COUNT_OF(features); i++)
        if (*feature(&f, i) && used < size)
            used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? " " : "",
                                     features[i].name);
    return buf;
}
