#!/usr/bin/env python3
"""analysis/cs336.py on made-up results: its tables, what it concludes and what it does not."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from test_analysis import TempDir, run, write_csv  # noqa: E402

GIB = 2**30
NEEDS = {"xl": 29.8, "2.7B": 50.8}


def row(size, mean=None, context=256, warmups=5, forward_only=True, **more):
    """A believed row, or without a mean one that does not fit."""
    ran = mean is not None
    return {
        "model_size": size, "d_model": 768, "context_length": context, "num_layers": 12, "num_heads": 12,
        "batch_size": 4, "num_warmups": warmups, "num_trials": 10, "forward_only": forward_only,
        "mean_time_ms": mean if ran else "", "std_time_ms": mean / 100 if ran else "",
        "status": "ok" if ran else "skipped_memory", "status_reason": "", "row_id": "", "precision": "fp32",
        "threads": 2, "recompute": "none", "optimizer": "none", "arch": "cs336", "median_ms": mean if ran else "",
        "steady_class": "flat" if ran else "", "cpu_wait": 0 if ran else "", "forward_ms": "", "backward_ms": "",
        "predicted_peak_bytes": round(NEEDS.get(size, 2) * GIB), "peak_rss_bytes": 2 * GIB if ran else "",
    } | more


class Course(TempDir):
    def results(self, study, rows, year=2025):
        write_csv(self.path(f"cs336-{year}-{study}.csv"), rows)

    def page(self, *options):
        result = run("cs336.py", self.dir, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def test_end_to_end(self):
        rows = [row("small", mean, warmups=w) for w, mean in ((0, 150), (1, 101), (5, 100))]
        rows += [row("medium", mean, warmups=w, cpu_wait=busy) for w, mean, busy in ((0, 900, 0.3), (1, 303, 0), (5, 300, 0))]
        rows += [row("xl", warmups=w) for w in (0, 1, 5)]
        rows += [row("small", 400, warmups=w, forward_only=False, steady_class="slowdown") for w in (0, 5)]
        self.results("end-to-end", rows)
        page = self.page()
        self.assertIn("## End to end (cs336-2025-end-to-end)", page)
        self.assertIn("| size   | 0 warmups ", page)
        self.assertRegex(page, r"\| small +\| 150 ± 1\.5 +\| 101 ± 1 +\| 100 ± 1 +\|")
        self.assertRegex(page, r"\| medium +\| 900 ± 9 \* +\| 303 ± 3 ")
        self.assertEqual(page.count("out of memory, needs 29.8 GiB"), 3)
        self.assertIn("Forward: with 0 the mean is 1.5 times that with 5 (1 size); with 1 the mean is 1.01 times that "
                      "with 5 (2 sizes).", page)
        self.assertIn("Forward and backward: no conclusion: not enough rows are believed.", page)
        self.assertIn("Rows marked * are not believed", page)

    def test_studies_stand_in_the_order_of_the_course(self):
        step = row("small", 900, forward_only=False, optimizer="adamw")
        for study in ("memory", "checkpointing", "end-to-end-step", "mixed-precision", "end-to-end"):
            self.results(study, [step])
        self.results("end-to-end", [step], 2026)
        write_csv(self.path("cs336-2025-memory.samples.csv"), [{"row_id": "r"}])
        write_csv(self.path("other.csv"), [{"a": "b"}])
        headings = [line for line in self.page().splitlines() if line.startswith("## ")]
        self.assertEqual([h.split("(")[1] for h in headings], [
            "cs336-2025-end-to-end)", "cs336-2026-end-to-end)", "cs336-2025-end-to-end-step)",
            "cs336-2025-mixed-precision)", "cs336-2025-memory)", "cs336-2025-checkpointing)"])
        self.assertIn("**training step: mean", self.page())

    def test_mixed_precision(self):
        rows = [row("small", 300, forward_only=False, forward_ms=100, backward_ms=200),
                row("small", 200, forward_only=False, forward_ms=50, backward_ms=150, precision="mixed"),
                row("medium", 600, forward_only=False, forward_ms=200, backward_ms=400),
                row("medium", 600, forward_only=False, forward_ms=1, backward_ms=1, precision="mixed", cpu_wait=0.5)]
        self.results("mixed-precision", rows)
        page = self.page()
        self.assertRegex(page, r"\| small +\| mixed +\| 50 +\| 150 +\| 200 ± 2 +\|")
        self.assertIn("Mixed precision takes 0.5 of the time of fp32 forward and 0.75 backward (1 size).", page)

    def test_memory(self):
        rows = [row(size, 100 if fits else None, context=context, **({"cpu_wait": 0.5} if fits else {}))
                for size, context, fits in (("large", 128, True), ("xl", 128, True), ("large", 2048, False), ("xl", 2048, False))]
        rows[1]["predicted_peak_bytes"] = 4 * GIB
        self.results("memory", rows)
        page = self.page()
        self.assertRegex(page, r"\| xl +\| forward \| fp32 +\| 2 GiB +\| out of memory, needs 29.8 GiB \|")
        self.assertIn("Forward at context 128: the largest that fits is xl.", page)
        self.assertIn("Forward at context 2048: no size fits.", page)
        self.assertIn("Measured peaks are 0.5 to 1 of what was predicted.", page)
        rows[3]["status"] = "skipped_time"  # only what fits is timed
        self.results("memory", rows)
        self.assertIn("Forward at context 2048: the largest that fits is xl.", self.page())
        self.results("memory", [row("xl", status="planned", predicted_peak_bytes="")])
        self.assertIn("no row ran", self.page())

    def test_checkpointing(self):
        peaks = {"none": 5, "block": 3.4, "block:2": 3.1, "block:4": 3.3, "block:8": 4}
        rows = [row("medium", 100 + 10 * i, forward_only=False, recompute=name, peak_rss_bytes=round(peak * GIB))
                for i, (name, peak) in enumerate(peaks.items())]
        self.results("checkpointing", rows)
        page = self.page()
        self.assertIn("medium: block:2 needs least, 3.1 GiB; block 3.4 GiB; block:4 3.3 GiB.", page)
        self.assertIn("medium: it takes 1.2 times as long as keeping everything.", page)
        rows[0]["steady_class"] = "no_steady_state"
        self.results("checkpointing", rows)
        self.assertIn("what it costs in time: no conclusion", self.page())

    def test_nothing_ran(self):
        """What --dry-run plans, or a machine too small for all of it."""
        for study in ("end-to-end", "mixed-precision", "memory", "checkpointing"):
            self.results(study, [row("xl"), row("2.7B", status="planned", predicted_peak_bytes="")])
        page = self.page()
        self.assertEqual(page.count("out of memory, needs 29.8 GiB"), 4 + 1)
        self.assertIn("planned", page)
        self.assertIn("no row with blocks ran", page)

    def test_rows_that_are_not_believed_conclude_nothing_of_time(self):
        busy = {"cpu_wait": 0.3, "forward_ms": 1, "backward_ms": 2}
        self.results("end-to-end", [row("small", 100 + w, warmups=w, **busy) for w in (0, 1, 5)])
        self.results("mixed-precision", [row("small", 9, precision=p, **busy) for p in ("fp32", "mixed")])
        kinds = ("none", "block", "block:2")
        self.results("checkpointing", [row("small", 9, recompute=kind, **busy) for kind in kinds])
        page = self.page()
        self.assertEqual(page.lower().count("no conclusion: not enough rows are believed."), 3)
        self.assertNotRegex(page, "times (that|as long)|of the time of")

    def test_latex(self):
        self.results("end-to-end", [row("small_1", 150), row("xl")])
        page = self.page("--latex")
        for words in (r"\section*{End to end (cs336-2025-end-to-end)}", r"\toprule", r"small\_1", r"150 $\pm$ 1.5"):
            self.assertIn(words, page)
        self.assertNotIn("±", page)

    def test_bad_input(self):
        self.assertOneLine(run("cs336.py", self.dir), "has no result of configs/cs336")
        write_csv(self.path("cs336-2025-memory.csv"), [{"a": "b"}])
        self.assertOneLine(run("cs336.py", self.dir), "cs336-2025-memory.csv is not a result file")


if __name__ == "__main__":
    unittest.main()
