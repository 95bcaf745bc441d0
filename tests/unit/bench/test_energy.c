/* Energy from counters of other machines than this one: files in a folder. */
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/machine/energy.h"
#include "tests/support/temp_dir.h"

#define ZONE "/sys/class/powercap/intel-rapl:"
#define PMU  "/sys/bus/event_source/devices/power/"

static Energy energy;

static void make_root(void)
{
    temp_dir_make();
    chmod(temp_dir, 0755); /* for a test that gives up being root */
}

static void remove_root(void)
{
    energy_close(&energy);
    temp_dir_remove();
}

static void put_package(int zone, const char *name, const char *count, const char *range)
{
    char path[128];
    snprintf(path, sizeof path, ZONE "%d/name", zone);
    temp_write(path, name);
    snprintf(path, sizeof path, ZONE "%d/energy_uj", zone);
    temp_write(path, count);
    snprintf(path, sizeof path, ZONE "%d/max_energy_range_uj", zone);
    if (range)
        temp_write(path, range);
}

/* Joules between what the counters say now and what they say after `change`, `seconds` later. */
static double joules_over(double seconds, void (*change)(void), const char **reason)
{
    EnergyReading from, to;
    energy_read(&energy, &from);
    if (change)
        change();
    energy_read(&energy, &to);
    to.ns = from.ns + (int64_t)(1e9 * seconds);
    return energy_joules(&energy, &from, &to, reason);
}

TestSuite(energy, .init = make_root, .fini = remove_root);

Test(energy, a_machine_without_counters_says_so)
{
    const char *reason;
    energy_open(&energy, temp_dir, 0);
    cr_expect(eq(int, energy.source, ENERGY_NONE));
    cr_expect(eq(str, (char *)energy_source_name(energy.source), "none"));
    cr_expect(strstr(energy.reason.msg, "no RAPL counter") != NULL, "%s", energy.reason.msg);
    cr_expect(isnan(joules_over(1, NULL, &reason)));
    cr_expect(isnan(energy_idle_watts(&energy, 0)));
}

static void two_packages_move(void)
{
    temp_write(ZONE "0/energy_uj", "3500000\n");
    temp_write(ZONE "1/energy_uj", "750000\n");
    temp_write(ZONE "2/energy_uj", "900000000\n");
}

Test(energy, packages_are_added_and_their_parts_are_not)
{
    const char *reason;
    put_package(0, "package-0\n", "1000000\n", "262143328850\n");
    put_package(1, "package-1\n", "500000\n", "262143328850\n");
    put_package(2, "psys\n", "0\n", "262143328850\n");
    temp_write(ZONE "0:0/name", "core\n");
    temp_write(ZONE "0:0/energy_uj", "77\n");
    energy_open(&energy, temp_dir, 0);
    cr_expect(eq(int, energy.source, ENERGY_POWERCAP));
    cr_expect(eq(sz, energy.count, 2));
    cr_expect(epsilon_eq(dbl, joules_over(1, two_packages_move, &reason), 2.75, 1e-12));
    cr_expect(eq(str, (char *)reason, ""));
}

static void wrap(void)
{
    temp_write(ZONE "0/energy_uj", "1000000\n");
}

Test(energy, a_wrap_is_counted_on)
{
    const char *reason;
    put_package(0, "package-0\n", "262142328850\n", "262143328850\n");
    energy_open(&energy, temp_dir, 0);
    /* 1000000 up to the range, one to zero, 1000000 more. */
    cr_expect(epsilon_eq(dbl, joules_over(1, wrap, &reason), 2.000001, 1e-9));
}

Test(energy, a_wrap_over_an_unknown_range_is_no_figure)
{
    const char *reason;
    put_package(0, "package-0\n", "262142328850\n", NULL);
    energy_open(&energy, temp_dir, 0);
    cr_expect(eq(int, energy.source, ENERGY_POWERCAP));
    cr_expect(isnan(joules_over(1, wrap, &reason)));
    cr_expect(strstr(reason, "range") != NULL, "%s", reason);
    cr_expect(eq(dbl, joules_over(1, NULL, &reason), 0), "it did not fall: no range is needed");
}

Test(energy, too_short_and_too_long_are_no_figures)
{
    const char *reason;
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    energy_open(&energy, temp_dir, 0);
    cr_expect(isnan(joules_over(0.099, NULL, &reason)));
    cr_expect(strstr(reason, "short") != NULL, "%s", reason);
    cr_expect(isnan(joules_over(30.1, NULL, &reason)));
    cr_expect(strstr(reason, "long") != NULL, "%s", reason);
    cr_expect(eq(dbl, joules_over(29.9, NULL, &reason), 0));
}

