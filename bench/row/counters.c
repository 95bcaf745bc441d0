/* counters: see counters.h. */
#include "bench/row/counters.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench/stats/stats.h"

static int64_t cpu_ns(void)
{
    struct timespec t;
    int rc = clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    CHECK(rc == 0, "CLOCK_PROCESS_CPUTIME_ID");
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int compare_int64(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

ClockCost clock_cost(void)
{
    enum { BATCHES = 101, CALLS = 100 };
    int64_t batch[BATCHES], resolution = INT64_MAX;
    for (int i = 0; i < BATCHES; i++) {
        int64_t start = clock_ns(), last = start;
        for (int j = 0; j < CALLS; j++) {
            int64_t now = clock_ns();
            if (now > last && now - last < resolution)
                resolution = now - last;
            last = now;
        }
        batch[i] = last - start;
    }
    qsort(batch, BATCHES, sizeof batch[0], compare_int64);
    int64_t median = batch[BATCHES / 2];
    return (ClockCost){(double)median / CALLS, .resolution_ns = (double)resolution};
}

/* Reads the beginning of a small file of /proc without allocating; false when it cannot. */
static bool read_proc(int dir_fd, const char *path, char *text, size_t size)
{
    int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return true;
}

/* Parses "cpu user nice system idle iowait irq softirq steal ...", in ticks of _SC_CLK_TCK a s. */
static int64_t read_steal(void)
{
    char text[512];
    int64_t ticks;
    if (!read_proc(AT_FDCWD, "/proc/stat", text, sizeof text) ||
        sscanf(text, "cpu %*d %*d %*d %*d %*d %*d %*d %" SCNd64, &ticks) != 1)
        return INT_MISSING;
    return ticks * (1000000000 / sysconf(_SC_CLK_TCK));
}

/* "on-CPU ns, waiting ns, timeslices" of each thread; /proc/self/schedstat has only the first. */
static int64_t read_runqueue(void)
{
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        return INT_MISSING;
    int64_t sum = 0, waited;
    bool known = false;
    for (struct dirent *d; (d = readdir(tasks));) {
        char path[sizeof d->d_name + sizeof "/schedstat"], text[128];
        if (d->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/schedstat", d->d_name);
        if (!read_proc(dirfd(tasks), path, text, sizeof text) ||
            sscanf(text, "%*d %" SCNd64, &waited) != 1)
            continue; /* the thread has just ended, or this kernel does not count */
        sum += waited;
        known = true;
    }
    closedir(tasks);
    return known ? sum : INT_MISSING;
}

static void read_outer(Counters *c)
{
    c->steal_ns = read_steal();
    c->runqueue_ns = read_runqueue();
}

static void read_inner(Counters *c)
{
    struct rusage u;
    int rc = getrusage(RUSAGE_SELF, &u);
    CHECK(rc == 0, "getrusage");
    c->minor_faults = u.ru_minflt;
    c->major_faults = u.ru_majflt;
    c->voluntary_switches = u.ru_nvcsw;
    c->involuntary_switches = u.ru_nivcsw;
}

void counters_before(Counters *c)
{
    read_outer(c);
    read_inner(c);
    c->cpu_ns = cpu_ns();
}

void counters_after(Counters *c)
{
    c->cpu_ns = cpu_ns();
    read_inner(c);
    read_outer(c);
}

static int64_t difference(int64_t before, int64_t after)
{
    return before == INT_MISSING || after == INT_MISSING ? INT_MISSING : after - before;
}

void counters_difference(const Counters *before, const Counters *after, Sample *s)
{
    s->cpu_ns = difference(before->cpu_ns, after->cpu_ns);
    s->minor_faults = difference(before->minor_faults, after->minor_faults);
    s->major_faults = difference(before->major_faults, after->major_faults);
    s->voluntary_switches = difference(before->voluntary_switches, after->voluntary_switches);
    s->involuntary_switches = difference(before->involuntary_switches, after->involuntary_switches);
    s->runqueue_ns = difference(before->runqueue_ns, after->runqueue_ns);
    s->steal_ns = difference(before->steal_ns, after->steal_ns);
}

/* The median of a few readings around nothing, in ns. */
static int64_t reading_ns(void)
{
    enum { READINGS = 11 };
    int64_t took[READINGS];
    for (int i = 0; i < READINGS; i++) {
        Counters c;
        int64_t start = clock_ns();
        counters_before(&c);
        counters_after(&c);
        took[i] = clock_ns() - start;
    }
    qsort(took, READINGS, sizeof took[0], compare_int64);
    return took[READINGS / 2];
}

void counters_doubt(Samples *s)
{
    size_t n;
    OWNED double *wall_ns = samples_values(s, ALL_RUNS, "wall_ns", 1, &n);
    if (n > 0 && median_of(wall_ns, n) < (double)reading_ns())
        for (size_t i = 0; i < s->count; i++)
            s->at[i].runqueue_ns = INT_MISSING;
}

int64_t peak_rss_bytes(pid_t pid)
{
    char text[4096], path[64];
    int64_t kib;
    snprintf(path, sizeof path, "/proc/%lld/status", (long long)pid);
    if (!read_proc(AT_FDCWD, path, text, sizeof text))
        return INT_MISSING;
    const char *line = strstr(text, "\nVmHWM:");
    if (!line || sscanf(line, "\nVmHWM: %" SCNd64, &kib) != 1)
        return INT_MISSING;
    return kib * 1024;
}
