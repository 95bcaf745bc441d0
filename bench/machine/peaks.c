/* peaks: see peaks.h. */
#include "bench/machine/peaks.h"

#include <math.h>
#include <stdio.h>

#include "autograd/kernels/cpu.h"
#include "autograd/kernels/kernels.h"
#include "autograd/kernels/peak.h"
#include "bench/util/process.h"
#include "bench/machine/machine.h"

#define PEAK(name) FIELD(Peaks, REAL, #name, name, .unit = "")
static const Field fields[] = {
    PEAK(threads), PEAK(fma), PEAK(gemm), PEAK(bandwidth), PEAK(theoretical),
    PEAK(bf16),    PEAK(f16), PEAK(i8),   PEAK(groups),
};
const Schema peaks_schema = {"the machine's peaks", fields, COUNT_OF(fields), sizeof(Peaks)};

/* The best of as many products as fit into a fifth of a second. NaN when memory is refused. */
static double measure_gemm(int threads)
{
    const size_t n = 1024;
    const int64_t budget_ns = 200000000;
    Err err;
    size_t floats = 3 * n * n, scratch_bytes = gemm_scratch_bytes(threads);
    float *a = block_alloc(floats * sizeof(float) + scratch_bytes, &err);
    if (!a)
        return NAN;
    for (size_t i = 0; i < floats; i++)
        a[i] = 1.0f;
    Gemm g = gemm_of_square(a, n);
    double best = 0;
    for (int64_t first = clock_ns(), start = first; start - first < budget_ns;) {
        gemm_run(&g, threads, a + floats);
        int64_t end = clock_ns();
        best = fmax(best, 2.0 * (double)(n * n * n) / (double)(end - start));
        start = end;
    }
    block_free(a, floats * sizeof(float) + scratch_bytes);
    return best;
}

/* threads x FMA units x lanes x 2 x clock. How many units a thread has is not told; it is the
 * smallest whole number that explains the measured rate (a little more is allowed for a clock
 * above the one named). */
static double theoretical_rate(double threads, double measured)
{
    const double clock_slack = 0.25;
    const CpuFeatures *cpu = cpu_features();
    Machine c;
    machine_read(&c, "");
    double lanes = cpu->avx512 ? 16 : cpu->avx2_fma ? 8 : 4;
    double one_unit = threads * lanes * 2 * c.max_mhz / 1e3;
    return fmax(1, ceil(measured / one_unit - clock_slack)) * one_unit;
}

void peaks_measure(int64_t threads, Peaks *p)
{
    Machine c;
    machine_read(&c, "");
    int used =
        (int)(c.cpus_allowed != INT_MISSING && c.cpus_allowed < threads ? c.cpus_allowed : threads);
    *p = (Peaks){.threads = (double)threads};
    p->fma = peak_gflops(used);
    p->gemm = measure_gemm(used);
    double bandwidth = peak_bandwidth(used);
    p->bandwidth = bandwidth > 0 ? bandwidth : NAN;
    p->theoretical = theoretical_rate(used, peaks_measured(p));
    p->bf16 = peak_product_gflops(DT_BF16, used);
    p->f16 = peak_product_gflops(DT_F16, used);
    p->i8 = peak_product_gflops(DT_I8, used);
    p->groups = peak_product_gflops(DT_Q8_0, used);
}

/* ---- read bandwidth ---- */

#define MIB(size) FIELD(ReadBandwidth, REAL, "mib_" #size, mib_##size, .unit = "1e9 B/s")
static const Field read_fields[] = {FIELD(ReadBandwidth, REAL, "threads", threads, .unit = ""),
                                    MIB(1),
                                    MIB(4),
                                    MIB(16),
                                    MIB(64),
                                    MIB(256),
                                    MIB(1024)};
const Schema read_bandwidth_schema = {"the read bandwidth", read_fields, COUNT_OF(read_fields),
                                      sizeof(ReadBandwidth)};

static size_t read_size(size_t i)
{
    return (size_t)1 << (20 + 2 * i);
}

