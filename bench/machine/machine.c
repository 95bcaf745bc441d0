/* machine: see machine.h. */
#include "bench/machine/machine.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/placement.h"
#include "bench/util/units.h"

enum { FILE_MAX = 1 << 20 };

/* The whole of root/path, NUL-terminated, or NULL; the caller frees. */
static char *read_text(const char *root, const char *path)
{
    Err err;
    size_t len;
    OWNED char *full = xasprintf("%s%s", root, path);
    return file_read(full, FILE_MAX, &len, &err);
}

void machine_line(const char *root, const char *path, char *line, size_t size)
{
    OWNED char *text = read_text(root, path);
    line[0] = '\0';
    if (text) {
        size_t from = strspn(text, " \t"), n = strcspn(text + from, "\n");
        while (n > 0 && isspace((unsigned char)text[from + n - 1]))
            n--;
        snprintf(line, size, "%.*s", (int)n, text + from);
    }
}

int64_t machine_number(const char *root, const char *path)
{
    char line[64], *end;
    machine_line(root, path, line, sizeof line);
    long long value = strtoll(line, &end, 10);
    return end == line || *end ? INT_MISSING : value;
}

/* What stands behind `key` at the beginning of a line of root/path, "" when nothing does; and the
 * number there. */
static void line_after(const char *root, const char *path, const char *key, char *rest, size_t size)
{
    OWNED char *text = read_text(root, path);
    char *lines = text;
    rest[0] = '\0';
    for (char *line; !rest[0] && (line = strsep(&lines, "\n"));)
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(rest, size, "%s", line + strlen(key) + strspn(line + strlen(key), " \t"));
}

static int64_t number_after(const char *root, const char *path, const char *key)
{
    char rest[64];
    int64_t value;
    line_after(root, path, key, rest, sizeof rest);
    return sscanf(rest, "%" SCNd64, &value) == 1 ? value : INT_MISSING;
}

/* ---- control groups ---- */

/* This process's group in the hierarchy of `controller` ("" = version 2), as /proc/self/cgroup
 * lines "id:controllers:/path" tell. False when it has none. */
static bool cgroup_path(const char *root, const char *controller, char *path, size_t size)
{
    OWNED char *text = read_text(root, "/proc/self/cgroup");
    char *rest = text;
    bool found = false;
    for (char *line; !found && rest && (line = strsep(&rest, "\n")) && *line;) {
        strsep(&line, ":");
        char *controllers = strsep(&line, ":");
        if (!controllers || !line)
            continue;
        found = *controller == '\0' && *controllers == '\0';
        for (char *name; !found && *controller && (name = strsep(&controllers, ","));)
            found = strcmp(name, controller) == 0;
        if (found)
            snprintf(path, size, "%s", line);
    }
    return found;
}

/* folder/name as a number; version 1 calls it `older`. */
static int64_t group_number(const char *root, const char *folder, const char *name,
                            const char *older)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    int64_t value = machine_number(root, path);
    return value == INT_MISSING && older ? group_number(root, folder, older, NULL) : value;
}

/* Lowers the limit to what this group leaves; reclaimable file cache counts as free. */
static void lower_memory(Machine *c, const char *root, const char *folder)
{
    const int64_t no_limit = INT64_MAX / 2; /* version 1 says "none" by a huge number */
    int64_t limit = group_number(root, folder, "memory.max", "memory.limit_in_bytes");
    int64_t used = group_number(root, folder, "memory.current", "memory.usage_in_bytes");
    if (limit == INT_MISSING || limit > no_limit)
        return;
    char path[700];
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    int64_t cache = number_after(root, path, "inactive_file");
    int64_t left = limit - (used == INT_MISSING ? 0 : used) + (cache == INT_MISSING ? 0 : cache);
    if (c->memory_limit == INT_MISSING || left < c->memory_limit)
        c->memory_limit = left > 0 ? left : 0;
}

/* cpu.max is "QUOTA PERIOD" in microseconds, QUOTA "max" for none; version 1 has a file for
 * each. */
static void lower_quota(Machine *c, const char *root, const char *folder)
{
    char path[700], line[64];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    machine_line(root, path, line, sizeof line);
    if (sscanf(line, "%lf %lf", &quota, &period) != 2) {
        quota = (double)group_number(root, folder, "cpu.cfs_quota_us", NULL);
        period = (double)group_number(root, folder, "cpu.cfs_period_us", NULL);
    }
    if (quota > 0 && period > 0 && !(c->cpu_quota <= quota / period))
        c->cpu_quota = quota / period;
}

/* Lowers the limits to those of the process's group in the hierarchy mounted at `mount` and of each
 * above, up to its root: a limit of a group holds for all below it. A container may see its own
 * group as "/". */
