/* doctor: `tare doctor`: what this machine is, what it can reach, how noisy it is, and what to do
 * about it. Facts and advice come from doctor/doctor.h; here they are gathered and printed. */
#include <stdio.h>

#include "autograd/kernels/kernels.h"
#include "bench/commands.h"
#include "bench/doctor/doctor.h"
#include "bench/machine/blas.h"
#include "bench/util/interrupt.h"
#include "bench/util/options.h"
#include "bench/util/table.h"
#include "bench/machine/threads.h"

static void print_new(const Findings *f, size_t from)
{
    for (size_t i = from; i < f->count; i++) {
        const Finding *found = &f->at[i];
        printf("%-5s %-11s %s\n", finding_level_name(found->level), found->topic, found->fact);
        if (found->advice[0])
            printf("%-17s -> %s\n", "", found->advice);
    }
    fflush(stdout);
}

/* What needs no measurement but the clock's. */
static void examine(Findings *f, const Machine *c, int64_t threads)
{
    ClockCost cost = clock_cost();
    doctor_build(f, kernels()->isa, best_isa(), gemm_blas_description());
    doctor_processor(f, c, threads, threads_seen(threads));
    doctor_formats(f);
    doctor_memory(f, c);
    doctor_clock(f, c, &cost);
}

static int print_read_bandwidth(int64_t threads, int64_t *printed, Table *t, Err *err)
{
    ReadBandwidth b;
    if (*printed == threads)
        return 0;
    *printed = threads;
    if (read_bandwidth_spawn(threads, &b, err) != 0)
        return -1;
    table_row(t, "%.0f|%.1f|%.1f|%.1f|%.1f|%.1f|%.1f", b.threads, b.mib_1, b.mib_4, b.mib_16,
              b.mib_64, b.mib_256, b.mib_1024);
    return 0;
}

/* By threads, doubled up to those that rows would run on. */
static int measure_reading(int64_t threads, Err *err)
{
    int64_t printed = 0;
    Table t = table_new(stdout, TABLE_TEXT, "threads|1 MiB|4 MiB|16 MiB|64 MiB|256 MiB|1 GiB");
    int status = 0;
    for (int64_t n = 1; n < threads && status == 0; n *= 2)
        status = print_read_bandwidth(n, &printed, &t, err);
    if (status == 0)
        status = print_read_bandwidth(threads, &printed, &t, err);
    printf("\nGB/s read, over working sets of\n");
    table_end(&t);
    putchar('\n');
    return status;
}

/* The parts that load the machine, each in child processes; findings are printed as they come. */
static int measure(Findings *f, int64_t threads, size_t rounds, Err *err)
{
    size_t printed = f->count;
    Peaks peaks;
    if (peaks_spawn(threads, &peaks, err) != 0)
        return -1;
    doctor_peaks(f, &peaks);
    print_new(f, printed);
    printed = f->count;
    if (measure_reading(threads, err) != 0)
        return -1;
    if (rounds == 0)
        return 0;
    const uint64_t order_seed = 1;
    NoiseFloor noise;
    fprintf(stderr, "running a small row against itself, %zu rounds\n", rounds);
    if (noise_floor_measure(rounds, threads, order_seed, &noise, err) != 0)
        return -1;
    doctor_noise(f, &noise);
    print_new(f, printed);
    return 0;
}

static int diagnose(int64_t threads, size_t rounds, Err *err)
{
    Findings f = {0};
    Machine c;
    interrupt_install();
    machine_read(&c, "");
    CpuTime before = machine_cpu_time("");
    examine(&f, &c, threads);
    print_new(&f, 0);
    int status = measure(&f, threads, rounds, err);
    size_t printed = f.count;
    CpuTime after = machine_cpu_time("");
    doctor_quiet(&f, &c, machine_other_cpus(before, after, (double)c.cpus_online),
                 machine_steal_fraction(before, after));
    print_new(&f, printed);
    findings_release(&f);
    if (interrupted())
        return EXIT_INTERRUPTED;
    if (status != 0)
        fprintf(stderr, "%s\n", err->msg);
    return status == 0 ? EXIT_OK : EXIT_NOT_OK;
}

int cmd_doctor(int argc, char **argv, Err *err)
{
    int64_t threads = threads_default(), rounds = 10;
    const Option options[] = {
        threads_option(&threads),
        option_int("--rounds", "N", &rounds, 0, 1000,
                   "rounds of a small row against itself, 10 by default; 0 = none"),
    };
    const Command command = {.verb = "doctor",
                             .summary = "what this machine is, how noisy it is, and what to fix "
                                        "before measuring",
                             OPTIONS(options)};
    int outcome = options_parse(&command, argc, argv, err);
    return outcome == OPTIONS_RUN ? diagnose(threads, (size_t)rounds, err) : outcome;
}
