/* energy: see energy.h. */
#include "bench/machine/energy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "bench/machine/machine.h"
#include "bench/util/interrupt.h"

const char *energy_source_name(EnergySource s)
{
    static const char *const names[] = {"none", "rapl_powercap", "rapl_perf", "model"};
    return names[s];
}

enum { LINE_BYTES = 256 };

static int read_count(int fd, uint64_t *count)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return -1;
    text[n] = '\0';
    return sscanf(text, "%" SCNu64, count) == 1 ? 0 : -1;
}

/* ---- powercap ---- */

/* Adds the zone if it is a package; its parts (cores, memory) are within it, "psys" is around it.
 * -1 when the package's counter cannot be read. */
static int add_zone(Energy *e, const char *zone)
{
    char path[512], line[LINE_BYTES];
    machine_line(zone, "/name", line, sizeof line);
    if (strncmp(line, "package", strlen("package")) != 0)
        return 0;
    EnergyCounter c = {.joules = 1e-6};
    uint64_t now;
    snprintf(path, sizeof path, "%s/energy_uj", zone);
    c.fd = open(path, O_RDONLY | O_CLOEXEC);
    if (c.fd < 0 || read_count(c.fd, &now) != 0) {
        err_set(&e->reason, "cannot read %s (%s)", path, strerror(errno));
        if (c.fd >= 0)
            close(c.fd);
        return -1;
    }
    int64_t range = machine_number(zone, "/max_energy_range_uj");
    c.range = range == INT_MISSING ? 0 : (uint64_t)range;
    e->counters[e->count++] = c;
    return 0;
}

static bool open_powercap(Energy *e, const char *root)
{
    for (int i = 0; i < ENERGY_MAX_COUNTERS; i++) {
        char zone[400];
        snprintf(zone, sizeof zone, "%s/sys/class/powercap/intel-rapl:%d", root, i);
        if (access(zone, F_OK) == 0 && add_zone(e, zone) != 0)
            return false;
    }
    return e->count > 0;
}

/* ---- perf ---- */

/* root/sys/bus/event_source/devices/power/NAME by a format with one conversion. */
static int read_pmu(const char *root, const char *name, const char *format, void *value)
{
    char path[128], line[LINE_BYTES];
    snprintf(path, sizeof path, "/sys/bus/event_source/devices/power/%s", name);
    machine_line(root, path, line, sizeof line);
    return sscanf(line, format, value) == 1 ? 0 : -1;
}

size_t energy_read_cpus(const char *list, int *cpus, size_t most)
{
    size_t count = 0;
    int first, last, length;
    while (count < most && sscanf(list, "%d%n", &first, &length) == 1) {
        list += length;
        last = first;
        if (sscanf(list, "-%d%n", &last, &length) == 1)
            list += length;
        for (int cpu = first; cpu <= last && count < most; cpu++)
            cpus[count++] = cpu;
        list += strspn(list, ",");
    }
    return count;
}

static bool open_perf(Energy *e, const char *root)
{
    struct perf_event_attr attr = {.size = sizeof attr};
    unsigned type;
    unsigned long long event;
    double joules;
    char list[LINE_BYTES];
    int cpus[ENERGY_MAX_COUNTERS];
    if (read_pmu(root, "type", "%u", &type) != 0 ||
        read_pmu(root, "events/energy-pkg", "event=%llx", &event) != 0 ||
        read_pmu(root, "events/energy-pkg.scale", "%lf", &joules) != 0 ||
        read_pmu(root, "cpumask", "%255s", list) != 0)
        return false;
    attr.type = type;
    attr.config = event;
    size_t count = energy_read_cpus(list, cpus, ENERGY_MAX_COUNTERS);
    for (size_t i = 0; i < count; i++) {
        int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpus[i], -1, PERF_FLAG_FD_CLOEXEC);
        if (fd < 0) {
            err_set(&e->reason, "perf may not count energy-pkg (%s)", strerror(errno));
            return false;
        }
        e->counters[e->count++] = (EnergyCounter){fd, joules, UINT64_MAX};
    }
    return e->count > 0;
}