void read_bandwidth_measure(int64_t threads, ReadBandwidth *b)
{
    const int64_t memory = memory_auto_limit();
    *b = (ReadBandwidth){.threads = (double)threads};
    for (size_t i = 0; i < READ_SIZES; i++) {
        bool fits = memory == INT_MISSING || read_size(i) < (size_t)memory / 2;
        double rate = fits ? peak_read_bandwidth((int)threads, read_size(i)) : 0;
        *(FieldREAL *)field_at(&read_fields[i + 1], b) = rate > 0 ? rate : NAN;
    }
}

double read_bandwidth_over(const ReadBandwidth *b, double bytes)
{
    double rate = NAN;
    for (size_t i = 0; i < READ_SIZES; i++) {
        double here = field_number(&read_fields[i + 1], b);
        rate = isnan(here) ? rate : here;
        if ((double)read_size(i) >= bytes && !isnan(rate))
            break;
    }
    return rate;
}

/* ---- in a process of its own ---- */

static int parse_answer(const Child *c, const Schema *schema, void *record, Err *err)
{
    if (c->end != CHILD_EXITED || c->code != 0) {
        char reason[256];
        child_reason(c, reason, sizeof reason);
        return err_set(err, "%s could not be measured: %s", schema->what, reason);
    }
    json_error_t where;
    json_t *object = json_loadb(c->answer, c->answer_len, 0, &where);
    int status = object ? schema_from_json(schema, object, record, err)
                        : err_set(err, "%s: no JSON: %s", schema->what, where.text);
    json_decref(object);
    return status;
}

static int spawn(const char *what, int64_t threads, const Schema *schema, void *record, Err *err)
{
    char count[32], fd[16];
    snprintf(count, sizeof count, "%lld", (long long)threads);
    snprintf(fd, sizeof fd, "%d", CHILD_RESULT_FD);
    char *argv[] = {"tare", "run", (char *)what, "--threads", count, "--result-fd", fd, NULL};
    Child c;
    if (child_run(&c, own_program(), argv, PEAKS_MAX_SECONDS, err) != 0)
        return -1;
    int status = parse_answer(&c, schema, record, err);
    child_release(&c);
    return status;
}

int peaks_spawn(int64_t threads, Peaks *p, Err *err)
{
    return spawn("--peaks", threads, &peaks_schema, p, err);
}

int read_bandwidth_spawn(int64_t threads, ReadBandwidth *b, Err *err)
{
    static ReadBandwidth *known;
    static size_t count;
    for (size_t i = 0; i < count; i++)
        if (known[i].threads == (double)threads) {
            *b = known[i];
            return 0;
        }
    if (spawn("--read-bandwidth", threads, &read_bandwidth_schema, b, err) != 0)
        return -1;
    known = xgrow(known, count, sizeof *known);
    known[count++] = *b;
    return 0;
}

void peaks_raise(Peaks *p, const Peaks *other)
{
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        const Field *f = &fields[i];
        *(FieldREAL *)field_at(f, p) = fmax(field_number(f, p), field_number(f, other));
    }
}

/* fmax takes the number where the other side is NaN. */
double peaks_of_product(const Peaks *p, DType product)
{
    double own = product == DT_BF16          ? p->bf16
                 : product == DT_F16         ? p->f16
                 : dtype_is_grouped(product) ? p->groups
                                             : p->i8;
    double fp32 = fmax(p->fma, p->gemm);
    return product == DT_F32 ? fp32 : fmax(fp32, own);
}

double peaks_fraction(const Peaks *p, DType product, double gflops)
{
    return p ? gflops / peaks_of_product(p, product) : NAN;
}

/* The theoretical rate is known of fp32 only; a format is as many times faster in theory as it was
 * measured to be. */
double peaks_limit_of_product(const Peaks *p, DType product)
{
    double measured = peaks_of_product(p, product);
    double theoretical = p->theoretical * measured / peaks_measured(p);
    return PEAK_SLACK * fmax(measured, theoretical);
}

double peaks_measured(const Peaks *p)
{
    return peaks_of_product(p, DT_F32);
}

double peaks_limit(const Peaks *p)
{
    return peaks_limit_of_product(p, DT_F32);
}
