/* The machine as it is told by files: other machines than this one, made of files in a folder. And
 * the findings of doctor about them. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/row/stamp.h"
#include "autograd/kernels/peak.h"
#include "bench/doctor/doctor.h"
#include "tests/support/temp_dir.h"

static Machine read_context(void)
{
    Machine c;
    machine_read(&c, temp_dir);
    return c;
}

Test(peaks, read_bandwidth_is_that_over_as_much_memory)
{
    ReadBandwidth b = {2, 100, 80, 60, 40, 20, 10};
    cr_expect(eq(dbl, read_bandwidth_over(&b, 1), 100.0));
    cr_expect(eq(dbl, read_bandwidth_over(&b, 1 << 20), 100.0));
    cr_expect(eq(dbl, read_bandwidth_over(&b, (1 << 20) + 1), 80.0));
    cr_expect(eq(dbl, read_bandwidth_over(&b, 200e6), 20.0));
    cr_expect(eq(dbl, read_bandwidth_over(&b, 1e12), 10.0));
    b.mib_1024 = NAN; /* no memory for it */
    cr_expect(eq(dbl, read_bandwidth_over(&b, 1e12), 20.0));
    b = (ReadBandwidth){1, NAN, NAN, NAN, NAN, NAN, NAN};
    cr_expect(isnan(read_bandwidth_over(&b, 1e6)));
}

TestSuite(context, .init = temp_dir_make, .fini = temp_dir_remove);

Test(context, nothing_told_is_nothing_known)
{
    Machine c = read_context();
    cr_expect(eq(i64, c.memory_available, INT_MISSING));
    cr_expect(eq(i64, c.memory_limit, INT_MISSING));
    cr_expect(isnan(c.cpu_quota) && isnan(c.max_mhz) && isnan(c.load));
    cr_expect(eq(str, c.governor, ""));
    cr_expect(eq(str, c.cpu_list, ""));
    cr_expect(eq(str, c.huge_pages, ""));
    cr_expect(eq(i64, c.turbo, INT_MISSING));
    cr_expect(eq(i64, c.cores_allowed, INT_MISSING));
    cr_expect(eq(i64, machine_memory(&c), INT_MISSING), "what is unknown is not zero");
    cr_expect(isnan(machine_cpu_time(temp_dir).total));
}

static void write_siblings(int cpu, const char *file, const char *list)
{
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, file);
    temp_write(path, list);
}

static int64_t cores_of(int first, int last)
{
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    for (int cpu = first; cpu <= last; cpu++)
        CPU_SET(cpu, &cpus);
    return machine_cores(temp_dir, &cpus);
}

/* Four cores: the threads of the first two are CPUs 0, 4 and 1, 5; those of the others are
 * neighbours, 2, 3 and 6, 7. */
Test(context, cores_are_counted_once)
{
    static const char *const lists[] = {"0,4\n", "1,5\n", "2-3\n", "2-3\n",
                                        "0,4\n", "1,5\n", "6-7\n", "6-7\n"};
    for (int cpu = 0; cpu < 8; cpu++)
        write_siblings(cpu, cpu % 2 ? "thread_siblings_list" : "core_cpus_list", lists[cpu]);
    cr_expect(eq(i64, cores_of(0, 7), 4));
    cr_expect(eq(i64, cores_of(0, 3), 3));
    cr_expect(eq(i64, cores_of(4, 7), 3), "the first thread of a core may be forbidden");
    cr_expect(eq(i64, cores_of(3, 3), 1));
    cr_expect(eq(i64, cores_of(0, 8), INT_MISSING), "nothing is told of CPU 8");
    write_siblings(8, "core_cpus_list", "?\n");
    cr_expect(eq(i64, cores_of(0, 8), INT_MISSING));
}

