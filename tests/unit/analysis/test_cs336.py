#!/usr/bin/env python3
"""analysis/cs336.py on made-up results: its tables, what it concludes and what it does not."""

import json
import os
import re
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
        self.assertEqual(page.lower().count("no conclusion: no row ran."), 2)
        self.results("end-to-end", [row("small", status="planned", predicted_peak_bytes=3 * GIB)])
        self.assertIn("planned, needs 3 GiB", self.page())

    def test_what_does_not_fit_is_a_row_of_every_table(self):
        lost = [row("xl", forward_only=False, predicted_peak_bytes=33 * GIB)]
        ranks = self.ranks_row("zero1", None, 0, predicted_peak_bytes=33 * GIB)
        reduce = {"operation": "all_reduce", "ranks": 4, "bytes": 10**9, "algorithm": "mpi", "median_ms": "", "wrong": "",
                  "algbw_gb_per_s": "", "busbw_gb_per_s": "", "status": "skipped_memory", "predicted_peak_bytes": 33 * GIB}
        layer = self.layer("plain", 16384, "skipped_memory")
        for study in ("end-to-end", "end-to-end-step", "mixed-precision", "memory", "checkpointing"):
            self.results(study, lost)
        for study in ("data-parallel", "sharded-optimizer"):
            self.results(study, [ranks])
        for study, only in (("all-reduce", reduce), ("attention", layer), ("flash", layer)):
            self.results(study, [only])
        for page in (self.page(), self.page("--latex")):
            sections = re.split(r"^## |\\section", page, flags=re.MULTILINE)[1:]
            self.assertEqual(len(sections), 10)
            for section in sections:
                self.assertRegex(section, r"out of memory, (each of \d ranks )?needs 33 GiB")
            self.assertEqual(page.count("each of 2 ranks needs 33 GiB"), 3)  # times twice, memory once

    def test_rows_that_are_not_believed_conclude_nothing_of_time(self):
        busy = {"cpu_wait": 0.3, "forward_ms": 1, "backward_ms": 2}
        self.results("end-to-end", [row("small", 100 + w, warmups=w, **busy) for w in (0, 1, 5)])
        self.results("mixed-precision", [row("small", 9, precision=p, **busy) for p in ("fp32", "mixed")])
        kinds = ("none", "block", "block:2")
        self.results("checkpointing", [row("small", 9, recompute=kind, **busy) for kind in kinds])
        page = self.page()
        self.assertEqual(page.lower().count("no conclusion: not enough rows are believed."), 3)
        self.assertNotRegex(page, "times (that|as long)|of the time of")

    def test_profile(self):
        def step(op, phase, ms, **parts):
            return {"name": op, "ph": "X", "dur": ms * 1e3, "args": {"step": 1, "phase": phase, **parts}}

        def write(name, events, backward):
            with open(self.path(f"cs336-profile-{name}.json"), "w", encoding="utf-8") as file:
                json.dump({"traceEvents": events, "otherData": {"head_dim": 64, "backward": backward}}, file)

        attention = step("attention", "forward", 20, scores_us=4000, softmax_us=2000, values_us=4000)
        events = [step("linear", "forward", 70), attention, step("rmsnorm", "forward", 10)]
        write("small-1024-inference", events, False)
        write("small-256-step", [*events, step("linear", "backward", 200), {
            "name": "update", "cat": "run", "ph": "X", "dur": 1e5}], True)
        page = self.page()
        self.assertIn("## Profile\n", page)
        self.assertLess(page.index("small-256-step"), page.index("small-1024-inference"))
        self.assertRegex(page, r"\| small-256-step +\| optimizer +\| update +\| 100 +\| 25\.0 % +\|")
        self.assertRegex(page, r"\| small-1024-inference +\| inference +\| 100 +\| 86\.0 % +\| 4\.0 % +\| 10\.0 % +\|")
        self.assertRegex(page, r"\| small-1024-inference +\| 8 +\| 4 +\| 8 +\| 20\.0 % +\| 0\.25 +\| 0\.0195 +\|")
        self.assertIn("Matrix products are 71.5 % of the time of a training step.", page)
        self.assertIn("Inside attention the softmax takes 0.25 of the time of the two products, for 0.0195 of", page)
        write_csv(self.path("cs336-timeline-xl-256-step.csv"), self.steps())
        self.assertRegex(self.page(), r"\| xl-256-step +\| +\| did not run, needs 4 GiB +\|")

    def steps(self):
        return [{"step": i, "phase": "forward", "op": op, "layer": 0, "weights": GIB, "gradients": 0, "moments": 0,
                 "activations": size * GIB, "scratch": 0, "total": (1 + size) * GIB}
                for i, (op, size) in enumerate((("linear", 1), ("attention", 3), ("linear", 2)), 1)]

    def test_timeline(self):
        write_csv(self.path("cs336-timeline-large-128-step.csv"), self.steps())
        page = self.page()
        self.assertRegex(page, r"\| large-128-step +\| 1 GiB .*\| 3 GiB +\| 0 GiB +\| 4 GiB +\| 2, forward attention +\|")
        self.assertIn("At the peak activations are 75 % of what is planned.", page)

    def layer(self, impl, context, status="ok", scale=1, **more):
        ran = status == "ok"
        return {"impl": impl, "batch_size": 8, "num_heads": 1, "context_length": context, "head_dim": 16, "causal": False,
                "precision": "fp32", "forward_ms": 10 * scale if ran else "", "backward_ms": 20 * scale if ran else "",
                "both_ms": 30 * scale if ran else "", "saved_bytes": 2**20 * (8 if impl == "plain" else 1),
                "mean_time_ms": 30 * scale if ran else "", "std_time_ms": 1 if ran else "", "num_warmups": 5, "noise": "",
                "warmups_needed": 0 if ran else "", "first_trial_ms": 30 * scale if ran else "", "first_over_steady": 1 if ran else "",
                "predicted_peak_bytes": 33 * GIB, "status": status, "cpu_wait": 0 if ran else "", "threads": 2,
                "threads_seen": 2 if ran else "", "steady_class": "flat" if ran else ""} | more

    def test_attention(self):
        layer = self.layer
        rows = [layer("plain", 256), layer("flash", 256, scale=0.4), layer("plain", 1024, cpu_wait=0.5), layer("flash", 1024),
                layer("plain", 16384, "skipped_memory"), layer("flash", 16384, scale=100)]
        write_csv(self.path("attention.csv"), rows)
        write_csv(self.path("flash.csv"), [row for row in rows if row["impl"] == "flash"])
        page = self.page()
        self.assertLess(page.index("## Attention (attention)"), page.index("## Flash attention (flash)"))
        self.assertRegex(page, r"\| 16 +\| 256 +\| False +\| fp32 +\| 10 +\| 20 +\| 4 +\| 8 +\| 8 MiB +\| 1 MiB +\|")
        self.assertRegex(page, r"\| 1024 +\| False +\| fp32 +\| 10 \* +\| 20 \* +\| 10 +\|")
        self.assertRegex(page, r"\| 16384 .*out of memory, needs 33 GiB \| out of memory, needs 33 GiB \| 1000 ")
        self.assertIn("Flash takes 0.4 of the time of plain, forward and backward (1 shape).", page)
        self.assertIn("Before backward plain keeps 8 times the bytes of flash.", page)
        self.assertIn("Plain is out of memory from context 16384 on (33 GiB).", page)
        self.assertIn("out of memory, needs 33 GiB", self.page("--latex"))

    def test_attention_is_believed_by_the_rule_of_all_rows(self):
        """Each reason of row_is_believed, and what is none."""
        moved = {"noise": "trial 3: +90 ms, 12 switches", "mean_time_ms": 39}
        reasons = [{"cpu_wait": 0.5}, {"threads_seen": 1}, moved, {"steady_class": "no_steady_state"}, {"steady_class": "too_few"},
                   {"steady_class": ""}]
        for i, reason in enumerate(({}, {"cpu_wait": ""}, moved | {"steady_class": "warmup", "warmups_needed": 7}, *reasons)):
            write_csv(self.path("flash.csv"), [self.layer("flash", 256, **reason)])
            self.assertEqual("Rows marked *" in self.page(), i >= 3, reason)

    def ranks_row(self, parallel, median, exposed, ranks=2, **more):
        step = {"ranks": ranks, "parallel": parallel, "bucket_mb": "", "prefetch_layers": "", "d_ff": 3072, "forward_only": False,
                "comm_ms": 400, "comm_exposed_ms": exposed, "comm_share": exposed / median if median else "", "overlap_fraction": "",
                "predicted_comm_ms": 390, "predicted_exposed_ms": exposed, "backward_slowdown_ms": "", "scaling_efficiency": 0.5,
                "wire_bytes": 2**29, "gflops_per_s": 100 * ranks * (median - exposed) / median if median else "", "link_latency_us": 50,
                "link_gb_per_s": 1.25, "param_bytes": 2**29, "grad_bytes": 2**29, "moment_bytes": 2**30, "activation_bytes": 2**28,
                "optimizer": "adamw"}
        return row("small", median, context=128, **(step | more))

    def test_data_parallel(self):
        rows = [self.ranks_row("none", 2000, 0, ranks=1, link_gb_per_s="", link_latency_us="", wire_bytes="", comm_ms=""),
                self.ranks_row("ddp-naive", 1500, 400, predicted_exposed_ms=380), self.ranks_row("ddp-flat", 1450, 350),
                self.ranks_row("ddp-bucket", 1200, 40, bucket_mb=1, backward_slowdown_ms=25),
                self.ranks_row("ddp-bucket", 1260, 60, bucket_mb=100), self.ranks_row("ddp-overlap", 900, 40, cpu_wait=0.9)]
        self.results("data-parallel", rows)
        page = self.page()
        self.assertRegex(page, r"\| small +\| +1 +\| one rank +\| 2000 ")
        self.assertRegex(page, r"\| small +\| +2 +\| ddp-naive +\| 1500 +\| 400 +\| 400 +\| 26\.7 % +\| 380 +\| +\| 0\.5 +\|")
        self.assertRegex(page, r"\| ddp-bucket, 1 MiB +\| 1200 +\| 400 +\| 40 +\| 3\.3 % +\| 40 +\| 25 ")
        self.assertRegex(page, r"\| ddp-overlap +\| 900 \* ")
        self.assertIn("small, 2 ranks: against ddp-naive's step of 1500 ms: ddp-flat 0.967, 0.875 of it exposed; ddp-bucket, 1 MiB 0.8, "
                      "0.1 of it exposed; ddp-bucket, 100 MiB 0.84, 0.15 of it exposed.", page)
        self.assertIn("buckets of 1 to 100 MiB differ by 5.0 % of a step; the fastest is 1 MiB, the model says 5.52 MiB", page)
        # 512 tokens, F = 3072, 100 GFLOP/s, 1.25 GB/s: 512 x 0.0125 / 2, 3072 x 0.0125 / 2, 512 x 3072 x (0.0125 / 4)^2
        self.assertRegex(page, r"\| small +\| +512 +\| +768 +\| +3072 +\| +100 +\| +1\.25 +\| +3\.2 +\| +3\.2 +\| +19\.2 +\| +15\.4 +\|")
        self.assertIn("512 tokens a step are bound by communication from 3.2 ranks on in data parallel; a rank needs 160 tokens", page)

    def test_ranks_that_are_not_believed_conclude_nothing(self):
        self.results("data-parallel", [self.ranks_row(p, 1500, 400, cpu_wait=0.9) for p in ("ddp-naive", "ddp-flat")])
        page = self.page()
        self.assertIn("small, 2 ranks: no conclusion: not enough rows are believed.", page)
        self.assertNotIn("closed forms", page)

    def test_sharded_optimizer(self):
        rows = [self.ranks_row("ddp-flat", 1500, 400), self.ranks_row("sharded-optimizer", 1900, 800, moment_bytes=2**29, wire_bytes=3 * 2**28),
                self.ranks_row("zero1", 1520, 410, moment_bytes=2**29),
                self.ranks_row("fsdp", 1400, 100, prefetch_layers=2, param_bytes=2**28, grad_bytes=2**28, moment_bytes=2**29)]
        self.results("sharded-optimizer", rows)
        page = self.page()
        self.assertRegex(page, r"\| zero1 +\| 512 MiB +\| 512 MiB +\| 512 MiB +\| 256 MiB +\| 512 MiB +\| 1280 MiB +\| 1536 MiB +\| 2048 MiB ")
        self.assertRegex(page, r"\| fsdp, 2 ahead +\| 1400 ")
        self.assertIn("of ddp-flat's weights, gradients and moments a rank holds: sharded-optimizer 0.75; zero1 0.75; fsdp 0.5.", page)
        self.assertIn("sharing by broadcast takes 1.25 times a step of ZeRO stage 1; it sends 1.5 times the bytes.", page)

    def test_all_reduce(self):
        common = {"operation": "all_reduce", "ranks": 2, "algbw_gb_per_s": 1, "busbw_gb_per_s": 1, "status": "ok", "wrong": 0,
                  "predicted_peak_bytes": 2**28}
        rows = [common | {"bytes": size, "algorithm": a, "median_ms": ms} for size, a, ms in
                ((1000000, "mpi", 2), (1000000, "ring", 1), (100000000, "mpi", 80), (100000000, "ring", 60))]
        rows += [common | {"bytes": 1000000000, "algorithm": "ring", "status": "skipped_memory", "median_ms": "", "wrong": "",
                           "predicted_peak_bytes": 1.2 * GIB}]
        self.results("all-reduce", rows)
        page = self.page()
        self.assertRegex(page, r"\| all_reduce +\| +2 +\| 100 MB +\| 80 +\| 60 +\| 1 +\| 1 +\|")
        self.assertIn("each of 2 ranks needs 1.2 GiB", page)
        self.assertIn("Our ring takes 0.5 to 0.75 of the time of MPI's own (2 rows).", page)

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
        os.remove(self.path("cs336-2025-memory.csv"))
        for name, what in (("attention.csv", "result of `tare attention`"), ("x-timeline-y.csv", "planned memory of"),
                           ("x-profile-y.json", "trace of `tare run --trace`")):
            for text in ("", "a,b\n1,2\n", "[1]", '{"traceEvents": [], "otherData": {"head_dim": 1}}'):
                with open(self.path(name), "w", encoding="utf-8") as file:
                    file.write(text)
                self.assertOneLine(run("cs336.py", self.dir), f"{name} is no {what}")
            os.remove(self.path(name))


if __name__ == "__main__":
    unittest.main()
