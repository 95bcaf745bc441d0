"""What PyTorch computes from a Hugging Face directory, in float64 and in fp32, beside what `tare dump`
wrote: the common part of gradients.py and hidden_states.py. It decides nothing about which cases to run.

The bound of every tensor is PyTorch's own: the largest error of its fp32 against its float64, over the
largest value of the tensor, doubled, plus 1e-7 (some two roundings to fp32). One run in fp32 can be lucky,
by a factor of two in one tensor of a hundred: the worst of three equivalent ones counts (two kernels of
attention, and the rows of the batch the other way round).
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

PEERS = Path(__file__).resolve().parents[2] / "bench" / "peers"
sys.path.insert(0, str(PEERS))  # for `from make_models import ...`


def arguments(description):
    """--tare, --only, --verbose; ends with 77, the mark of a skipped test, where PyTorch is missing."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--tare", type=Path, default=Path("build/tare"), metavar="PROGRAM")
    parser.add_argument("--only", metavar="TEXT", default="", help="cases whose name contains it")
    parser.add_argument("--verbose", action="store_true", help="a line for every tensor")
    args = parser.parse_args()
    try:
        import safetensors, torch, transformers  # noqa: F401, E401
    except ImportError as missing:
        print(f"skipped: {missing}")
        sys.exit(77)
    torch.set_num_threads(2)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return args


DRAWS = 8  # of a case of one position


@dataclass
class Case:
    """A model of bench/peers/make_models.py on random ids. `mask` is "", "right" or "left" padding; `ignored` the
    share of targets that are -1; `config` changes keys of config.json that no weight depends on."""

    model: str
    batch: int
    context: int
    mask: str = ""
    ignored: float = 0.0
    targets: bool = True
    config: dict = field(default_factory=dict)

    @property
    def name(self):
        parts = [self.model, f"{self.batch}x{self.context}"]
        parts += [f"{self.mask}-padded"] if self.mask else []
        parts += [f"ignored {self.ignored:g}"] if self.ignored else []
        parts += [str(value) for value in self.config.values()]
        return " ".join(parts)


def make_model(folder, model):
    if not (folder / model / "config.json").exists():
        from make_models import make

        with contextlib.redirect_stdout(None):
            make(model, folder)
    return folder / model


def model_dir(folder, case):
    """The directory of the case's model, made where it is not there yet."""
    plain = make_model(folder, case.model)
    if not case.config:
        return plain
    changed = folder / ("-".join([case.model, *map(str, case.config.values())]))
    if not changed.exists():
        shutil.copytree(plain, changed)
        config = json.loads((plain / "config.json").read_text())
        (changed / "config.json").write_text(json.dumps({**config, **case.config}))
    return changed


