#!/usr/bin/env python3
"""Writes stats_golden.h: samples and what NumPy, SciPy or exact arithmetic say about them.

    python3 tests/golden/make_stats_golden.py > tests/golden/stats_golden.h
    clang-format -i tests/golden/stats_golden.h

Needs numpy and scipy (written with 2.4 and 1.17). What neither offers is computed here a second way:
rational numbers for the rank distribution, a plain port of the generator for the bootstrap.
"""
import csv
from fractions import Fraction
from itertools import product
from math import comb, exp, sqrt
from pathlib import Path

import numpy as np
from scipy import stats

LEVEL = 0.95


def c_double(value):
    return "NAN" if value is None else repr(float(value))


def array(name, values):
    body = ",\n    ".join(", ".join(c_double(v) for v in values[i:i + 4]) for i in range(0, len(values), 4))
    print(f"static const double {name}[] = {{\n    {body}}};\n")


def number(name, value):
    print(f"static const double {name} = {c_double(value)};")


def table(c_type, name, rows):
    print(f"static const {c_type} {name}[] = {{")
    for row in rows:
        print("    {" + ", ".join(c_double(v) if isinstance(v, float) else str(v) for v in row) + "},")
    print("};\n")


# -- samples -----------------------------------------------------------------------------------------

rng = np.random.default_rng(20240611)
SAMPLES = {
    "times_10": 100 * (1 + 0.02 * rng.normal(size=10)),
    "times_25": 52.5 * np.exp(0.05 * rng.normal(size=25)),
    "times_40": 80 * np.exp(0.3 * rng.normal(size=40)),
    "old_8": 100 * (1 + 0.02 * rng.normal(size=8)),
    "new_10": 104 * (1 + 0.02 * rng.normal(size=10)),
    "old_25": 100 * (1 + 0.04 * rng.normal(size=25)),
    "new_22": 101 * (1 + 0.03 * rng.normal(size=22)),
    "tied_7": np.array([5.0, 5, 6, 6, 6, 7, 9]),
    "tied_9": np.array([6.0, 6, 7, 7, 8, 9, 9, 10, 11]),
}

# The mean_time_ms column of the reference table.
with open(Path(__file__).parent / "seed_sweep.csv", newline="") as table_file:
    REFERENCE_MEANS = [float(row["mean_time_ms"]) for row in csv.DictReader(table_file)]


# -- one sample --------------------------------------------------------------------------------------

def quantile_ranks(n, p):
    """Largest l with P(Bin < l) <= alpha/2, smallest u with P(Bin >= u) <= alpha/2, in rationals."""
    p, tail = Fraction(p).limit_denominator(1000), Fraction(1, 40)
    term = [comb(n, k) * p**k * (1 - p)**(n - k) for k in range(n + 1)]
    lo = max(l for l in range(n + 1) if sum(term[:l]) <= tail)
    hi = min(u for u in range(1, n + 2) if sum(term[u:]) <= tail)
    return lo, hi, float(sum(term[lo:hi]))


def one_sample(name):
    x = SAMPLES[name]
    n = len(x)
    t = stats.ttest_1samp(x, 0).confidence_interval(LEVEL)
    lo, hi, coverage = quantile_ranks(n, 0.5)
    s = sorted(x)
    mad = stats.median_abs_deviation(x)
    return [f'"{name}"', name, n, float(np.mean(x)), float(np.std(x, ddof=1)), float(stats.gmean(x)),
            float(np.median(x)), float(mad), float(np.quantile(x, 0.25)), float(np.quantile(x, 0.95)),
            float(t.low), float(t.high),
            float(s[lo - 1]), float(s[hi - 1]), coverage]


# -- bootstrap ---------------------------------------------------------------------------------------

MASK = 2**64 - 1


def mix64(z):
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9 & MASK
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb & MASK
    return z ^ (z >> 31)


def seed_word(seed, counter):
    """rng_u64(seed, 0, counter) of autograd/base.h."""
    golden = 0x9e3779b97f4a7c15
    key = mix64((seed + golden * (mix64(golden) | 1)) & MASK)
    return mix64((key + golden * (counter + 1)) & MASK)


def rotate(x, k):
    return (x << k | x >> (64 - k)) & MASK


class Xoshiro256StarStar:
    def __init__(self, state):
        self.s = list(state)

    def next(self):
        s = self.s
        result = rotate(s[1] * 5 & MASK, 7) * 9 & MASK
        t = s[1] << 17 & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 45)
        return result

    def below(self, bound):
        return self.next() * bound >> 64


def bca_same_stream(x, resamples=10000, seed=20210917):
    """The BCa interval from the very resamples the C code draws."""
    r = Xoshiro256StarStar(seed_word(seed, i) for i in range(4))
    n, mean = len(x), float(np.mean(x))
    means = np.array([sum(x[r.below(n)] for _ in range(n)) / n for _ in range(resamples)])
    z0 = stats.norm.ppf(np.mean(means < mean))
    jackknife = (np.sum(x) - x) / (n - 1)
    d = np.mean(jackknife) - jackknife
    a = np.sum(d**3) / (6 * np.sum(d**2)**1.5)
    ends = []
    for p in (0.025, 0.975):
        z = z0 + stats.norm.ppf(p)
        ends.append(float(np.quantile(means, stats.norm.cdf(z0 + z / (1 - a * z)))))
    return ends


def bca_scipy(x):
    ci = stats.bootstrap((x,), np.mean, n_resamples=100000, method="BCa",
                         rng=np.random.default_rng(1)).confidence_interval
    return float(ci.low), float(ci.high)


