/* doctor: from what the machine tells to findings that say what to do.
 *
 * The one idea: a finding is one fact and, where it can be bettered, one piece of advice. Pure
 * functions of what machine/machine.h, row/counters.h, machine/peaks.h and noise_floor.h read or
 * measured; nothing here reads, measures or prints. */
#pragma once

#include "bench/machine/machine.h"
#include "bench/row/counters.h"
#include "bench/doctor/noise_floor.h"
#include "bench/machine/peaks.h"

typedef enum FindingLevel {
    FINDING_OK,
    FINDING_NOTE, /* worth knowing; nothing to fix, or not from here */
    FINDING_FIX,
} FindingLevel;

typedef struct Finding {
    FindingLevel level;
    char topic[16], fact[256], advice[256]; /* advice: "" for OK */
} Finding;

typedef struct Findings {
    Finding *at;
    size_t count;
} Findings;

void findings_release(Findings *f);

/* "ok", "note" or "fix". */
const char *finding_level_name(FindingLevel level);

/* Each appends its findings. threads: what rows would run on. */
void doctor_build(Findings *f, const char *isa, const char *best_isa, const char *blas);
void doctor_processor(Findings *f, const Machine *c, int64_t threads, int64_t seen);
void doctor_memory(Findings *f, const Machine *c);
/* One a precision: native, converted or emulated by the kernels in use, and by which instruction;
 * then one that says which ops that is about. */
void doctor_formats(Findings *f);
/* other_cpus and steal_fraction: what was taken from this program while it measured; NaN =
 * unknown. */
void doctor_quiet(Findings *f, const Machine *c, double other_cpus, double steal_fraction);
void doctor_clock(Findings *f, const Machine *c, const ClockCost *cost);
/* fp32 and memory; then one for all small formats with an instruction of their own (peak.h). */
void doctor_peaks(Findings *f, const Peaks *p);
void doctor_noise(Findings *f, const NoiseFloor *n);
