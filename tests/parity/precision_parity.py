"""Hidden states, logits and, of mixed, gradients from `tare dump --precision` beside PyTorch in the same
format, both measured by their distance from PyTorch in float64: ours is to be no farther than twice theirs.

    precision_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

fp16 and bf16 are PyTorch's .to(dtype), mixed is its autocast to bf16. PyTorch has no int8 with a scale for
each row of activations: that one is bounded by what was seen.
"""

import sys
import tempfile
from pathlib import Path

from torch_reference import (Case, arguments, compute, dump, load, make_inputs, model_dir,
                             visible_only)

MODELS = ("gpt2-odd", "gpt2-untied", "distilbert-small", "bert-small", "llama-grouped", "qwen3-small")
CASES = [Case(model, 8, 17, mask="right", ignored=0.2) for model in MODELS]

FACTOR = 2
# Of int8, the largest distance of a hidden state or of logits that was seen, 3.4e-2, doubled.
INT8_BOUND = 6.8e-2


def distance(got, exact):
    """Euclidean, over the norm."""
    norm = float(exact.double().norm())
    error = float((got.double() - exact.double()).norm())
    return error / norm if norm else error


def torch_in(precision, directory, inputs):
    import torch

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16, "mixed": torch.float32}[precision]
    model = load(directory, dtype)
    if precision == "mixed":
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return compute(model, *inputs)
    with torch.no_grad():
        return compute(model, inputs[0], inputs[1], None)


def is_checked(name, exact):
    """Not the gradient of a key's bias, which is zero but for rounding; nor the loss and the bias of two
    labels, so few numbers that errors cancel in them by luck."""
    return exact.numel() >= 16 and not name.endswith(("k_lin.bias", "key.bias"))


def check(args, case, precision, folder):
    """One line: the farthest tensor, and those out of bounds."""
    import torch

    directory = model_dir(folder, case)
    exact_model = load(directory, torch.float64)
    inputs = make_inputs(case, exact_model)
    if precision != "mixed":
        inputs = (inputs[0], inputs[1], None)
    exact = visible_only(compute(exact_model, *inputs), inputs[1])
    ours = visible_only(dump(args.tare, directory, inputs, folder / "out.safetensors", "--precision",
                             precision), inputs[1])
    theirs = None
    if precision != "int8":
        theirs = visible_only(torch_in(precision, directory, inputs), inputs[1])
    if set(ours) != set(exact):
        raise RuntimeError(f"other tensors than expected: {sorted(set(ours) ^ set(exact))}")
    worst, bad = (0.0, 0.0, ""), 0
    for name in [name for name in exact if is_checked(name, exact[name])]:
        own = distance(ours[name], exact[name])
        bound = FACTOR * distance(theirs[name], exact[name]) if theirs else INT8_BOUND
        worst = max(worst, (own / bound if bound else float(own > 0), own, name))
        if own > bound:
            bad += 1
        if own > bound or args.verbose:
            print(f"    {name:52} {own:.2e}, at most {bound:.2e}  {'NOT OK' if own > bound else 'ok'}")
    print(f"{case.name} {precision}: {worst[2]} {worst[1]:.1e}, {worst[0]:.2f} of its bound", flush=True)
    return bad


def main():
    args = arguments(__doc__.splitlines()[0])
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tare-precision-") as folder:
        for case in CASES:
            for precision in ("fp16", "bf16", "mixed", "int8"):
                if args.only in f"{case.name} {precision}":
                    bad += check(args, case, precision, Path(folder))
    print(f"{bad} failures")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
