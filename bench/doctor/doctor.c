/* doctor: see doctor.h. */
#include "bench/doctor/doctor.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/kernels/peak.h"
#include "model/precision.h"
#include "bench/machine/blas.h"
#include "bench/machine/threads.h"
#include "bench/util/units.h"
#include "bench/stats/verdict.h"

void findings_release(Findings *f)
{
    free(f->at);
    *f = (Findings){0};
}

const char *finding_level_name(FindingLevel level)
{
    static const char *const names[] = {
        [FINDING_OK] = "ok", [FINDING_NOTE] = "note", [FINDING_FIX] = "fix"};
    return names[level];
}

/* Adds a finding whose fact is formatted; the advice is borrowed text, NULL for FINDING_OK. */
static void add(Findings *f, FindingLevel level, const char *topic, const char *advice,
                const char *fmt, ...) __attribute__((format(printf, 5, 6)));

static void add(Findings *f, FindingLevel level, const char *topic, const char *advice,
                const char *fmt, ...)
{
    f->at = xrealloc(f->at, (f->count + 1) * sizeof *f->at);
    Finding *found = &f->at[f->count++];
    *found = (Finding){.level = level};
    snprintf(found->topic, sizeof found->topic, "%s", topic);
    snprintf(found->advice, sizeof found->advice, "%s", advice ? advice : "");
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(found->fact, sizeof found->fact, fmt, ap);
    va_end(ap);
}

static bool is(const char *text, const char *other)
{
    return strcmp(text, other) == 0;
}

/* ---- the program ---- */

#if defined(__SANITIZE_ADDRESS__)
enum { SLOW_BUILD = 1 };
#elif !defined(__OPTIMIZE__)
enum { SLOW_BUILD = 1 };
#else
enum { SLOW_BUILD = 0 };
#endif

void doctor_build(Findings *f, const char *isa, const char *best_isa, const char *blas)
{
    if (SLOW_BUILD)
        add(f, FINDING_FIX, "build", "configure with -DCMAKE_BUILD_TYPE=Release, without SANITIZE",
            "this build has sanitizers or no optimisation: its times mean nothing");
    else
        add(f, FINDING_OK, "build", NULL, "optimised");
    if (is(isa, best_isa))
        add(f, FINDING_OK, "kernels", NULL, "%s, the best this processor has", isa);
    else
        add(f, FINDING_FIX, "kernels", "unset TARE_ISA", "%s, though this processor has %s", isa,
            best_isa);
    char far_below[BLAS_TEXT_SIZE];
    if (blas_is_far_below(blas, best_isa, far_below))
        add(f, FINDING_FIX, "blas", BLAS_REMEDY, "%s", far_below);
    else if (strstr(blas, "threads by OpenMP") || !strstr(blas, "OpenBLAS"))
        add(f, FINDING_OK, "blas", NULL, "%s", blas);
    else
        add(f, FINDING_FIX, "blas",
            "install the OpenMP build (Debian: libopenblas-openmp-dev) and configure again: two "
            "teams of threads get into each other's way",
            "%s", blas);
}

/* ---- the processor ---- */

static void check_threads(Findings *f, const Machine *c, int64_t threads, int64_t seen)
{
    char doubt[THREADS_TEXT_SIZE];
    threads_doubt(seen, threads, doubt);
    if (c->cpus_allowed != INT_MISSING && threads > c->cpus_allowed)
        add(f, FINDING_FIX, "threads", "set OMP_NUM_THREADS or --threads to the CPUs allowed",
            "%" PRId64 " threads on %" PRId64 " CPUs take turns", threads, c->cpus_allowed);
    else if (threads > c->cpu_quota)
        add(f, FINDING_FIX, "threads",
            "use at most as many threads as the quota, or raise it: a throttled thread stands "
            "still for most of a period and the others wait for it",
            "%" PRId64 " threads, but the control group allows %.3g CPUs of time", threads,
            c->cpu_quota);
    else if (doubt[0])
        add(f, FINDING_FIX, "threads", "unset what keeps them back, or use fewer threads", "%s",
            doubt);
    else
        add(f, FINDING_OK, "threads", NULL, "%" PRId64, threads);
}

