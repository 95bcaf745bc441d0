#!/usr/bin/env python3
"""The analysis commands, run as a user runs them: golden report, bad input, verdicts, pictures.

Results of the C program are imitated by `synthetic`, from a fixed seed: quiet trials with 1 %
noise, one cold first run, a level shift in one row, and rows that did not run.
"""

import contextlib
import csv
import html.parser
import io
import math
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

HERE = os.path.dirname(os.path.abspath(__file__))
ANALYSIS = os.path.join(HERE, "..", "..", "..", "analysis")
GOLDEN = os.path.join(HERE, "..", "..", "golden")
SEED_CSV = os.path.join(GOLDEN, "seed_sweep.csv")
sys.path.insert(0, ANALYSIS)

import fetch_sentiment  # noqa: E402
import table  # noqa: E402
import verdicts  # noqa: E402

SIZES = {
    "small": (768, 12, 12, 124439808, 40.0),
    "medium": (1024, 24, 16, 354823168, 110.0),
    "large": (1280, 36, 20, 774030080, 260.0),
}


def run(script, *args, stdout=subprocess.PIPE, python=(sys.executable,)):
    return subprocess.run(
        [*python, os.path.join(ANALYSIS, script), *args],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )


def read(path):
    with open(path, newline="", encoding="utf-8") as file:
        return file.read()


def write(path, text):
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write(text)
    return path