static void lower_limits(Machine *c, const char *root, const char *controller, const char *mount)
{
    char path[512], folder[600];
    if (!cgroup_path(root, controller, path, sizeof path))
        return;
    for (;;) {
        snprintf(folder, sizeof folder, "%s%s", mount, strcmp(path, "/") == 0 ? "" : path);
        lower_memory(c, root, folder);
        lower_quota(c, root, folder);
        char *slash = strrchr(path, '/');
        if (!slash || strcmp(path, "/") == 0)
            return;
        slash[slash == path] = '\0';
    }
}

/* Version 2 has one hierarchy, version 1 one a controller. */
static void read_memory_and_quota(Machine *c, const char *root)
{
    int64_t kib = number_after(root, "/proc/meminfo", "MemAvailable:");
    c->memory_available = kib == INT_MISSING ? INT_MISSING : kib * 1024;
    c->memory_limit = INT_MISSING;
    c->cpu_quota = NAN;
    lower_limits(c, root, "", "/sys/fs/cgroup");
    lower_limits(c, root, "memory", "/sys/fs/cgroup/memory");
    lower_limits(c, root, "cpu", "/sys/fs/cgroup/cpu");
}

/* ---- processor ---- */

/* The highest of what the frequency driver and /proc/cpuinfo name; a virtual machine often has the
 * latter only, which is then the base clock. */
static double read_max_mhz(const char *root)
{
    double mhz = NAN, value;
    int64_t khz = machine_number(root, "/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
    if (khz != INT_MISSING)
        mhz = (double)khz / 1000;
    OWNED char *text = read_text(root, "/proc/cpuinfo");
    for (const char *p = text; p && (p = strstr(p, "\ncpu MHz")); p++)
        if (sscanf(p, "\ncpu MHz : %lf", &value) == 1 && !(mhz >= value))
            mhz = value;
    return mhz;
}

/* intel_pstate says "no turbo", acpi-cpufreq says "boost". */
static int64_t read_turbo(const char *root)
{
    int64_t no = machine_number(root, "/sys/devices/system/cpu/intel_pstate/no_turbo");
    return no != INT_MISSING ? !no : machine_number(root, "/sys/devices/system/cpu/cpufreq/boost");
}

/* "always [madvise] never" -> "madvise". */
static void read_huge_pages(const char *root, char *mode, size_t size)
{
    char line[64];
    machine_line(root, "/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line);
    char *open = strchr(line, '[');
    snprintf(mode, size, "%.*s", open ? (int)strcspn(open + 1, "]") : 0, open ? open + 1 : "");
}

/* Whether a balloon has free page reporting: feature 5 (Virtual I/O Device 1.2, section 5.5.3). The
 * file has a digit for each feature, the first for feature 0. */
static bool read_reporting(const char *root)
{
    enum { REPORTING = 5, MOST_DEVICES = 64 };
    bool reports = false;
    for (int i = 0; i < MOST_DEVICES && !reports; i++) {
        char path[80], line[80];
        snprintf(path, sizeof path, "/sys/bus/virtio/drivers/virtio_balloon/virtio%d/features", i);
        machine_line(root, path, line, sizeof line);
        reports = strlen(line) > REPORTING && line[REPORTING] == '1';
    }
    return reports;
}

/* The lowest CPU of `cpus` in a list as the kernel writes it, "0-3,8"; -1: none, or no list. */
static int lowest_of(const char *list, const cpu_set_t *cpus)
{
    for (const char *p = list; *p;) {
        char *end;
        long first = strtol(p, &end, 10), last = first;
        if (end == p)
            return -1;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        for (long cpu = first; cpu <= last && cpu < CPU_SETSIZE; cpu++)
            if (cpu >= 0 && CPU_ISSET((int)cpu, cpus))
                return (int)cpu;
        p = *end == ',' ? end + 1 : "";
    }
    return -1;
}

int64_t machine_cores(const char *root, const cpu_set_t *cpus)
{
    static const char *const names[] = {"core_cpus_list", "thread_siblings_list"}; /* since 5.3 */
    int64_t cores = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        int lowest = -1;
        for (size_t i = 0; CPU_ISSET(cpu, cpus) && lowest < 0 && i < COUNT_OF(names); i++) {
            char path[96], list[1024];
            snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, names[i]);
            machine_line(root, path, list, sizeof list);
            lowest = lowest_of(list, cpus);
        }
        if (CPU_ISSET(cpu, cpus) && lowest < 0)
            return INT_MISSING;
        cores += CPU_ISSET(cpu, cpus) && lowest == cpu;
    }
    return cores;
}