def load(directory, dtype, attention="eager"):
    import torch
    import transformers

    name = json.loads((directory / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(directory, attn_implementation=attention,
                                                        dtype=torch.float32)
    return model.to(dtype).eval()


def make_inputs(case, model, draw=0):
    """ids and mask [B, T]; targets [B, T], or [B] for a classifier, or None. Seeded by the shape and the draw."""
    import torch

    g = torch.Generator().manual_seed(1000 * case.batch + case.context + 1000000 * draw)
    shape = (case.batch, case.context)
    ids = torch.randint(model.config.vocab_size, shape, generator=g)
    mask = torch.ones(shape, dtype=torch.long)
    for row in range(case.batch if case.mask else 0):
        hidden = row * (case.context - 1) // max(case.batch - 1, 1)  # from none to all but one
        if hidden:
            mask[row, -hidden:] = 0
        if case.mask == "left":
            mask[row] = mask[row].flip(0)
    if not case.targets:
        return ids, mask, None
    if "SequenceClassification" in type(model).__name__:
        return ids, mask, torch.randint(model.config.num_labels, shape[:1], generator=g)
    targets = torch.randint(model.config.vocab_size, shape, generator=g)
    targets[torch.rand(shape, generator=g) < case.ignored] = -1
    targets[mask == 0] = -1
    return ids, mask, targets


def compute(model, ids, mask, targets):
    """Every tensor that `tare dump` writes, under its name there, in the model's own dtype."""
    import torch

    out = model(input_ids=ids, attention_mask=mask, output_hidden_states=True)
    tensors = {f"hidden_states.{i}": h for i, h in enumerate(out.hidden_states)}
    tensors["last_hidden_state"] = out.hidden_states[-1]
    logits = getattr(out, "logits", None)
    if logits is not None and "MaskedLM" not in type(model).__name__:
        tensors["logits"] = logits
    if targets is not None:
        flat = logits.reshape(-1, logits.shape[-1])
        loss = torch.nn.functional.cross_entropy(flat, targets.reshape(-1), ignore_index=-1)
        loss.backward()
        tensors["loss"] = loss
        for name, p in model.named_parameters():
            tensors[f"grad.{name}"] = torch.zeros_like(p) if p.grad is None else p.grad
    return {name: t.detach() for name, t in tensors.items()}


def visible_only(tensors, mask):
    """Values at masked positions are unspecified: zeroed here, on both sides of a comparison."""
    seen = mask.bool()
    return {name: t.masked_fill(~seen[..., None], 0) if t.shape[:2] == seen.shape and t.ndim == 3 else t
            for name, t in tensors.items()}


def as_rows(table):
    table = table if table.ndim == 2 else table[:, None]
    return ";".join(" ".join(str(int(x)) for x in row) for row in table)


def dump(tare, directory, inputs, out, *options, **environment):
    """Runs `tare dump` and returns the tensors it wrote. Raises with its message when it fails."""
    from safetensors.torch import load_file

    ids, mask, targets = inputs
    command = [tare, "dump", "--overwrite", directory, "--ids", as_rows(ids), "--out", out, *options]
    if not bool(mask.all()):
        command += ["--mask", as_rows(mask)]
    if targets is not None:
        command += ["--targets", as_rows(targets)]
    done = subprocess.run([str(c) for c in command], env={**os.environ, **environment},
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"tare dump ended with {done.returncode}")
    return load_file(out)


def scale_of(name, exact):
    """The largest value of the tensor. A key's bias moves all scores of a query alike, so that its exact
    gradient is zero: errors are measured by the query's."""
    query = name.replace("k_lin.bias", "q_lin.bias").replace("key.bias", "query.bias")
    return float(exact[query].abs().max())


def relative_error(got, exact, scale):
    """Largest error over `scale`. Where that is zero no error at all is allowed."""
    error = float((got.double() - exact).abs().max())
    if error != error:
        return float("inf")
    return error / scale if scale else (float("inf") if error else 0.0)


@dataclass
class Verdict:
    name: str
    error: float
    bound: float

    @property
    def ok(self):
        return self.error <= self.bound

    def __str__(self):
        mark = "ok" if self.ok else "NOT OK"
        return f"    {self.name:52} {self.error:.2e}, at most {self.bound:.2e}  {mark}"


def compare(got, exact, bound):
    """A verdict for every tensor; names and shapes must be the same."""
    if set(got) != set(exact):
        raise RuntimeError(f"other tensors than expected: {sorted(set(got) ^ set(exact))}")
    for name in exact:
        if got[name].shape != exact[name].shape:
            raise RuntimeError(f"{name} has shape {tuple(got[name].shape)}, PyTorch's has "
                               f"{tuple(exact[name].shape)}")
    return [Verdict(name, relative_error(got[name], exact[name], scale_of(name, exact)), bound[name])
            for name in exact]


def fp32_runs(directory, inputs):
    """The tensors of each equivalent run of PyTorch in fp32."""
    import torch

    ids, mask, targets = inputs
    for attention in ("eager", "sdpa"):
        yield compute(load(directory, torch.float32, attention), *inputs)
    turned = compute(load(directory, torch.float32), ids.flip(0), mask.flip(0),
                     None if targets is None else targets.flip(0))
    has_rows = ("hidden_states", "last_hidden_state", "logits")
    yield {name: t.flip(0) if name.startswith(has_rows) else t for name, t in turned.items()}


def bounds(exact, singles):
    """Of every tensor, from equivalent runs in fp32. A loss is one number, which single runs often get right by luck:
    it may be as far off as their logits allow, since it moves by at most twice what a logit moves."""
    own = {name: max(relative_error(single[name], exact[name], scale_of(name, exact)) for single in singles)
           for name in exact}
    if "loss" in own and scale_of("loss", exact):
        logits = own["logits"] * scale_of("logits", exact)
        own["loss"] = max(own["loss"], logits / scale_of("loss", exact))
    return {name: 2 * error + 1e-7 for name, error in own.items()}


def widest(draws):
    """Of every tensor the widest of the bounds that some draws give: of one position a single draw is often lucky."""
    return {name: max(bound[name] for bound in draws) for name in draws[0]}


class Reference:
    """One case on PyTorch: its inputs, exact tensors and bounds."""

    def __init__(self, folder, case):
        self.directory = model_dir(folder, case)
        draws = [self.draw(case, draw) for draw in range(1 if case.context > 1 else DRAWS)]
        self.inputs, self.exact, _ = draws[0]
        self.bound = widest([bound for *_, bound in draws])

    def draw(self, case, number):
        """Inputs, exact tensors, and the bounds that these inputs give."""
        import torch

        model = load(self.directory, torch.float64)
        inputs = make_inputs(case, model, number)
        mask = inputs[1]
        exact = visible_only(compute(model, *inputs), mask)
        del model
        return inputs, exact, bounds(exact, [visible_only(single, mask) for single in fp32_runs(self.directory, inputs)])

    def verdicts(self, got):
        return compare(visible_only(got, self.inputs[1]), self.exact, self.bound)


def for_each_case(args, cases, check):
    """Calls check(args, reference, case, out) for the cases that --only selects, where `out` is a file that
    `tare dump` may write; ends the program, with 1 where the numbers of failures it returned are not all 0."""
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as name:
        folder = Path(name)
        for case in cases:
            if args.only in case.name:
                bad += check(args, Reference(folder, case), case, folder / "out.safetensors")
    print(f"{bad} failures")
    sys.exit(bad > 0)


def report(name, verdicts, verbose):
    """A line for the case, and one for each tensor that is not ok. Returns how many are not."""
    bad = [v for v in verdicts if not v.ok]
    worst = max(verdicts, key=lambda v: v.error / v.bound)
    print(f"{name}: {len(verdicts) - len(bad)} of {len(verdicts)} tensors within their bound, "
          f"the nearest at {worst.error / worst.bound:.2f} of it ({worst.name})", flush=True)
    for v in verdicts if verbose else bad:
        print(v)
    return len(bad)