def write_csv(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def synthetic_runs(rng, level, cold, warmups, trials, shifted):
    """Milliseconds of all runs of a process: 1 % noise, a cold first run, maybe a level shift."""
    runs = [level * rng.gauss(1, 0.01) for _ in range(warmups + trials)]
    runs[0] += cold
    return [
        ms * (0.7 if shifted and i >= warmups + trials // 2 else 1) for i, ms in enumerate(runs)
    ]


def synthetic_row(rng, size, context, warmups, forward_only, row_id):
    d_model, layers, heads, params, level = SIZES[size]
    level *= context / 128 * (1 if forward_only else 3)
    trials = 10
    shifted = (size, context, warmups, forward_only) == ("large", 128, 5, True)
    runs = synthetic_runs(rng, level, 0.3 * level + 80, warmups, trials, shifted)
    timed, steady = runs[warmups:], statistics.median(runs[1:])
    mean, std = statistics.mean(timed), statistics.stdev(timed)
    predicted = params * 4 * (1 if forward_only else 2.1) + 2**28
    row = {
        "model_size": size,
        "d_model": d_model,
        "context_length": context,
        "num_layers": layers,
        "num_heads": heads,
        "batch_size": 4,
        "num_warmups": warmups,
        "num_trials": trials,
        "forward_only": forward_only,
        "mean_time_ms": f"{mean:.12g}",
        "std_time_ms": f"{std:.12e}",
        "status": "ok",
        "status_reason": "",
        "row_id": row_id,
        "precision": "fp32",
        "threads": 2,
        "num_params": params,
        "median_ms": f"{statistics.median(timed):.12g}",
        "first_trial_ms": f"{runs[0]:.12g}",
        "first_over_steady": f"{runs[0] / steady:.9g}",
        "steady_class": "no_steady_state" if shifted else "warmup",
        "warmups_needed": "" if shifted else 1,
        "noise": "trial 7: +212 ms, 209 ms waiting for a CPU" if row_id == "r00000004" else "",
        "cpu_wait": 0.31 if row_id == "r00000005" else 0,
        "forward_ms": f"{level / 3:.9g}" if not forward_only else "",
        "backward_ms": f"{level * 2 / 3:.9g}" if not forward_only else "",
        "peak_fraction": f"{rng.uniform(0.55, 0.7):.9g}",
        "predicted_peak_bytes": int(predicted),
        "peak_rss_bytes": int(predicted * rng.uniform(0.95, 1.06)),
        "blas": "OpenBLAS 0.3.21 <omp>",
        "cpu_model": "Imaginary & Sons CPU",
        "timestamp_utc": "2026-01-02T03:04:05Z",
        "git_commit": "0123abcd",
    }
    samples = [
        {
            "row_id": row_id,
            "trial": i + 1,
            "is_warmup": i < warmups,
            "wall_ns": round(ms * 1e6),
            "cpu_ns": round(ms * 2e6),
        }
        for i, ms in enumerate(runs)
    ]
    return row, samples


def synthetic(folder, name="synthetic", sizes=tuple(SIZES), contexts=(128, 256)):
    """Writes NAME.csv and NAME.samples.csv as a sweep leaves them; returns the first path."""
    rng, rows, samples = random.Random(20260102), [], []
    for size in sizes:
        for context in contexts:
            for warmups in (0, 1, 5):
                for forward_only in (False, True):
                    row, runs = synthetic_row(
                        rng, size, context, warmups, forward_only, f"r{len(rows):08x}"
                    )
                    rows.append(row)
                    samples += runs
    keys = list(rows[0])
    config = {key: rows[-1][key] for key in keys[:9]}
    for status, reason in (
        ("skipped_memory", "needs 30.1 GiB, 22.4 GiB | are free"),
        ("failed", 'killed by signal 11, "SIGSEGV"'),
        ("implausible", "140 % of peak"),
    ):
        time = {"mean_time_ms": "1e-3", "std_time_ms": "1e-4"} if status == "implausible" else {}
        rows.append(
            {
                **dict.fromkeys(keys, ""),
                **config,
                "model_size": "huge-" + status,
                "status": status,
                "status_reason": reason,
                "row_id": "x" + status,
                **time,
            }
        )
    write_csv(os.path.join(folder, name + ".samples.csv"), samples)
    return write_csv(os.path.join(folder, name + ".csv"), rows)


class TempDir(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.dir = folder.name

    def path(self, name):
        return os.path.join(self.dir, name)

    def assertOneLine(self, result, *words):
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr, r"\Aerror: [^\n]+\n\Z")
        for word in words:
            self.assertIn(word, result.stderr)


class GoldenReport(TempDir):
    def test_seed_line_for_line(self):
        """All lines of the reference; five figures there were averaged from unrounded times."""
        result = run("summarize.py", SEED_CSV)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        expected = read(os.path.join(GOLDEN, "seed_report.md"))
        for ours, theirs in (
            ("130.88", "130.89"),
            (" 74.88", " 74.87"),
            ("371.38", "371.39"),
            ("290.64", "290.63"),
            ("113.5  |\n| min", "113.51 |\n| min"),
        ):
            self.assertEqual(expected.count(theirs), 1, theirs)
            expected = expected.replace(theirs, ours)
        self.assertEqual(result.stdout, expected)

    def test_rows_that_did_not_run(self):
        """They appear in a section of their own; the rest is the report of a file without them, but for
        the averages, which leave out what is not believed."""
        path = synthetic(self.dir)
        with open(path, newline="", encoding="utf-8") as file:
            ok = [row for row in csv.DictReader(file) if row["status"] == "ok"]
        columns = table.REFERENCE
        alone = write_csv(self.path("alone.csv"), [{c: row[c] for c in columns} for row in ok])
        whole, clean = run("summarize.py", path).stdout, run("summarize.py", alone).stdout
        tables, averages = "# Benchmark Results Summary", "### Mean Time by Warmup Count"
        self.assertEqual(whole.split(averages)[0], clean.split(averages)[0])
        self.assertTrue(whole.startswith(tables))
        self.assertIn("| count |          36 ", clean)
        self.assertIn("| count |          34 ", whole)
        section = whole[whole.index("## Rows Not Averaged") :]
        self.assertIn("## Rows Not Averaged", section)
        self.assertIn(
            r"| huge-skipped_memory/256/fwd/w5 | skipped_memory | needs 30.1 GiB, 22.4 GiB \| are",
            section,
        )
        self.assertNotIn("huge", clean)

    def test_no_row_ran(self):
        text = read(SEED_CSV).splitlines()
        path = write(
            self.path("planned.csv"), f"{text[0]},status\n{text[1].rsplit(',', 2)[0]},,,planned\n"
        )
        result = run("summarize.py", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("| small/128/fwdbwd/w0 | planned  |", result.stdout)

    def test_times_under_a_millisecond_keep_three_digits(self):
        header = read(SEED_CSV).splitlines()[0]
        path = write(
            self.path("tiny.csv"), f"{header}\n1e3,32,32,5,4,1,1,10,True,2.3456e-2,1.5e-4\n"
        )
        result = run("summarize.py", path)
        self.assertIn("| 1e3          |", result.stdout)
        self.assertIn("0.0235", result.stdout)

    def test_one_trial_has_no_spread(self):
        header = read(SEED_CSV).splitlines()[0]
        path = write(self.path("one.csv"), f"{header}\nm,32,32,5,4,1,1,1,True,23.456,\n")
        result = run("summarize.py", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("|          23.46 |               |\n", result.stdout)


class BadInput(TempDir):
    def test_files(self):
        header, row = read(SEED_CSV).splitlines()[:2]
        cases = {
            "empty.csv": ("", "is empty"),
            "header.csv": (header + "\n", "no rows"),
            "other.csv": ("a,b\n1,2\n", "lacks model_size"),
            "lacking.csv": (f"{header.replace(',num_heads', '')}\n", "lacks num_heads"),
            "twice.csv": (f"{header},d_model\n{row},1\n", "twice"),
            "ragged.csv": (f"{header}\n{row},9\n{row}\n", "line 2: 12 fields"),
            "short.csv": (f"{header}\n{row[:20]}\n{row}\n", "line 2"),
            "word.csv": (
                f"{header}\n{row.replace('192.65', 'fast')}\n",
                "line 2: mean_time_ms is 'fast'",
            ),
            "nan.csv": (f"{header}\n{row.replace('192.65', 'nan')}\n", "1e-9 to 1e30"),
            "negative.csv": (f"{header}\n{row.replace('192.65', '-1')}\n", "1e-9 to 1e30"),
            "whole.csv": (f"{header}\n{row.replace('768', '76.8')}\n", "d_model is '76.8'"),
            "none.csv": (f"{header}\n{row.replace('128', '0')}\n", "context_length is '0'"),
            "huge.csv": (f"{header}\n{row.replace('768', '1e400')}\n", "whole number"),
            "bool.csv": (f"{header}\n{row.replace('False', 'maybe')}\n", "True or False"),
            "quote.csv": (f'{header}\n"{row}\n', "line"),
            "no_mean.csv": (
                f"{header},status\n{row.replace('192.65', '')},ok\n",
                "mean_time_ms is empty",
            ),
            "zero.csv": (f"{header}\n{row.replace('192.65', '0')}\n", "empty or 0"),
        }
        for name, (text, words) in cases.items():
            with self.subTest(name=name):
                path = write(self.path(name), text)
                self.assertOneLine(run("summarize.py", path), path, words)
        self.assertOneLine(run("verdicts.py", path), path)
        self.assertOneLine(run("report.py", SEED_CSV, path, "-o", self.path("r.html")), path)
        self.assertFalse(os.path.exists(self.path("r.html")))

    def test_not_a_file(self):
        self.assertOneLine(run("summarize.py", self.path("missing.csv")), "No such file")
        self.assertOneLine(run("summarize.py", self.dir), "directory")
        with open(self.path("binary"), "wb") as file:
            file.write(b"\x89PNG\xff\xfe\x00")
        self.assertOneLine(run("summarize.py", self.path("binary")), "UTF-8")

    def test_torn_last_line_is_left_out_and_said(self):
        whole = read(SEED_CSV)
        path = write(self.path("torn.csv"), whole[:-20])
        result = run("summarize.py", path)
        self.assertEqual(result.returncode, 0)
        self.assertIn("cut short", result.stderr)
        self.assertIn("| count |          59", result.stdout)

    def test_samples_beside_a_file_of_another_ending(self):
        path = synthetic(self.dir)
        other = self.path("synthetic.dat")
        os.rename(path, other)
        os.rename(self.path("synthetic.samples.csv"), other + ".samples.csv")
        write(other + ".samples.csv", read(other + ".samples.csv").replace("True", "perhaps", 1))
        self.assertOneLine(run("report.py", other, "-o", self.path("r.html")), "synthetic.dat.samples.csv")

    def test_samples_beside_the_file(self):
        path, samples = synthetic(self.dir), self.path("synthetic.samples.csv")
        whole = read(samples)
        write(samples, whole[:-12])
        result = run("report.py", path, "-o", self.path("r.html"))
        self.assertEqual(result.returncode, 0)
        self.assertIn(f"{samples}: the last line", result.stderr)
        write(samples, whole.replace("True", "perhaps", 1))
        self.assertOneLine(run("report.py", path, "-o", self.path("other.html")), samples, "is_warmup")
        self.assertOneLine(run("summarize.py", path, "--plots", self.dir), samples, "is_warmup")
        self.assertEqual(run("summarize.py", path).returncode, 0)

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            self.assertOneLine(run("summarize.py", SEED_CSV, stdout=full), "No space left")
            self.assertOneLine(run("verdicts.py", SEED_CSV, stdout=full), "No space left")
        self.assertOneLine(run("report.py", SEED_CSV, "-o", "/dev/full"), "No space left")
        self.assertOneLine(run("report.py", SEED_CSV, "-o", self.path("no/r.html")), "No such file")
        self.assertOneLine(run("report.py", SEED_CSV, "-o", self.dir), "irectory")
        shell = f"{sys.executable} {ANALYSIS}/summarize.py {SEED_CSV}"
        closed = subprocess.run(
            f"{shell} | head -n 1; {shell} >&-",
            shell=True,
            text=True,
            check=False,
            capture_output=True,
        )
        self.assertEqual(closed.stdout, "# Benchmark Results Summary\n")
        self.assertEqual(closed.stderr, "error: cannot write to stdout: it is closed\n")

    def test_plots_folder_that_is_a_file(self):
        result = run("summarize.py", SEED_CSV, "--plots", SEED_CSV)
        self.assertOneLine(result, "cannot create", "File exists")

    def test_missing_module(self):
        """Without site-packages there is no pandas: one line that says how to install it."""
        for script in ("summarize.py", "verdicts.py", "report.py"):
            result = run(script, SEED_CSV, python=(sys.executable, "-S"))
            self.assertOneLine(result, "'pandas'", "requirements.txt")


class Verdicts(TempDir):
    def judge(self, path):
        return verdicts.judge(table.load(path).ran).set_index("name")

    def test_one_outlier_is_exact_without_noise(self):
        trials = [927.0] + [111.0] * 9
        steady, odd = verdicts.one_outlier(statistics.mean(trials), statistics.stdev(trials), 10)
        self.assertAlmostEqual(steady, 111, places=9)
        self.assertAlmostEqual(odd, 927, places=9)

    def test_two_levels_is_exact_without_noise(self):
        trials = [75.0] * 4 + [110.0] * 6
        k, other = verdicts.two_levels(statistics.mean(trials), statistics.stdev(trials), 10, 110)
        self.assertAlmostEqual(k, 4, places=9)
        self.assertAlmostEqual(other, 75, places=9)

    def test_reference_table(self):
        judged = self.judge(SEED_CSV)
        cold = judged[judged["verdict"] == verdicts.COLD]
        self.assertEqual(set(cold.index), set(judged.index[judged["num_warmups"] == 0]))
        self.assertEqual(
            list(judged.index[judged["verdict"] == verdicts.NOT_SETTLED]), ["large/128/fwd/w5"]
        )
        self.assertFalse((judged["verdict"] == verdicts.DISAGREES).any())
        self.assertIn("about 5 of 10 trials ran at 75.5 ms", judged.loc["large/128/fwd/w5", "why"])
        small = judged.loc["small/128/fwdbwd/w0"]
        self.assertAlmostEqual(small["steady_ms"], 192.65 - 258.17 / math.sqrt(10))
        self.assertAlmostEqual(small["cold_ms"], small["steady_ms"] + 258.17 * math.sqrt(10))
        for size in ("small", "medium", "large", "xl", "2.7B"):
            self.assertIn(
                f"\n{size}: 1 warmup is enough; the cold trial costs ",
                run("verdicts.py", SEED_CSV).stdout,
            )

    def test_the_limits_leave_the_reference_table_room(self):
        """What the comments at QUIET, AGREE and in the file's head say was observed."""
        judged = self.judge(SEED_CSV)
        worst_cold = worst_pair = 0.0
        for _, group in judged.groupby(["series", "context_length", "forward_only"]):
            warm = group[(group["num_warmups"] > 0) & (group["verdict"] != verdicts.NOT_SETTLED)]
            quietest = warm.loc[
                (warm["std_time_ms"] / warm["mean_time_ms"]).idxmin(), "mean_time_ms"
            ]
            for _, row in group[group["num_warmups"] == 0].iterrows():
                worst_cold = max(worst_cold, abs(row["steady_ms"] / quietest - 1))
            worst_pair = max(worst_pair, abs(warm["mean_time_ms"] / quietest - 1).max())
        self.assertLess(worst_cold, 0.051)
        self.assertLess(worst_pair, 0.054)
        self.assertLessEqual(2 * worst_pair, verdicts.AGREE + 0.01)

    def test_quiet_rows_raise_no_warning(self):
        """500 triples of rows with 2 % noise and, without warmup, a first trial twice as slow."""
        rng, rows = random.Random(1), []
        for i in range(500):
            for warmups in (0, 1, 5):
                runs = [100 * rng.gauss(1, 0.02) for _ in range(10)]
                runs[0] += 100 if warmups == 0 else 0
                rows.append(
                    dict(
                        zip(
                            table.REFERENCE,
                            [
                                f"m{i}",
                                8,
                                8,
                                1,
                                1,
                                1,
                                warmups,
                                10,
                                True,
                                statistics.mean(runs),
                                statistics.stdev(runs),
                            ],
                        )
                    )
                )
        judged = self.judge(write_csv(self.path("quiet.csv"), rows))
        warm = judged["num_warmups"] > 0
        self.assertEqual(set(judged.loc[warm, "verdict"]), {verdicts.SETTLED})
        self.assertEqual(set(judged.loc[~warm, "verdict"]), {verdicts.COLD})

    def test_class_of_all_trials_decides(self):
        judged = self.judge(synthetic(self.dir))
        self.assertEqual(judged.loc["small/128/fwd/w0", "verdict"], verdicts.COLD)
        self.assertEqual(judged.loc["small/128/fwd/w1", "verdict"], verdicts.SETTLED)
        self.assertEqual(judged.loc["large/128/fwd/w5", "verdict"], verdicts.NOT_SETTLED)
        self.assertEqual(
            list(judged.index[judged["verdict"] == verdicts.BUSY]), ["small/128/fwd/w5"]
        )

    def test_the_warmup_answer_is_that_of_most_rows(self):
        judged = self.judge(synthetic(self.dir, sizes=("small", "large"), contexts=(128,)))
        self.assertRegex(
            "|".join(verdicts.warmup_answers(judged)),
            r"small: 1 warmup is enough \(in 5 of 5 rows; 1 more cannot be believed\); the cold trial costs [^|]*"
            r"\|large: 1 warmup is enough \(in 5 of 5 rows; 1 more cannot be believed\); the cold",
        )
        judged["steady_class"], judged["warmups_needed"] = "no_steady_state", math.nan
        judged.loc[judged.index[0], ["steady_class", "warmups_needed"]] = "flat", 0
        self.assertIn(
            "small: 5 of 6 rows cannot be believed (see the warnings), so warmups cannot be judged",
            verdicts.warmup_answers(judged)[0],
        )

    def test_what_is_believed(self):
        """The cases of `belief_needs_a_steady_undisturbed_row` in test_row_run.c."""
        good = {
            "verdict": verdicts.SETTLED,
            "steady_class": "flat",
            "mean_time_ms": 100.0,
            "median_ms": 100.0,
            "cpu_wait": 0.0,
            "threads": "2",
            "threads_seen": 2.0,
            "noise": "",
        }
        slow = {"noise": "trial 1: +9 ms", "mean_time_ms": 103.0}
        for change, believed in (
            ({}, True),
            ({"steady_class": "too_few"}, False),
            ({"steady_class": "no_steady_state"}, False),
            ({"steady_class": "slowdown"}, False),
            ({"verdict": verdicts.UNKNOWN}, False),
            ({"cpu_wait": 0.03}, False),
            ({"threads_seen": 1.0}, False),
            ({"threads_seen": math.nan}, True),
            ({"noise": "trial 7: +1 ms"}, True),
            (slow, False),
            ({**slow, "noise": "products ran at 61 to 100 % of their best"}, True),
            ({**slow, "noise": "reads ran at 61 to 100 % of their best; trial 1: +9 ms"}, False),
            ({**slow, "verdict": verdicts.COLD}, True),
        ):
            self.assertEqual(verdicts.row_is_believed({**good, **change}), believed, change)

    def test_nothing_is_concluded_from_rows_that_are_not_believed(self):
        path = synthetic(self.dir, sizes=("small",))
        with open(path, newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        write_csv(path, [{**row, "cpu_wait": "0.3"} for row in rows])
        sentence = "small: 12 of 12 rows cannot be believed (see the warnings), so warmups cannot be judged\n"
        self.assertIn(sentence, run("verdicts.py", path).stdout)
        summary = run("summarize.py", path).stdout
        self.assertIn("No row is believed, so nothing is averaged.", summary)
        self.assertNotIn("Mean Time", summary)
        result = run("summarize.py", path, "--plots", self.dir)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("no row is believed, so only the runs are drawn", result.stderr)
        self.assertEqual(result.stderr.count("wrote "), 1)
        result = run("report.py", path, "-o", self.path("r.html"))
        self.assertEqual(result.returncode, 0, result.stderr)
        page = read(self.path("r.html"))
        self.assertIn("No row is believed, so nothing is compared below.", page)
        self.assertNotIn("Time against", page)
        self.assertNotIn("enough", page)

    def test_best_rows_prefer_the_settled(self):
        best = verdicts.best_rows(verdicts.judge(table.load(SEED_CSV).ran)).set_index("name")
        self.assertEqual(len(best), 20)
        self.assertIn("large/128/fwd/w1", best.index)
        self.assertFalse((best["verdict"] == verdicts.COLD).any())

    def test_a_series_is_named_after_what_varies(self):
        header, row = read(SEED_CSV).splitlines()[:2]
        path = write(self.path("two.csv"), f"{header},precision\n{row},fp32\n{row},bf16\n")
        self.assertEqual(list(table.load(path).ran["series"]), ["small, fp32", "small, bf16"])

    def test_a_series_names_no_shape_that_follows_from_its_arch(self):
        header, row = read(SEED_CSV).splitlines()[:2]
        rows = ["gpt2,True,", "llama,False,10000", "llama,False,500"]
        path = write(self.path("archs.csv"), "\n".join(
            [f"{header},arch,tied_head,rope_theta", *(f"{row},{r}" for r in rows[:2])]) + "\n")
        self.assertEqual(list(table.load(path).ran["series"]), ["small, gpt2", "small, llama"])
        write(path, "\n".join([f"{header},arch,tied_head,rope_theta", *(f"{row},{r}" for r in rows[1:])]) + "\n")
        self.assertEqual(list(table.load(path).ran["series"]), ["small, rope_theta 10000", "small, rope_theta 500"])


class Pictures(TempDir):
    def test_plots(self):
        synthetic(self.dir)
        result = run("summarize.py", self.path("synthetic.csv"), "--plots", self.path("png"))
        self.assertEqual(result.returncode, 0, result.stderr)
        for name in ("warmup_curves", "mean_by_warmups", "forward_backward", "time_by_context"):
            with open(self.path(f"png/synthetic.{name}.png"), "rb") as file:
                self.assertEqual(file.read(8), b"\x89PNG\r\n\x1a\n")

    def test_existing_files_are_kept_without_overwrite(self):
        path = synthetic(self.dir) or self.path("synthetic.csv")
        write(self.path("page.html"), "mine")
        write(self.path("synthetic.growth.png"), "mine")
        write(self.path("synthetic.mean_by_warmups.png"), "mine")
        write(self.path("formats.png"), "mine")
        formats, (memory, _) = write_csv(self.path("formats.csv"), self.precision_rows()), self.memory_files()
        write(self.path("m.memory.png"), "mine")
        for command, made in (
            (("report.py", path, "-o", self.path("page.html")), "page.html"),
            (("summarize.py", path, "--plots", self.dir), "synthetic.mean_by_warmups.png"),
            (("precision_plot.py", formats), "formats.png"),
            (("memory_plot.py", memory, "--plots", self.dir), "m.memory.png"),
        ):
            result = run(*command)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertTrue(
                result.stderr.endswith(f"error: '{self.path(made)}' exists; replace it with --overwrite\n"), result.stderr
            )
            self.assertEqual(read(self.path(made)), "mine")
            self.assertFalse(os.path.exists(self.path("synthetic.warmup_curves.png")), "some were written")
            self.assertEqual(run(*command, "--overwrite").returncode, 0)
            with open(self.path(made), "rb") as file:
                self.assertNotEqual(file.read(), b"mine")
            if os.path.exists(self.path("synthetic.warmup_curves.png")):
                os.remove(self.path("synthetic.warmup_curves.png"))

    def test_a_folder_of_plots_whose_parent_is_missing(self):
        path = synthetic(self.dir) or self.path("synthetic.csv")
        result = run("summarize.py", path, "--plots", self.path("no/png"))
        self.assertOneLine(result, f"cannot create '{self.path('no/png')}': there is no folder '{self.path('no')}'")

    def test_a_picture_of_an_unknown_format(self):
        formats = write_csv(self.path("formats.csv"), self.precision_rows())
        self.assertOneLine(run("precision_plot.py", formats, self.path("x.strange")), "cannot write", "strange")

    def growth_rows(self, key, values, **fixed):
        """Rows that differ in one key, time and memory growing with it."""
        rng, rows = random.Random(3), []
        for i, value in enumerate(values):
            row, _ = synthetic_row(rng, "small", 128, 1, False, f"r{i:08x}")
            row |= {**fixed, key: value, "model_flops": 1e9 * value + 1e6 * value**2}
            row |= {"peak_rss_bytes": 2**30 + 2**20 * value, "mean_time_ms": 10 * value + 1}
            rows.append(row)
        return rows

    def test_growth_with_context_and_with_batch(self):
        for key, values in (("context_length", [128, 256, 512]), ("batch_size", [1, 2, 4, 8])):
            path = write_csv(self.path(f"{key}.csv"), self.growth_rows(key, values))
            result = run("summarize.py", path, "--plots", self.dir)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"wrote {self.path(f'{key}.growth.png')}", result.stderr)

    def test_a_report_does_not_average_over_what_else_varied(self):
        path = write_csv(self.path("batch.csv"), self.growth_rows("batch_size", [1, 2, 4]))
        stdout = run("summarize.py", path).stdout
        means = stdout.split("### Mean Time by Warmup Count")[1]
        for batch in (1, 2, 4):
            self.assertIn(f"\n### Model: small, batch_size {batch}\n", stdout)
            self.assertRegex(means, rf"\| small, batch_size {batch} +\| +{10 * batch + 1} \|")

    def test_growth_needs_three_values_of_one_key(self):
        rows = self.growth_rows("batch_size", [1, 2]) + self.growth_rows("batch_size", [4], seed=2)
        path = write_csv(self.path("few.csv"), [{"seed": 1, **row} for row in rows])
        result = run("summarize.py", path, "--plots", self.dir)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("neither context nor batch has 3 values", result.stderr)
        self.assertFalse(os.path.exists(self.path("few.growth.png")))

    def test_recompute_needs_three_block_sizes(self):
        for name, values in (("curve", ["none", "block", "block:2", "block:8"]), ("few", ["none", "block", "block:2"])):
            rows = self.growth_rows("batch_size", range(1, len(values) + 1))
            rows = [{**row, "batch_size": 4, "recompute": value} for row, value in zip(rows, values, strict=True)]
            path = write_csv(self.path(f"{name}.csv"), rows)
            result = run("summarize.py", path, "--plots", self.dir)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(os.path.exists(self.path(f"{name}.recompute.png")), name == "curve", result.stderr)

    POISON = 987654.0  # of a row that is not believed; nothing else takes nearly as long

    def poisoned(self, rows):
        """The rows with one more warmup count, context, batch and size, whose row waited for a CPU."""
        last = {**rows[-1], "row_id": "poison", "cpu_wait": 0.3, "mean_time_ms": self.POISON}
        last |= {"median_ms": self.POISON, "forward_ms": "", "backward_ms": ""}
        keys = (("num_warmups", 9), ("context_length", 4096), ("batch_size", 512), ("model_size", "poison"))
        return rows + [{**last, key: value, "row_id": f"p{key}"} for key, value in keys]

    def drawn(self, figure, lines_only=False):
        """All times that stand in a figure: ends of bars, and points of lines or, of those that join, alone."""
        values = []
        for axis in figure.axes:
            values += [] if lines_only else [patch.get_height() for patch in axis.patches]
            for line in axis.lines:
                joins = line.get_linestyle() != "None" and len(line.get_ydata()) > 1
                values += list(line.get_ydata()) if joins or not lines_only else []
        return [value for value in values if not math.isnan(value)]

    def test_no_picture_compares_what_is_not_believed(self):
        import plots

        with open(synthetic(self.dir), newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
        path = write_csv(self.path("poisoned.csv"), self.poisoned(rows))
        growth = write_csv(self.path("growth.csv"), self.poisoned(self.growth_rows("batch_size", [1, 2, 4])))
        for name, draw in (
            (path, plots._by_warmups), (path, plots._forward_backward), (path, plots._by_context), (growth, plots._growth),
        ):
            loaded = table.load(name)
            figure = draw(loaded, verdicts.judge(loaded.ran))
            values = self.drawn(figure)
            plots.plt.close(figure)
            self.assertGreater(len(values), 3, draw.__name__)
            self.assertLess(max(values), self.POISON / 2, draw.__name__)

    def test_no_line_of_recomputation_joins_what_is_not_believed(self):
        import plots

        kinds = ["none", "block", "block:2", "block:4", "block:8"]
        rows = self.growth_rows("batch_size", range(1, len(kinds) + 1))
        rows = [{**row, "batch_size": 4, "recompute": kind, "noise": ""} for row, kind in zip(rows, kinds, strict=True)]
        for bad, hollow in ((0, False), (3, True)):
            changed = [{**r, "mean_time_ms": self.POISON, "cpu_wait": 0.3} if i == bad else r for i, r in enumerate(rows)]
            loaded = table.load(write_csv(self.path(f"blocks{bad}.csv"), changed))
            figure = plots._by_recompute(loaded, verdicts.judge(loaded.ran))
            self.assertLess(max(self.drawn(figure, lines_only=True)), self.POISON / 2)
            self.assertEqual(self.POISON in self.drawn(figure), hollow)
            plots.plt.close(figure)

    def test_a_precision_plot_leaves_out_what_is_implausible(self):
        import precision_plot

        rows = self.precision_rows()
        rows += [{**rows[1], "format": "int8", "status": "implausible", "speedup": 77, "speedup_hi": 78}]
        loaded = precision_plot.load(write_csv(self.path("formats.csv"), rows))
        figure, axes = precision_plot.plt.subplots()
        precision_plot.draw_speed(axes, loaded)
        self.assertLess(max(x for line in axes.lines for x in line.get_xdata()), 2)
        precision_plot.plt.close(figure)

    def test_a_page_compares_nothing_that_is_not_believed(self):
        with open(synthetic(self.dir), newline="", encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file) if row["status"] == "ok"]
        path = write_csv(self.path("poisoned.csv"), self.poisoned(rows))
        result = run("report.py", path, "-o", self.path("r.html"))
        self.assertEqual(result.returncode, 0, result.stderr)
        for section in re.split(r"<section>", read(self.path("r.html")))[1:]:
            title = re.match("<h2>([^<]*)", section)[1]
            if title not in ("Machine", "Verdicts and warnings", "All rows that ran", "Warmup curves"):
                self.assertNotIn(table.show_ms(self.POISON), section, title)
                self.assertNotIn("poison", section, title)

    def precision_rows(self):
        """A time, an accuracy and a perplexity in two formats."""
        columns = ("model", "work", "batch_size", "seq_len", "format", "support", "status", "disk_bytes")
        figures = ("speedup", "accuracy", "perplexity_change")
        ends = [f"{figure}{end}" for figure in figures for end in ("", "_lo", "_hi")]
        rows = []
        for work, figure in zip(("time", "accuracy", "perplexity"), figures, strict=True):
            for i, (form, support) in enumerate((("fp32", "native"), ("fp16", "convert"))):
                row = dict.fromkeys([*columns, *ends], "")
                row |= dict(zip(columns, ("m", work, 1, 32, form, support, "ok", 2**20), strict=True))
                row |= {figure: 0.9 + i / 50, f"{figure}_lo": 0.8, f"{figure}_hi": 1.1}
                rows.append(row)
        return rows

    def test_precision_plot(self):
        rows = self.precision_rows()
        path, png = write_csv(self.path("formats.csv"), rows), self.path("formats.png")
        result = run("precision_plot.py", path)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.strip(), png)
        with open(png, "rb") as file:
            self.assertEqual(file.read(4), b"\x89PNG")

    def test_precision_plot_of_another_file(self):
        rows = self.precision_rows()
        strange = write_csv(self.path("strange.csv"), [{**rows[0], "format": "fp4"}])
        no_interval = write_csv(self.path("cut.csv"), [{k: v for k, v in rows[0].items() if k != "speedup_hi"}])
        failed = write_csv(self.path("failed.csv"), [{**rows[0], "status": "failed"}])
        for path, text in (
            (strange, "has a format 'fp4', not one of fp32, fp16, bf16, mixed, int8, q8_0, q4_0"),
            (no_interval, "it has no column speedup_hi"),
            (failed, "nothing to draw, no format was measured"),
            (self.path("none.csv"), "cannot read"),
        ):
            result = run("precision_plot.py", path)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(text, result.stderr)

    def memory_files(self):
        """Four steps of two blocks, and their tensors; the peak is the third step."""
        steps = []
        for i, (phase, op, layer, alive) in enumerate((("forward", "linear", 0, 2), ("forward", "linear", 1, 4),
                                                       ("backward", "linear", 1, 5), ("backward", "linear", 0, 3))):
            kinds = {"weights": 10, "gradients": 10, "moments": 20, "activations": alive, "scratch": 1}
            kinds = {kind: mib * 2**20 for kind, mib in kinds.items()}
            steps.append({"step": i + 1, "phase": phase, "op": op, "layer": layer, **kinds, "total": sum(kinds.values())})
        tensors = [{"op": "linear", "layer": layer, "kind": kind, "weight": f"h.{layer}.w", "shape": shape,
                    "bytes": mib * 2**20, "first": layer + 1, "last": 4 - layer, "saved": "True"}
                   for layer in (0, 1) for kind, shape, mib in (("data", "2x8", 3), ("aux", "", 1))]
        return write_csv(self.path("m.csv"), steps), write_csv(self.path("t.csv"), tensors)

    def test_memory_plot(self):
        memory, tensors = self.memory_files()
        result = run("memory_plot.py", memory, "--tensors", tensors, "--plots", self.dir)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("peak: 46.0 MiB at step 3 of 4 (backward, linear of layer 1): weights 10.0 MiB", result.stdout)
        self.assertIn("saved by block 0: 4.0 MiB in 2 tensors; all 2 blocks that save any: 8.0 MiB", result.stdout)
        self.assertIn("   75.0 %  linear h.0.w [2x8]\n   25.0 %  linear h.0.w (aux)\n", result.stdout)
        self.assertIn("residual stream: 3.0 MiB [2x8]", result.stdout)
        with open(self.path("m.memory.png"), "rb") as file:
            self.assertEqual(file.read(4), b"\x89PNG")

    def test_memory_plot_of_another_file(self):
        memory, tensors = self.memory_files()
        for arguments, text in (
            ((tensors,), "is no timeline of tare run: it has no column activations"),
            ((memory, "--tensors", memory), "is no list of tensors of tare run: it has no column bytes"),
            ((self.path("none.csv"),), "cannot read"),
        ):
            result = run("memory_plot.py", *arguments)
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), result.stderr)
            self.assertIn(text, result.stderr)

    def decode_rows(self, **more):
        """Two depths x two batches; nothing varies but them and the rate."""
        return [{"model_size": "small", "task": "decode", "status": "ok", "steady_class": "flat", "batch_size": batch,
                 "depth": depth, "context_length": "", "precision": "fp32", "threads": 2, "threads_seen": 2,
                 "cpu_wait": 0, "noise": "", "mean_time_ms": 100, "median_ms": 100,
                 "tokens_per_s": 40 * batch - depth / 100, "predicted_tokens_per_s": 50 * batch} | more
                for depth in (0, 512) for batch in (1, 8)]

    def test_decode_plot(self):
        rows = self.decode_rows()
        rows[3] |= {"status": "implausible", "tokens_per_s": 900}
        result = run("decode_plot.py", write_csv(self.path("llm.csv"), rows), "-o", self.path("plots"))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout.count("70% to 80% of what the machine allows; 1 not believed: crosses"), 2)
        for name in ("over_depth", "over_batch"):
            with open(self.path(f"plots/llm.{name}.png"), "rb") as file:
                self.assertEqual(file.read(4), b"\x89PNG")

    def test_decode_plot_concludes_nothing_from_rows_that_are_not_believed(self):
        for doubt in ({"status": "implausible"}, {"cpu_wait": 0.5}, {"steady_class": "slowdown"}, {"threads_seen": 1},
                      {"steady_class": "", "mean_time_ms": 200}):
            path = write_csv(self.path("llm.csv"), self.decode_rows(**doubt))
            result = run("decode_plot.py", path, "-o", self.path("plots"))
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertEqual(result.stdout.count("No conclusion: no row is believed; 4 not believed"), 2, result.stdout)
            self.assertNotIn("%", result.stdout)

    def test_decode_plot_of_another_file(self):
        rows = self.decode_rows()
        for path, text in (
            (SEED_CSV, "has no row of prefill or decode with a time"),
            (write_csv(self.path("one.csv"), rows[:1]), "has one depth and one batch"),
            (write_csv(self.path("word.csv"), [rows[0] | {"tokens_per_s": "many"}]), "tokens_per_s is 'many'"),
            (self.path("none.csv"), "cannot read"),
        ):
            result = run("decode_plot.py", path, "-o", self.path("plots"))
            self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), result.stderr)
            self.assertIn(text, result.stderr)

    def test_matplotlib_only_under_plots(self):
        code = (
            f"import sys; sys.path.insert(0, {ANALYSIS!r}); sys.modules['matplotlib'] = None\n"
            f"import summarize, table; sys.argv[1:] = [{SEED_CSV!r}, *sys.argv[1:]]\n"
            "table.run_main(summarize.main)"
        )
        without = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False
        )
        self.assertEqual((without.returncode, without.stderr), (0, ""))
        asked = subprocess.run(
            [sys.executable, "-c", code, "--plots", self.dir],
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertOneLine(asked, "'matplotlib'")


class Links(TempDir):
    """A dangling link counts as what it names, as in the C program."""

    def dangling(self, target):
        os.symlink(target, self.path("link"))
        return self.path("link")

    def test_a_page_through_a_link(self):
        link = self.dangling("page.html")
        for _ in range(2):  # the link leads to nothing, then to a file
            result = run("report.py", SEED_CSV, "-o", link, "--overwrite")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertTrue(os.path.islink(link))
            self.assertTrue(read(self.path("page.html")).startswith("<!DOCTYPE html>"))

    def test_a_folder_of_plots_through_a_link(self):
        result = run("summarize.py", SEED_CSV, "--plots", self.dangling("plots"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertTrue(os.listdir(self.path("plots")))


class Download(TempDir):
    def test_what_pip_says_is_shown_whole(self):
        error = "error: subprocess-exited-with-error\n  No module named 'wheel'\nhint: See above for details.\n"
        failed = subprocess.CompletedProcess([], 1, "", error)
        shown = io.StringIO()
        with mock.patch.object(subprocess, "run", return_value=failed), contextlib.redirect_stderr(shown):
            with self.assertRaisesRegex(fetch_sentiment.Failure, "cannot download .* that pip gives above; with"):
                fetch_sentiment.download(fetch_sentiment.SNIPPETS, Path(self.path("cache")), False)
        self.assertEqual(shown.getvalue(), error)


class PageCheck(html.parser.HTMLParser):
    """Collects tags and checks that every element is closed by its own end tag."""

    VOID = {"meta", "hr"}

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes <{self.open[-1:]}>"
        self.open.pop()

    def handle_data(self, data):
        self.text += data


class Report(TempDir):
    def make(self, *results):
        result = run("report.py", *results, "-o", self.path("r.html"))
        self.assertEqual((result.returncode, result.stderr, result.stdout), (0, "", ""))
        text = read(self.path("r.html"))
        check = PageCheck()
        check.feed(text)
        self.assertEqual(check.open, [])
        return text, check

    def test_self_contained(self):
        text, check = self.make(synthetic(self.dir))
        tags = {tag for tag, _ in check.tags}
        self.assertFalse(tags & {"script", "link", "img", "iframe", "object"})
        self.assertNotIn("http", text)
        self.assertNotRegex(text, r"@import|url\((?!#)")
        self.assertNotRegex(text, r"(?<![a-z])(nan|inf)(?![a-z])")

    def test_every_section(self):
        _, check = self.make(synthetic(self.dir))
        for heading in (
            "Machine",
            "Verdicts and warnings",
            "Rows not counted",
            "Warmup curves",
            "Mean time by warmup count",
            "Forward against forward + backward",
            "Time against context",
            "Time against size",
            "Share of peak",
            "Memory",
        ):
            self.assertIn(heading, check.text)
        self.assertIn("Imaginary & Sons CPU", check.text)
        self.assertIn("OpenBLAS 0.3.21 <omp>", check.text)
        self.assertIn('killed by signal 11, "SIGSEGV"', check.text)
        self.assertIn("trial 7: +212 ms, 209 ms waiting for a CPU", check.text)
        self.assertIn("Faster than the machine can be: huge-implausible/256/fwd/w5", check.text)
        self.assertIn("small: 1 warmup is enough (in 11 of 11 rows; 1 more cannot be believed); the cold", check.text)
        self.assertIn("Do not quote, waited for a CPU: small/128/fwd/w5", check.text)
        self.assertLess(check.text.rindex("Do not quote"), check.text.index("enough"), "what is left decides")

    def test_every_trial_is_a_mark(self):
        path = synthetic(self.dir, sizes=("small",), contexts=(128,))
        text, _ = self.make(path)
        runs = len(read(self.path("synthetic.samples.csv")).splitlines()) - 1
        self.assertEqual(len(re.findall(r"<title>[^<]*: run \d+", text)), runs)
        self.assertEqual(len(re.findall(r"<title>[^<]*, warmup, ", text)), 2 * (1 + 5))

    def test_reference_table_and_several_files(self):
        text, check = self.make(SEED_CSV, synthetic(self.dir))
        self.assertEqual(text.count("<h1>"), 2)
        self.assertIn("Do not quote, did not settle: large/128/fwd/w5", check.text)
        self.assertIn("This file does not say where it was measured", check.text)

    def test_hostile_text_stays_text(self):
        header, row = read(SEED_CSV).splitlines()[:2]
        path = write(
            self.path("<b>&.csv"), f"{header}\n{row.replace('small', '<script>x()</script>')}\n"
        )
        text, check = self.make(path)
        self.assertNotIn("<script>", text)
        self.assertIn("<script>x()</script>", check.text)


if __name__ == "__main__":
    unittest.main()