static void read_cpus(Machine *c, const char *root)
{
    cpu_set_t set, pinned;
    placement_unpin(&pinned);
    line_after(root, "/proc/self/status", "Cpus_allowed_list:", c->cpu_list, sizeof c->cpu_list);
    c->cpus_online = sysconf(_SC_NPROCESSORS_ONLN);
    bool known = sched_getaffinity(0, sizeof set, &set) == 0;
    c->cpus_allowed = known ? CPU_COUNT(&set) : INT_MISSING;
    c->cores_allowed = known ? machine_cores(root, &set) : INT_MISSING;
    sched_setaffinity(0, sizeof pinned, &pinned);
    snprintf(c->cpu_model, sizeof c->cpu_model, "%s", cpu_features()->name);
}

static void read_hypervisor(const char *root, char *name, size_t size)
{
    OWNED char *cpuinfo = read_text(root, "/proc/cpuinfo");
    machine_line(root, "/sys/class/dmi/id/sys_vendor", name, size);
    if (!cpuinfo || !strstr(cpuinfo, " hypervisor"))
        name[0] = '\0';
    else if (!name[0])
        snprintf(name, size, "an unnamed host");
}

void machine_read(Machine *c, const char *root)
{
    *c = (Machine){.load = NAN};
    read_cpus(c, root);
    read_memory_and_quota(c, root);
    read_huge_pages(root, c->huge_pages, sizeof c->huge_pages);
    c->gives_pages_back = read_reporting(root);
    machine_line(root, "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", c->governor,
                 sizeof c->governor);
    c->max_mhz = read_max_mhz(root);
    c->turbo = read_turbo(root);
    c->smt = machine_number(root, "/sys/devices/system/cpu/smt/active");
    machine_line(root, "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                 c->clock_source, sizeof c->clock_source);
    char load[64];
    machine_line(root, "/proc/loadavg", load, sizeof load);
    if (sscanf(load, "%lf", &c->load) != 1)
        c->load = NAN;
    read_hypervisor(root, c->hypervisor, sizeof c->hypervisor);
}

int64_t machine_memory(const Machine *c)
{
    if (c->memory_available == INT_MISSING)
        return c->memory_limit;
    return c->memory_limit != INT_MISSING && c->memory_limit < c->memory_available
               ? c->memory_limit
               : c->memory_available;
}

double machine_cpu_quota(const char *root)
{
    Machine c;
    read_memory_and_quota(&c, root);
    return c.cpu_quota;
}

int64_t memory_auto_limit(void)
{
    const int64_t reserve = 512 << 20;
    Machine c;
    read_memory_and_quota(&c, "");
    int64_t memory = machine_memory(&c);
    if (memory == INT_MISSING)
        return INT_MISSING;
    return memory > reserve ? memory - reserve : 0;
}

int memory_check(size_t bytes, const char *who, const char *advice, Err *err)
{
    char needed[UNIT_TEXT_SIZE], there[UNIT_TEXT_SIZE];
    int64_t limit = memory_auto_limit();
    if (limit == INT_MISSING || bytes <= (size_t)limit)
        return 0;
    format_bytes(needed, (double)bytes);
    format_bytes(there, (double)limit);
    return err_set(err, "%s needs %s, but only %s can be used; %s", who, needed, there, advice);
}

static double own_cpu_seconds(void)
{
    double seconds = 0;
    static const int whose[] = {RUSAGE_SELF, RUSAGE_CHILDREN};
    for (size_t i = 0; i < COUNT_OF(whose); i++) {
        struct rusage u;
        int rc = getrusage(whose[i], &u);
        CHECK(rc == 0, "getrusage");
        seconds += (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                   1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    }
    return seconds;
}

CpuTime machine_cpu_time(const char *root)
{
    char line[512];
    double t[8], sum = 0; /* user nice system idle iowait irq softirq steal, in ticks */
    double tick = 1 / (double)sysconf(_SC_CLK_TCK);
    machine_line(root, "/proc/stat", line, sizeof line);
    if (sscanf(line, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &t[0], &t[1], &t[2], &t[3], &t[4],
               &t[5], &t[6], &t[7]) != 8)
        return (CpuTime){NAN, NAN, NAN, NAN};
    for (int i = 0; i < 8; i++)
        sum += t[i];
    double idle = t[3] + t[4];
    return (CpuTime){.busy = (sum - idle - t[7]) * tick,
                     .stolen = t[7] * tick,
                     .total = sum * tick,
                     .own = own_cpu_seconds()};
}

double process_cpu_ms(pid_t pid)
{
    clockid_t clock;
    struct timespec t;
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return NAN;
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

double machine_steal_fraction(CpuTime before, CpuTime after)
{
    double passed = after.total - before.total;
    return passed > 0 ? (after.stolen - before.stolen) / passed : NAN;
}

double machine_other_cpus(CpuTime before, CpuTime after, double cpus)
{
    double passed = after.total - before.total;
    double others = after.busy - before.busy - (after.own - before.own);
    return passed > 0 ? cpus * fmax(others, 0) / passed : NAN;
}