static void lose_counter(void)
{
    temp_write(ZONE "0/energy_uj", "");
}

Test(energy, a_counter_that_fails_later_is_no_figure)
{
    const char *reason;
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    energy_open(&energy, temp_dir, 0);
    cr_expect(isnan(joules_over(1, lose_counter, &reason)));
    cr_expect(strstr(reason, "could not be read") != NULL, "%s", reason);
}

Test(energy, permission_denied_is_a_reason)
{
    char path[256];
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    snprintf(path, sizeof path, "%s" ZONE "0/energy_uj", temp_dir);
    chmod(path, 0);
    uid_t self = geteuid();
    if (self == 0)
        cr_assert(seteuid(65534) == 0);
    energy_open(&energy, temp_dir, 0);
    if (self == 0)
        cr_assert(seteuid(0) == 0);
    cr_expect(eq(int, energy.source, ENERGY_NONE));
    cr_expect(strstr(energy.reason.msg, "energy_uj (Permission denied)") != NULL, "%s",
              energy.reason.msg);
}

Test(energy, an_unreadable_package_makes_the_others_useless)
{
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    put_package(1, "package-1\n", "no number\n", "262143328850\n");
    energy_open(&energy, temp_dir, 0);
    cr_expect(eq(int, energy.source, ENERGY_NONE));
    cr_expect(eq(sz, energy.count, 0));
}

Test(energy, a_list_of_cpus_may_have_ranges)
{
    int cpus[5];
    cr_assert(eq(sz, energy_read_cpus("0-2,24,7-7\n", cpus, COUNT_OF(cpus)), 5));
    const int expected[] = {0, 1, 2, 24, 7};
    cr_expect_arr_eq(cpus, expected, sizeof expected);
    cr_expect(eq(sz, energy_read_cpus("0-9", cpus, 3), 3));
    cr_expect(eq(sz, energy_read_cpus("", cpus, 3), 0));
}

/* The power PMU of perf, played by the kernel's software PMU: its event 0 is the clock of a CPU,
 * which counts a nanosecond at a time. Two packages: it is twice as fast. */
Test(energy, perf_counts_by_its_scale)
{
    const char *reason;
    temp_write(PMU "type", "1\n");
    temp_write(PMU "events/energy-pkg", "event=0x00\n");
    temp_write(PMU "events/energy-pkg.scale", "1.0e-9\n");
    temp_write(PMU "cpumask", "0,0\n");
    energy_open(&energy, temp_dir, 0);
    if (energy.source == ENERGY_NONE && strstr(energy.reason.msg, "perf may not"))
        cr_skip_test("perf is not allowed here");
    cr_assert(eq(int, energy.source, ENERGY_PERF));
    cr_assert(eq(sz, energy.count, 2));
    EnergyReading from, to;
    energy_read(&energy, &from);
    usleep(150000);
    energy_read(&energy, &to);
    double seconds = (double)(to.ns - from.ns) / 1e9;
    double joules = energy_joules(&energy, &from, &to, &reason);
    cr_expect(fabs(joules / (2 * seconds) - 1) < 0.05, "%g J in %g s", joules, seconds);
    from.ns -= (int64_t)60e9;
    cr_expect(not(isnan(energy_joules(&energy, &from, &to, &reason))), "it does not wrap");
}

Test(energy, an_estimate_is_made_only_when_asked_for)
{
    const char *reason;
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    energy_open(&energy, temp_dir, 15);
    cr_expect(eq(str, (char *)energy_source_name(energy.source), "model"));
    cr_expect(epsilon_eq(dbl, joules_over(0.002, NULL, &reason), 0.030, 1e-12));
    cr_expect(isnan(energy_idle_watts(&energy, 0)), "nothing was measured");
}

Test(energy, idle_power_and_its_drift)
{
    put_package(0, "package-0\n", "1\n", "262143328850\n");
    energy_open(&energy, temp_dir, 0);
    cr_expect(eq(dbl, energy_idle_watts(&energy, 0.12), 0), "the file stands still");
    cr_expect(eq(dbl, idle_watts(&(IdlePower){20, 22}), 21));
    cr_expect(not(idle_drifted(&(IdlePower){20, 22})));
    cr_expect(idle_drifted(&(IdlePower){20, 22.3}));
    cr_expect(isnan(idle_watts(&(IdlePower){20, NAN})));
}