# -- two samples -------------------------------------------------------------------------------------

def u_distribution(n, m):
    """How many of the C(n+m, n) orders have U = u, by the textbook recursion."""
    ways = {(i, 0): [1] for i in range(n + 1)} | {(0, j): [1] for j in range(m + 1)}
    for i, j in product(range(1, n + 1), range(1, m + 1)):
        w = [0] * (i * j + 1)
        for u, c in enumerate(ways[i - 1, j]):
            w[u + j] += c
        for u, c in enumerate(ways[i, j - 1]):
            w[u] += c
        ways[i, j] = w
    return ways[n, m]


def exact_k(n, m):
    """The largest k with P(U < k) <= alpha/2, and the coverage 1 - 2 P(U < k)."""
    ways, total, below, k = u_distribution(n, m), comb(n + m, n), 0, 0
    while Fraction(below + ways[k], total) <= Fraction(1, 40):
        below += ways[k]
        k += 1
    return k, 1 - 2 * below / total


def normal_k(n, m, pooled):
    big = n + m
    ties = sum(t**3 - t for t in np.unique(pooled, return_counts=True)[1])
    sigma = sqrt(n * m / 12 * (big + 1 - ties / (big * (big - 1))))
    return int(np.floor(n * m / 2 + 0.5 - stats.norm.ppf(0.975) * sigma)), LEVEL


def two_samples(old, new):
    a, b = np.log(SAMPLES[old]), np.log(SAMPLES[new])
    n, m = len(a), len(b)
    pooled = np.concatenate([SAMPLES[old], SAMPLES[new]])
    exact = max(n, m) <= 20 and len(np.unique(pooled)) == n + m
    k, coverage = exact_k(n, m) if exact else normal_k(n, m, pooled)
    d = np.sort(np.subtract.outer(b, a).ravel())
    p = stats.mannwhitneyu(SAMPLES[new], SAMPLES[old], method="exact" if exact else "asymptotic").pvalue
    welch = stats.ttest_ind(b, a, equal_var=False)
    ci = welch.confidence_interval(LEVEL)
    return [old, n, new, m, exp(np.median(d)), exp(d[k - 1]), exp(d[n * m - k]), coverage, float(p),
            exp(np.mean(b) - np.mean(a)), exp(ci.low), exp(ci.high), float(welch.pvalue)]


def main():
    print("/* Written by make_stats_golden.py from NumPy, SciPy and exact arithmetic; not edited by hand. */")
    print("#include <math.h>\n#include <stddef.h>\n")
    for name, values in SAMPLES.items():
        array(name, values)

    array("reference_means", REFERENCE_MEANS)

    print("typedef struct OneSample {\n    const char *name;\n    const double *x;\n    size_t n;\n"
          "    double mean, std, geometric_mean, median, mad, q1, p95;\n"
          "    double t_lo, t_hi, median_lo, median_hi, median_coverage;\n} OneSample;\n")
    table("OneSample", "one_sample", [one_sample(n) for n in ("times_10", "times_25", "times_40")])

    number("bca_lo", bca_same_stream(SAMPLES["times_40"])[0])
    number("bca_hi", bca_same_stream(SAMPLES["times_40"])[1])
    number("bca_scipy_lo", bca_scipy(SAMPLES["times_40"])[0])
    number("bca_scipy_hi", bca_scipy(SAMPLES["times_40"])[1])
    print()

    print("typedef struct TwoSamples {\n    const double *old;\n    size_t n;\n    const double *new;\n"
          "    size_t m;\n    double ratio, lo, hi, coverage, p;\n"
          "    double welch_ratio, welch_lo, welch_hi, welch_p;\n} TwoSamples;\n")
    table("TwoSamples", "two_samples", [two_samples("old_8", "new_10"), two_samples("old_25", "new_22"),
                                        two_samples("tied_7", "tied_9")])

    print("typedef struct QuantileCase {\n    double p, df, value; /* df 0: the normal */\n} QuantileCase;\n")
    table("QuantileCase", "quantile_cases",
          [[p, float(df), float(stats.t.ppf(p, df) if df else stats.norm.ppf(p))]
           for df in (0, 1, 2.5, 9, 29, 1000) for p in (1e-6, 0.025, 0.4, 0.975, 0.9999)])

    print("typedef struct BinomialCase {\n    size_t k, n;\n    double p, below;\n} BinomialCase;\n")
    table("BinomialCase", "binomial_cases",
          [[k, n, p, float(stats.binom.cdf(k - 1, n, p))]
           for k, n, p in ((2, 10, 0.5), (3, 10, 0.95), (940, 1000, 0.95), (49800, 100000, 0.5))])

    print("typedef struct RankCase {\n    size_t n;\n    double p;\n    size_t lo, hi;\n"
          "    double coverage;\n} RankCase;\n")
    table("RankCase", "rank_cases",
          [[n, p, *quantile_ranks(n, p)] for n, p in ((5, 0.5), (6, 0.5), (10, 0.5), (30, 0.5), (200, 0.5),
                                                      (20, 0.95), (100, 0.95), (500, 0.99))])

    p = [0.001, 0.3, 0.012, 0.04, 0.0004, 0.9, 0.04, 0.02]
    array("bh_p", p)
    array("bh_q", stats.false_discovery_control(p))

    wilson = stats.binomtest(29, 30).proportion_ci(LEVEL, method="wilson")
    number("wilson_29_30_lo", wilson.low)
    number("wilson_29_30_hi", wilson.high)
    number("mcnemar_3_11", stats.binomtest(3, 14).pvalue)


if __name__ == "__main__":
    main()
