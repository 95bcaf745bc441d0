"""Files that `tare convert` wrote, beside PyTorch: bf16 and fp16 directories are loaded by the transformers
library and must hold the very bits of its own .to(dtype); int8 weights must be torch's rounding of
weight / scale with scale = max |row| / 127, exactly; and the logits that `tare dump` computes from each
directory, in fp32, must be those of PyTorch from the widened weights.

    convert_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_reference import arguments, make_model

MODELS = ["gpt2-odd", "gpt2-untied", "gpt2-relu", "distilbert-small", "bert-small"]
FORMATS = ["bf16", "fp16", "int8"]
CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")

# Largest difference of the logits over the largest logit. Both sides compute in fp32 from the same weights;
# at most 7.5e-7 was seen on these models, AVX-512; doubled for other instruction sets.
BOUND = 1.5e-6


def convert(tare, directory, out, fmt):
    subprocess.run([tare, "convert", directory, out, "--format", fmt], check=True)


def tensors(directory):
    from safetensors.torch import load_file

    return load_file(directory / "model.safetensors")


def check_small(directory, before, after, fmt):
    """What transformers loads from the directory is what it would have made itself."""
    import torch
    import transformers

    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[fmt]
    bad = [f"{name} is not torch's" for name, value in before.items()
           if not torch.equal(after[name], value.to(dtype) if value.is_floating_point() else value)]
    config = json.loads((directory / "config.json").read_text())
    if config["dtype"] != str(dtype).removeprefix("torch."):
        bad.append(f"config.json says {config['dtype']}")
    auto = getattr(transformers, config["architectures"][0])
    model = auto.from_pretrained(directory, dtype="auto")
    if {p.dtype for p in model.parameters()} != {dtype}:
        bad.append(f"transformers loads it as {[p.dtype for p in model.parameters()][0]}")
    state = model.state_dict()
    bad += [f"transformers reads {name} otherwise" for name in after
            if name in state and not torch.equal(state[name], after[name])]
    return bad


def check_int8(before, after):
    """One scale an output: a row, but a column of GPT-2's [in, out] matrices."""
    import torch

    bad = []
    for name, value in before.items():
        if value.ndim != 2:
            bad += [] if torch.equal(after[name], value) else [f"{name} changed"]
            continue
        outputs = value.T if name.endswith(CONV1D) else value
        scale = outputs.abs().amax(dim=1) / 127
        level = torch.round(outputs / scale[:, None]).clamp(-127, 127).to(torch.int8)
        if not torch.equal(after[name + ".scale"], scale):
            bad.append(f"{name}.scale differs")
        if not torch.equal(after[name], level.T if name.endswith(CONV1D) else level):
            bad.append(f"levels of {name} differ")
    if len(after) != len(before) + sum(value.ndim == 2 for value in before.values()):
        bad.append(f"{len(after)} tensors from {len(before)}")
    return bad


def widened(before, after):
    """The converted weights as fp32."""
    full = {}
    for name, value in before.items():
        level = after[name].float()
        scale = after.get(name + ".scale")
        full[name] = level if scale is None else \
            level * (scale[None, :] if name.endswith(CONV1D) else scale[:, None])
    return full


def logits_error(tare, directory, out, before, after):
    """tare's logits from the converted directory beside PyTorch's in fp32 from the widened weights."""
    import torch
    import transformers
    from safetensors.torch import load_file

    config = json.loads((directory / "config.json").read_text())
    auto = getattr(transformers, config["architectures"][0])
    model = auto.from_pretrained(directory).eval()
    model.load_state_dict(widened(before, after), strict=False)
    ids = torch.randint(config["vocab_size"], (3, 17), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        want = model(ids).logits
    text = ";".join(" ".join(str(int(i)) for i in row) for row in ids)
    dumped = out.parent / (out.name + ".out")
    subprocess.run([tare, "dump", "--overwrite", out, "--ids", text, "--out", dumped], check=True)
    return float((load_file(dumped)["logits"] - want).abs().max() / want.abs().max())


def main():
    args = arguments(__doc__.splitlines()[0])
    failures = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for model in MODELS:
            make_model(folder, model)
            before = tensors(folder / model)
            for fmt in FORMATS:
                if args.only not in f"{model} {fmt}":
                    continue
                out = folder / f"{model}-{fmt}"
                convert(args.tare, folder / model, out, fmt)
                after = tensors(out)
                bad = check_int8(before, after) if fmt == "int8" else check_small(out, before, after, fmt)
                error = logits_error(args.tare, folder / model, out, before, after)
                if not error <= BOUND:
                    bad.append(f"logits differ by {error:.1e}, at most {BOUND:.1e}")
                failures += len(bad)
                print(f"{model} {fmt}: {'; '.join(bad) if bad else f'ok, logits {error:.1e}'}", flush=True)
    print(f"{failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
