"""q8_0 and q4_0 beside the gguf package: the groups that `tare convert` writes are gguf.quants.quantize's, byte
for byte; a GGUF's blocks go into a directory as they are; and logits that `tare dump` computes in fp32 from
such files are those of the gguf package's dequantised weights.

    groups_parity.py [--tare PROGRAM] [--only TEXT]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import gguf
    import numpy as np
    import torch
    from bpe_parity import train, training_text
    from gguf_parity import make_model, write_gguf
    from safetensors.numpy import load_file
    from torch_reference import arguments
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

CONV1D = ("attn.c_attn.weight", "attn.c_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight")
# Largest difference of the logits over the largest logit, both fp32 from the same weights; observed 7.3e-7
BOUND = 2.2e-6


def run(tare, *command):
    done = subprocess.run([str(tare), *map(str, command)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())


def check_groups(before, after, kind):
    """Every matrix as gguf.quants.quantize has it, [outputs, bytes]; vectors as they were."""
    for name, value in before.items():
        if value.ndim != 2:
            if not np.array_equal(after[name], value):
                yield f"{name} changed"
            continue
        outputs = np.ascontiguousarray(value.T if name.endswith(CONV1D) else value)
        if not np.array_equal(after[name], gguf.quants.quantize(outputs, kind)):
            yield f"{name} is not the gguf package's"


def widened(before, after, kind):
    state = {}
    for name, value in before.items():
        if value.ndim == 2:
            value = gguf.quants.dequantize(after[name], kind)
            value = value.T if name.endswith(CONV1D) else value
        state[name] = torch.from_numpy(np.ascontiguousarray(after[name] if value.ndim != 2 else value))
    return state


def logits_of(tare, model_dir, folder, ids, *options):
    out = folder / "dumped"
    out.unlink(missing_ok=True)
    run(tare, "dump", model_dir, "--ids", " ".join(map(str, ids)), "--out", out, *options)
    return load_file(out)["logits"][0]


def error_of(got, want):
    return float(np.abs(got - want).max() / np.abs(want).max())


def check(tare, folder, arch, tied, name, tokenizer):
    kind = gguf.GGMLQuantizationType[name.upper()]
    model = make_model(arch, tied)
    source, made, ids = folder / "source", folder / "made", list(range(3, 40))
    model.save_pretrained(source)
    run(tare, "convert", source, made, "--format", name)
    before, after = load_file(source / "model.safetensors"), load_file(made / "model.safetensors")
    yield from check_groups(before, after, kind)
    model.load_state_dict(widened(before, after, kind), strict=False)
    model.tie_weights()
    with torch.no_grad():
        want = model(torch.tensor([ids])).logits[0].numpy()
    worst = error_of(logits_of(tare, made, folder, ids), want)
    if not worst < BOUND:
        yield f"logits are off by {worst:.2e}"
    # the same model as a GGUF: the same groups, whichever way they come
    file, again = folder / "model.gguf", folder / "again"
    write_gguf(file, arch, make_model(arch, tied), kind.name, tokenizer, "gpt-2")
    run(tare, "convert", file, again, "--format", name)
    for tensor, value in load_file(again / "model.safetensors").items():
        if not np.array_equal(value, after[tensor]):
            yield f"{tensor} of the GGUF is other groups"
    own = logits_of(tare, made, folder, ids, "--precision", name)
    for path in (source, file, again):
        if not np.array_equal(logits_of(tare, path, folder, ids, "--precision", name), own):
            yield f"logits of {path.name} in {name} are others"
    print(f"{arch:6} {'tied' if tied else 'untied':7} {name}: fp32 logits off by {worst:.1e}, "
          f"{name} by {error_of(own, want):.1e}")


def main():
    args = arguments(__doc__.splitlines()[0])
    tokenizer = train("gpt2", 500, training_text())
    failures = 0
    for arch, tied in (("gpt2", True), ("llama", False), ("llama", True), ("qwen2", True), ("qwen3", False)):
        for name in ("q8_0", "q4_0"):
            if args.only not in f"{arch} {name}":
                continue
            with tempfile.TemporaryDirectory() as folder:
                for bad in check(args.tare, Path(folder), arch, tied, name, tokenizer):
                    print(f"{arch} {name}: {bad}")
                    failures += 1
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