void doctor_processor(Findings *f, const Machine *c, int64_t threads, int64_t seen)
{
    char quota[64] = "";
    if (!isnan(c->cpu_quota))
        snprintf(quota, sizeof quota, ", %.3g CPUs of time by the control group's quota",
                 c->cpu_quota);
    if (c->cpus_allowed < c->cpus_online)
        add(f, FINDING_NOTE, "cpu", "the rest is kept from this process by its affinity mask",
            "%s, %" PRId64 " of %" PRId64 " CPUs allowed%s", c->cpu_model, c->cpus_allowed,
            c->cpus_online, quota);
    else
        add(f, FINDING_OK, "cpu", NULL, "%s, %" PRId64 " CPUs%s", c->cpu_model, c->cpus_online,
            quota);
    check_threads(f, c, threads, seen);
    if (c->smt == 1 && (c->cores_allowed == INT_MISSING || threads > c->cores_allowed))
        add(f, FINDING_NOTE, "smt", "one thread a core is steadier: as many threads as cores",
            "two threads share a core's arithmetic");
    if (c->governor[0] && !is(c->governor, "performance"))
        add(f, FINDING_FIX, "frequency", "as root: cpupower frequency-set -g performance",
            "governor %s lowers the clock between runs", c->governor);
    else if (!c->governor[0])
        add(f, FINDING_NOTE, "frequency",
            "compare only rows that took turns, or repeat on another day",
            "not told%s%s: the clock may change unseen",
            c->hypervisor[0] ? ", a virtual machine of " : "", c->hypervisor);
    else
        add(f, FINDING_OK, "frequency", NULL, "governor %s", c->governor);
    if (c->turbo == 1)
        add(f, FINDING_NOTE, "turbo",
            "for steadiness over speed, turn it off in the firmware or in /sys",
            "the clock rises while the chip is cool, so first rows may be faster");
}

/* ---- memory ---- */

void doctor_memory(Findings *f, const Machine *c)
{
    char available[UNIT_TEXT_SIZE], limit[UNIT_TEXT_SIZE] = "";
    int64_t memory = machine_memory(c);
    if (memory != INT_MISSING)
        format_bytes(available, (double)memory);
    if (c->memory_limit != INT_MISSING)
        format_bytes(limit, (double)c->memory_limit);
    if (memory == INT_MISSING)
        add(f, FINDING_FIX, "memory", "make /proc readable, or give max_memory",
            "this system does not tell how much there is, so no row is skipped for it");
    else
        add(f, FINDING_OK, "memory", NULL, "%s for rows%s%s%s", available,
            limit[0] ? " (the control group leaves " : "", limit, limit[0] ? ")" : "");
    if (is(c->huge_pages, "never"))
        add(f, FINDING_FIX, "huge pages",
            "as root: echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
            "never: cold runs fault every 4 KiB");
    else if (!c->huge_pages[0])
        add(f, FINDING_NOTE, "huge pages", "cold runs may be slower than on other machines",
            "this kernel does not tell");
    else
        add(f, FINDING_OK, "huge pages", NULL, "%s", c->huge_pages);
    if (c->gives_pages_back)
        add(f, FINDING_NOTE, "fresh pages", "time loading and first calls in turns, several times",
            "the host takes free memory back: touching such a page again waits for the host");
}

/* ---- number formats ---- */

void doctor_formats(Findings *f)
{
    for (int i = 0; i < NUM_PRECISIONS; i++) {
        Precision p = (Precision)i;
        Support support = precision_support(p);
        DType product = precision_product(p);
        char advice[256] = "";
        if (support == SUPPORT_EMULATED)
            snprintf(advice, sizeof advice,
                     "there is no %s: rows of it are left out unless you ask for emulated ones",
                     precision_missing(p));
        add(f, support == SUPPORT_EMULATED ? FINDING_NOTE : FINDING_OK, precision_name(p), advice,
            "%s: weights %s, activations %s, products %s by %s, attention's %s",
            support_name(support), dtype_name(precision_weights(p)),
            dtype_name(precision_activations(p)), dtype_name(product), product_instruction(product),
            dtype_name(precision_attention(p)));
    }
    add(f, FINDING_OK, "ops", NULL, "%s", precision_ops());
}

/* ---- who else is here ---- */

/* The load average looks back a minute and has this program's own past in it: it is the second
 * choice. */
static void check_load(Findings *f, const Machine *c, double other_cpus)
{
    const char *advice = "stop other work, or leave it CPUs of its own (taskset)";
    if (isnan(other_cpus) && c->load > CPUS_IN_USE)
        add(f, FINDING_FIX, "load", advice,
            "%.2f threads were ready to run during the minute before", c->load);
    else if (isnan(other_cpus) && isnan(c->load))
        add(f, FINDING_OK, "load", NULL, "not told");
    else if (isnan(other_cpus))
        add(f, FINDING_OK, "load", NULL, "%.2f", c->load);
    else if (other_cpus > CPUS_IN_USE)
        add(f, FINDING_FIX, "load", advice, "other programs kept %.2f CPUs busy meanwhile",
            other_cpus);
    else
        add(f, FINDING_OK, "load", NULL, "other programs kept %.2f CPUs busy meanwhile",
            other_cpus);
}

void doctor_quiet(Findings *f, const Machine *c, double other_cpus, double steal_fraction)
{
    const double stolen = 0.01; /* of the time */
    check_load(f, c, other_cpus);
    if (isnan(steal_fraction))
        add(f, FINDING_NOTE, "steal", "if this is a virtual machine, its neighbours stay unseen",
            "this kernel does not tell");
    else if (steal_fraction > stolen)
        add(f, FINDING_FIX, "steal",
            "move to a host of your own, or trust only rows that took turns",
            "the host gave %.1f %% of this machine's time to others", 100 * steal_fraction);
    else
        add(f, FINDING_OK, "steal", NULL, "%.2f %% of the time", 100 * steal_fraction);
}