Test(context, cgroup_v2_nested_limits)
{
    temp_write("/proc/self/cgroup", "0::/user/job\n");
    temp_write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable:    8388608 kB\n");
    temp_write("/sys/fs/cgroup/user/job/memory.max", "max\n");
    temp_write("/sys/fs/cgroup/user/job/cpu.max", "max 100000\n");
    temp_write("/sys/fs/cgroup/user/memory.max", "4294967296\n");
    temp_write("/sys/fs/cgroup/user/memory.current", "1073741824\n");
    temp_write("/sys/fs/cgroup/user/memory.stat", "anon 1\ninactive_file 536870912\n");
    temp_write("/sys/fs/cgroup/user/cpu.max", "150000 100000\n");
    Machine c = read_context();
    cr_expect(eq(i64, c.memory_available, (int64_t)8 << 30));
    cr_expect(eq(i64, c.memory_limit, ((int64_t)7 << 30) / 2),
              "4 GiB less 1 used, 0.5 of it cache");
    cr_expect(eq(i64, machine_memory(&c), c.memory_limit));
    cr_expect(eq(dbl, c.cpu_quota, 1.5));
}

Test(context, cgroup_v1_limits)
{
    temp_write("/proc/self/cgroup", "5:cpu,cpuacct:/box\n4:memory:/box\n0::/\n");
    temp_write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    temp_write("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "2147483648\n");
    temp_write("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "1073741824\n");
    temp_write("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
    temp_write("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
    Machine c = read_context();
    cr_expect(eq(i64, c.memory_limit, (int64_t)1 << 30));
    cr_expect(eq(dbl, c.cpu_quota, 0.5));
}

Test(context, cgroup_v1_without_limits)
{
    temp_write("/proc/self/cgroup", "5:cpu:/\n4:memory:/\n");
    temp_write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    temp_write("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    temp_write("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    Machine c = read_context();
    cr_expect(eq(i64, c.memory_limit, INT_MISSING));
    cr_expect(isnan(c.cpu_quota));
}

Test(context, frequency_huge_pages_and_steal)
{
    temp_write("/proc/cpuinfo",
               "x\ncpu MHz\t\t: 2100.5\n\ncpu MHz\t\t: 2400.25\nflags : fpu hypervisor\n");
    temp_write("/sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq", "3500000\n");
    temp_write("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "powersave\n");
    temp_write("/sys/devices/system/cpu/intel_pstate/no_turbo", "0\n");
    temp_write("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
    temp_write("/sys/bus/virtio/drivers/virtio_balloon/virtio3/features", "011001010000\n");
    temp_write("/sys/class/dmi/id/sys_vendor", "QEMU  \n");
    temp_write("/proc/self/status",
               "Name:\tx\nCpus_allowed:\tf\nCpus_allowed_list:\t0-2,5\nMems: 1\n");
    temp_write("/proc/stat", "cpu  10 0 10 60 0 0 0 20 0 0\ncpu0 1\n");
    Machine c = read_context();
    cr_expect(eq(dbl, c.max_mhz, 3500.0));
    cr_expect(eq(str, c.governor, "powersave"));
    cr_expect(eq(str, c.cpu_list, "0-2,5"));
    cr_expect(eq(i64, c.turbo, 1));
    cr_expect(eq(str, c.huge_pages, "never"));
    cr_expect(c.gives_pages_back);
    cr_expect(eq(str, c.hypervisor, "QEMU"));
    CpuTime boot = {0}, now = machine_cpu_time(temp_dir);
    cr_expect(epsilon_eq(dbl, machine_steal_fraction(boot, now), 0.2, 1e-12));
    cr_expect(isnan(machine_steal_fraction(now, now)));
    /* 20 of 100 ticks on 4 CPUs were busy, half of them with this program */
    cr_expect(now.own > 0);
    now.own = 10.0 / (double)sysconf(_SC_CLK_TCK);
    cr_expect(epsilon_eq(dbl, machine_other_cpus(boot, now, 4), 0.4, 1e-12));
    now.own *= 10;
    cr_expect(eq(dbl, machine_other_cpus(boot, now, 4), 0.0));
}

Test(context, this_machine_is_read_and_stamped)
{
    Machine c;
    machine_read(&c, "");
    cr_expect(gt(i64, c.cpus_allowed, 0));
    cr_expect(gt(i64, machine_memory(&c), 0));
    RowResult r;
    row_result_init(&r);
    row_stamp(&r);
    cr_expect(eq(i64, r.schema, ROW_SCHEMA));
    cr_expect(eq(sz, strlen(r.timestamp_utc), strlen("2026-01-01T00:00:00Z")));
    cr_expect(r.git_commit[0] && r.cpu_model[0] && r.build[0]);
    cr_expect(eq(str, r.cpus_allowed, c.cpu_list));
    cr_expect(r.cpus_allowed[0] != '\0');
    cr_expect(eq(str, r.governor, c.governor));
    cr_expect(isnan(c.cpu_quota) ? isnan(r.cpu_quota) : r.cpu_quota == c.cpu_quota);
}

/* ---- findings ---- */

static const Finding *find(const Findings *f, const char *topic)
{
    for (size_t i = 0; i < f->count; i++)
        if (strcmp(f->at[i].topic, topic) == 0)
            return &f->at[i];
    cr_assert(false, "no finding about %s", topic);
    return NULL;
}

static void expect_level(const Findings *f, const char *topic, FindingLevel level)
{
    const Finding *found = find(f, topic);
    cr_expect(found->level == level, "%s is %s: %s", topic, finding_level_name(found->level),
              found->fact);
    bool advised = found->advice[0] != '\0';
    cr_expect(advised == (level != FINDING_OK), "%s: every finding says what to do, and only those",
              topic);
}

static Machine quiet_machine(void)
{
    return (Machine){.cpu_model = "A processor",
                     .cpus_online = 4,
                     .cores_allowed = 4,
                     .cpus_allowed = 4,
                     .cpu_quota = NAN,
                     .memory_available = (int64_t)16 << 30,
                     .memory_limit = INT_MISSING,
                     .huge_pages = "madvise",
                     .governor = "performance",
                     .max_mhz = 3000,
                     .turbo = 0,
                     .smt = 0,
                     .clock_source = "tsc",
                     .load = 0.05};
}

Test(context, a_good_machine_has_nothing_to_fix)
{
    Findings f = {0};
    Machine c = quiet_machine();
    doctor_build(&f, "avx2", "avx2", "OpenBLAS 0.3, threads by OpenMP");
    doctor_processor(&f, &c, 4, 4);
    doctor_memory(&f, &c);
    doctor_quiet(&f, &c, 0.02, 0);
    doctor_clock(&f, &c, &(ClockCost){20, 1});
    doctor_peaks(
        &f, &(Peaks){.threads = 4, .fma = 300, .gemm = 250, .bandwidth = 20, .theoretical = 320});
    for (size_t i = 0; i < f.count; i++)
        if (strcmp(f.at[i].topic, "build") != 0) /* the test itself may be a slow build */
            cr_expect(f.at[i].level == FINDING_OK, "%s: %s", f.at[i].topic, f.at[i].fact);
    findings_release(&f);
}

/* Formats with an instruction of this processor, beside their own figure; no others. */
Test(context, each_format_with_a_peak_is_shown_with_its_instruction)
{
    const struct {
        DType product;
        const char *shown;
    } formats[] = {{DT_F16, "fp16 1111 by "},
                   {DT_BF16, "bf16 2222 by "},
                   {DT_I8, "int8 3333 by "},
                   {DT_Q8_0, "q8_0 and q4_0 4444 by "}};
    Findings f = {0};
    doctor_peaks(&f, &(Peaks){.threads = 1,
                              .fma = 300,
                              .gemm = 250,
                              .bandwidth = 20,
                              .theoretical = 320,
                              .f16 = 1111,
                              .bf16 = 2222,
                              .i8 = 3333,
                              .groups = 4444});
    const char *text = "";
    for (size_t i = 0; i < f.count; i++)
        if (strcmp(f.at[i].topic, "formats") == 0)
            text = f.at[i].fact;
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        const char *instruction = peak_instruction(formats[i].product),
                   *found = strstr(text, formats[i].shown);
        bool own = instruction != NULL, shown = found != NULL;
        cr_expect(own == shown, "'%s': %s", formats[i].shown, text);
        if (instruction && found)
            cr_expect(strncmp(found + strlen(formats[i].shown), instruction, strlen(instruction)) ==
                          0,
                      "%s", text);
    }
    cr_expect(strstr(f.at[0].fact, peak_instruction(DT_F32)) != NULL);
    findings_release(&f);
}

Test(context, each_trouble_is_found)
{
    Findings f = {0};
    Machine c = quiet_machine();
    snprintf(c.governor, sizeof c.governor, "powersave");
    snprintf(c.huge_pages, sizeof c.huge_pages, "never");
    c.gives_pages_back = true;
    c.load = 1.5;
    c.turbo = 1;
    c.smt = 1;
    doctor_build(&f, "generic", "avx2", "OpenBLAS 0.3, threads by pthreads");
    doctor_processor(&f, &c, 8, 8);
    doctor_memory(&f, &c);
    doctor_quiet(&f, &c, NAN, 0.05);
    doctor_clock(&f, &c, &(ClockCost){2000, 1000});
    static const char *const fixes[] = {"kernels",    "blas", "threads", "frequency",
                                        "huge pages", "load", "steal",   "clock"};
    for (size_t i = 0; i < COUNT_OF(fixes); i++)
        expect_level(&f, fixes[i], FINDING_FIX);
    expect_level(&f, "turbo", FINDING_NOTE);
    expect_level(&f, "fresh pages", FINDING_NOTE);
    expect_level(&f, "smt", FINDING_NOTE);
    findings_release(&f);
}

/* A hog that began a moment ago shows in the time that others used, not in the load average. */
Test(context, what_others_use_now_decides_about_load)
{
    Findings f = {0};
    Machine c = quiet_machine();
    doctor_quiet(&f, &c, 0.98, 0);
    expect_level(&f, "load", FINDING_FIX);
    findings_release(&f);
    c.load = 3;
    doctor_quiet(&f, &c, 0.01, 0);
    expect_level(&f, "load", FINDING_OK);
    findings_release(&f);
}

/* Threads of a core share it only where there are more of them than cores. */
Test(context, a_thread_a_core_shares_none)
{
    Findings f = {0};
    Machine c = quiet_machine();
    c.smt = 1;
    doctor_processor(&f, &c, 4, 4);
    for (size_t i = 0; i < f.count; i++)
        cr_expect(strcmp(f.at[i].topic, "smt") != 0, "%s", f.at[i].fact);
    findings_release(&f);
}

Test(context, quota_below_threads_is_found)
{
    Findings f = {0};
    Machine c = quiet_machine();
    c.cpu_quota = 1.5;
    doctor_processor(&f, &c, 2, 2);
    expect_level(&f, "threads", FINDING_FIX);
    findings_release(&f);
}

Test(context, threads_that_cannot_run_are_found)
{
    Findings f = {0};
    Machine c = quiet_machine();
    doctor_processor(&f, &c, 2, 1);
    expect_level(&f, "threads", FINDING_FIX);
    findings_release(&f);
}

Test(context, quota_is_told_where_it_is_enough)
{
    Findings f = {0};
    Machine c = quiet_machine();
    c.cpu_quota = 2.5;
    doctor_processor(&f, &c, 2, 2);
    expect_level(&f, "threads", FINDING_OK);
    cr_expect(strstr(f.at[0].fact, ", 2.5 CPUs of time by the control group's quota") != NULL);
    findings_release(&f);
}

/* B is A times 1 +- 1 % in ten rounds: the interval of the ratio has ends 0.99 and 1.01. */
Test(context, noise_floor_of_turns)
{
    double a[10], b[10], cv[20];
    for (int i = 0; i < 10; i++) {
        a[i] = 100 + i;
        b[i] = a[i] * (i % 2 ? 1.01 : 0.99);
        cv[2 * i] = cv[2 * i + 1] = 0.02;
    }
    NoiseFloor n = noise_floor_of(a, b, 10, cv);
    n.plan = (TrialPlan){3, 7};
    cr_expect(epsilon_eq(dbl, n.floor, 0.01, 1e-12));
    /* d = +-0.01 has standard deviation 0.0100005 sqrt(10/9); 2.8 / sqrt(10) times that */
    cr_expect(epsilon_eq(dbl, n.detectable, 2.8 / sqrt(10) * 0.0100005 * sqrt(10.0 / 9), 1e-6));
    cr_expect(eq(dbl, n.cv, 0.02));
    Findings f = {0};
    doctor_noise(&f, &n);
    expect_level(&f, "noise", FINDING_OK);
    expect_level(&f, "plan", FINDING_OK);
    n = noise_floor_of(a, b, 4, cv);
    cr_expect(isnan(n.floor), "4 rounds have no 95 %% interval");
    findings_release(&f);
}
