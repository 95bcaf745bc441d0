/* peaks: the rates this machine cannot exceed, measured on as many threads as a row uses.
 *
 * A rate is shown as a share of them, and one above them is not believed (plausible.h). The whole
 * measurement takes under a second. A parent that never runs a kernel asks a child process:
 * peaks_spawn. */
#pragma once

#include "autograd/base.h"
#include "autograd/dtype.h"
#include "bench/util/fields.h"

/* Rates are in 1e9 per second. NaN = not known. peaks_schema: all of them, for JSON. */
typedef struct Peaks {
    double threads;
    double fma;         /* multiply-adds from registers, FLOPs */
    double gemm;        /* our matrix product of 1024 x 1024 x 1024, FLOPs */
    double bandwidth;   /* bytes of the triad a = b + s c */
    double theoretical; /* FLOPs at the highest clock the system names; NaN where it names none */
    /* Like fma, of products in that format by the best this CPU has for it; groups: q8_0, q4_0. */
    double bf16, f16, i8, groups;
} Peaks;

extern const Schema peaks_schema;

/* In this process; starts its team of threads. More threads than allowed CPUs reach no more. */
void peaks_measure(int64_t threads, Peaks *p);

/* In a process of its own: `tare run --peaks`. -1 also where that takes longer than the limit: it
 * is stopped, or hangs. */
enum { PEAKS_MAX_SECONDS = 60 };
int peaks_spawn(int64_t threads, Peaks *p, Err *err);

/* Read bandwidth in 1e9 bytes per second over working sets of READ_SIZES sizes, 1 MiB to 1 GiB; NaN
 * where there is no memory for one. */
enum { READ_SIZES = 6 };
typedef struct ReadBandwidth {
    double threads;
    double mib_1, mib_4, mib_16, mib_64, mib_256, mib_1024;
} ReadBandwidth;

extern const Schema read_bandwidth_schema; /* threads, then the sizes */

/* In this process; takes about a second. */
void read_bandwidth_measure(int64_t threads, ReadBandwidth *b);

/* In a process of its own, as peaks_spawn; the second time in this program what the first found. */
int read_bandwidth_spawn(int64_t threads, ReadBandwidth *b, Err *err);

/* Over the smallest of the sizes that holds `bytes`, else the largest that is known; NaN: none. */
double read_bandwidth_over(const ReadBandwidth *b, double bytes);

/* The higher of each rate. */
void peaks_raise(Peaks *p, const Peaks *other);

/* What the peak_fraction of a row with products in this format divides by: the highest rate
 * measured of them, or of fp32 where that is higher. */
double peaks_of_product(const Peaks *p, DType product);

/* A rate as a share of that; NaN where one of them is not known. p may be NULL. */
double peaks_fraction(const Peaks *p, DType product, double gflops);

/* By how much a figure may be above a measured peak before it is not believed. */
#define PEAK_SLACK 1.05

/* The rate above which such a row is not believed: PEAK_SLACK x the highest of all, theoretical
 * included. */
double peaks_limit_of_product(const Peaks *p, DType product);

/* Both for fp32. */
double peaks_measured(const Peaks *p);
double peaks_limit(const Peaks *p);