/* ---- the clock ---- */

void doctor_clock(Findings *f, const Machine *c, const ClockCost *cost)
{
    const double slow_ns = 1000;
    const char *source = c->clock_source[0] ? c->clock_source : "unnamed source";
    if (cost->call_ns > slow_ns)
        add(f, FINDING_FIX, "clock", "boot with clocksource=tsc if the processor's is stable",
            "%s: a reading takes %.0f ns, it goes through the kernel", source, cost->call_ns);
    else
        add(f, FINDING_OK, "clock", NULL, "%s: a reading takes %.0f ns, steps of %.0f ns", source,
            cost->call_ns, cost->resolution_ns);
}

/* ---- measured ---- */

/* Of the small formats that have one; fp32's stands for the others. */
static void add_format_peaks(Findings *f, const Peaks *p)
{
    const struct {
        const char *name;
        DType product;
        double rate;
    } formats[] = {{"fp16", DT_F16, p->f16},
                   {"bf16", DT_BF16, p->bf16},
                   {"int8", DT_I8, p->i8},
                   {"q8_0 and q4_0", DT_Q8_0, p->groups}};
    char text[200] = "";
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        const char *instruction = peak_instruction(formats[i].product);
        size_t used = strlen(text);
        if (instruction)
            snprintf(text + used, sizeof text - used, "%s%s %.0f by %s", used ? ", " : "",
                     formats[i].name, formats[i].rate, instruction);
    }
    if (text[0])
        add(f, FINDING_OK, "formats", NULL, "%s (1e9 operations/s from registers)", text);
}

void doctor_peaks(Findings *f, const Peaks *p)
{
    add(f, FINDING_OK, "peak", NULL,
        "fp32 %.4g GFLOP/s from registers by %s, %.4g in a matrix product, %.3g GB/s from memory "
        "(%.0f threads)",
        p->fma, peak_instruction(DT_F32), p->gemm, p->bandwidth, p->threads);
    add_format_peaks(f, p);
    if (peaks_measured(p) < 0.7 * p->theoretical)
        add(f, FINDING_NOTE, "peak",
            "something else runs, or the clock is lowered: look at load and steal",
            "only %.0f %% of the %.4g GFLOP/s at the clock the system names",
            100 * peaks_measured(p) / p->theoretical, p->theoretical);
}

static void check_neighbours(Findings *f, const NoiseFloor *n)
{
    if (n->looked == 0)
        return;
    if (n->wandered == 0)
        add(f, FINDING_OK, "neighbours", NULL,
            "in none of %zu processes did the probe wander: the slowest tenth of its products ran "
            "at %.0f %% of the best",
            n->looked, 100 * n->lowest);
    else
        add(f, FINDING_NOTE, "neighbours",
            "something outside this machine takes its time: measure in several processes "
            "(--processes), compare by `tare diff --run`",
            "the probe wandered in %zu of %zu processes: products ran at %.0f to 100 %% of their "
            "best",
            n->wandered, n->looked, 100 * n->lowest);
}

void doctor_noise(Findings *f, const NoiseFloor *n)
{
    check_neighbours(f, n);
    if (isnan(n->floor)) {
        add(f, FINDING_NOTE, "noise", "give --rounds 6 or more", "too few rounds (%zu) to say",
            n->rounds);
        return;
    }
    bool quiet = n->floor <= NOISE_THRESHOLD;
    add(f, quiet ? FINDING_OK : FINDING_FIX, "noise",
        quiet ? NULL : "quieten the machine, or give `tare diff` this floor as its --threshold",
        "a row against itself, %zu rounds: ratio %.4f, 95 %% interval %.4f to %.4f: floor %.1f %%",
        n->rounds, n->test.ratio, n->test.interval.lo, n->test.interval.hi, 100 * n->floor);
    add(f, FINDING_OK, "effect", NULL,
        "the smallest change this machine shows: %.1f %% in %zu paired rounds, %.1f %% between two "
        "rows of 10 trials (cv %.1f %%)",
        100 * n->detectable, n->rounds, 100 * minimum_detectable_effect(n->cv, 10, 10),
        100 * n->cv);
    const TrialPlan *p = &n->plan;
    if (p->processes == 0)
        add(f, FINDING_FIX, "plan", "quieten the machine first",
            "1000 processes or trials do not give the mean of such a row to %.0f %%",
            100 * NOISE_THRESHOLD);
    else
        add(f, FINDING_OK, "plan", NULL,
            "%zu %s x %zu %s give the mean of such a row to %.0f %%; processes of their own add "
            "%.1f %% to its spread",
            p->processes, p->processes == 1 ? "process" : "processes", p->trials,
            p->trials == 1 ? "trial" : "trials", 100 * NOISE_THRESHOLD, 100 * n->process_cv);
}
