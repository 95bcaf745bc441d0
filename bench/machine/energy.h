/* energy: what the processor packages took between two moments, where the machine tells.
 *
 * The sources, in this order: RAPL through powercap (/sys/class/powercap/intel-rapl:N, which AMD's
 * counters use as well), RAPL through perf (the `power` PMU's energy-pkg). Where neither can be
 * read there is no figure, only the reason: time times a guess is an estimate, and is made only on
 * request (ENERGY_MODEL). A package's counter counts everything that runs on it; what an idle
 * machine takes is measured by energy_idle_watts and subtracted by the caller. */
#pragma once

#include "autograd/base.h"

typedef enum EnergySource { ENERGY_NONE, ENERGY_POWERCAP, ENERGY_PERF, ENERGY_MODEL } EnergySource;

const char *energy_source_name(EnergySource s); /* "none", "rapl_powercap", "rapl_perf", "model" */

enum { ENERGY_MAX_COUNTERS = 16 };

/* The counter of one package. */
typedef struct EnergyCounter {
    int fd;
    double joules;  /* of one count */
    uint64_t range; /* it wraps after this count; 0: not known, UINT64_MAX: never */
} EnergyCounter;

typedef struct Energy {
    EnergySource source;
    double model_watts; /* of ENERGY_MODEL: above idle */
    Err reason;         /* of ENERGY_NONE; "" otherwise */
    EnergyCounter counters[ENERGY_MAX_COUNTERS];
    size_t count;
} Energy;

/* Finds a source below `root` ("" = the real machine). model_watts > 0 asks for the estimate and
 * looks for no counter. Never fails: ENERGY_NONE is an answer. */
void energy_open(Energy *e, const char *root, double model_watts);
void energy_close(Energy *e);

typedef struct EnergyReading {
    int64_t ns;
    bool failed; /* a counter could not be read */
    uint64_t counts[ENERGY_MAX_COUNTERS];
} EnergyReading;

void energy_read(const Energy *e, EnergyReading *r);

/* Counters move once a millisecond: a shorter time than 100 of these says little. One that wraps
 * may do so unseen when it is read too rarely: 32 bits of 15 microjoules are 65 kJ, 11 minutes at
 * 100 W. */
#define ENERGY_MIN_SECONDS 0.1
#define ENERGY_MAX_SECONDS 30.0

/* The CPUs of a list as the kernel writes it, "0,24" or "0-3"; at most `most`. Returns how many. */
size_t energy_read_cpus(const char *list, int *cpus, size_t most);

/* Joules from a to b, idle power included; of the model: watts x time. NaN with a reason (a
 * constant string) when there is no source, a reading failed, the time is below ENERGY_MIN_SECONDS,
 * above ENERGY_MAX_SECONDS with a counter that wraps, or when a counter fell whose range is not
 * known. */
double energy_joules(const Energy *e, const EnergyReading *a, const EnergyReading *b,
                     const char **reason);

/* Sleeps that long and returns the mean power; NaN without a counter, or when interrupted. */
double energy_idle_watts(const Energy *e, double seconds);

/* Idle power of a study: a window before it and one after. */
typedef struct IdlePower {
    double before, after; /* watts; NaN = not measured */
} IdlePower;

double idle_watts(const IdlePower *p); /* their mean; NaN if one is missing */
bool idle_drifted(const IdlePower *p); /* they differ by more than 10 % of the mean */