/* ---- opening ---- */

static void close_counters(Energy *e)
{
    for (size_t i = 0; i < e->count; i++)
        close(e->counters[i].fd);
    e->count = 0;
}

void energy_open(Energy *e, const char *root, double model_watts)
{
    *e = (Energy){.source = ENERGY_NONE, .model_watts = model_watts};
    if (model_watts > 0) {
        e->source = ENERGY_MODEL;
        return;
    }
    if (open_powercap(e, root)) {
        e->source = ENERGY_POWERCAP;
    } else {
        close_counters(e);
        if (open_perf(e, root))
            e->source = ENERGY_PERF;
    }
    if (e->source != ENERGY_NONE) {
        e->reason.msg[0] = '\0';
        return;
    }
    close_counters(e);
    if (!e->reason.msg[0])
        err_set(&e->reason, "this machine shows no RAPL counter, neither to powercap nor to perf");
}

void energy_close(Energy *e)
{
    close_counters(e);
    *e = (Energy){.source = ENERGY_NONE};
}

/* ---- reading ---- */

void energy_read(const Energy *e, EnergyReading *r)
{
    *r = (EnergyReading){.failed = false};
    for (size_t i = 0; i < e->count; i++) {
        int fd = e->counters[i].fd;
        uint64_t *count = &r->counts[i];
        if (e->source == ENERGY_PERF)
            r->failed |= read(fd, count, sizeof *count) != sizeof *count;
        else
            r->failed |= read_count(fd, count) != 0;
    }
    r->ns = clock_ns();
}

static double nothing(const char **reason, const char *why)
{
    *reason = why;
    return NAN;
}

double energy_joules(const Energy *e, const EnergyReading *a, const EnergyReading *b,
                     const char **reason)
{
    double seconds = (double)(b->ns - a->ns) / 1e9, joules = 0;
    *reason = "";
    if (e->source == ENERGY_NONE)
        return nothing(reason, "no counter");
    if (e->source == ENERGY_MODEL)
        return e->model_watts * seconds;
    if (a->failed || b->failed)
        return nothing(reason, "a counter could not be read");
    if (seconds < ENERGY_MIN_SECONDS)
        return nothing(reason, "too short for a counter that moves once a millisecond");
    for (size_t i = 0; i < e->count; i++) {
        const EnergyCounter *c = &e->counters[i];
        uint64_t from = a->counts[i], to = b->counts[i];
        if (c->range != UINT64_MAX && seconds > ENERGY_MAX_SECONDS)
            return nothing(reason, "too long without a reading: a counter may have wrapped unseen");
        if (to < from && c->range == 0)
            return nothing(reason, "a counter wrapped whose range cannot be read");
        uint64_t counts = to >= from ? to - from : c->range - from + 1 + to;
        joules += (double)counts * c->joules;
    }
    return joules;
}

/* ---- idle power ---- */

double energy_idle_watts(const Energy *e, double seconds)
{
    if ((e->source != ENERGY_POWERCAP && e->source != ENERGY_PERF) || interrupted())
        return NAN;
    EnergyReading from, to;
    const char *ignored;
    struct timespec pause = {(time_t)seconds, (long)(1e9 * (seconds - floor(seconds)))};
    energy_read(e, &from);
    nanosleep(&pause, NULL);
    energy_read(e, &to);
    if (interrupted())
        return NAN;
    return energy_joules(e, &from, &to, &ignored) / ((double)(to.ns - from.ns) / 1e9);
}

double idle_watts(const IdlePower *p)
{
    return (p->before + p->after) / 2;
}

bool idle_drifted(const IdlePower *p)
{
    return fabs(p->after - p->before) > 0.1 * idle_watts(p);
}
