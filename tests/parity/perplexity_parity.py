"""The perplexity of `tare precision` beside PyTorch: a random decoder with its tokenizer, a text, and from their
definitions the perplexity, bits a byte, divergence from fp32 and same top token of each format.

    perplexity_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

fp32 is PyTorch's float64. q8_0 and q4_0 are the gguf package's weights, dequantised, and activations rounded to
levels of 8 bits by 32 before each product, in fp32. bf16 and fp16 are PyTorch's own, whose sums are others: of
them ours is to be no farther from fp32 than twice theirs. Where fp16 is summed in fp16 (AVX512_FP16), chains of 32
miss a product of normal numbers by 8.8e-4 of it, operands alone by 2.9e-4 (analysis/SPEED.md): the divergence, which
grows with the square, may be that much above PyTorch's.
"""

import csv
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import gguf
    import numpy as np
    import torch
    from bpe_parity import ROOT, train
    from gguf_parity import make_model, write_gguf
    from torch_reference import arguments
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

CONTEXT, HELD_OUT = 96, 0.4
FORMATS = ("fp32", "fp16", "bf16", "q8_0", "q4_0")
# arch, tied head, tokenizer, what the gguf package calls its pre-tokenizer
CASES = (("gpt2", True, "gpt2", "gpt-2"), ("llama", False, "llama3", "llama-bpe"), ("qwen3", False, "qwen2", "qwen2"))
# Relative errors, three times what was seen. In groups a few activations near the middle of two levels go to either
# side, and a position fewer or more has fp32's top token.
FP32_BOUND = {"perplexity": 1e-7, "bits_per_byte": 1e-7}
KL_BOUND = {"vfmadd231ph": (8.8e-4 / 2.9e-4) ** 2}  # times PyTorch's own; 2 of other instructions
GROUPS_BOUND = {"perplexity": 8e-5, "bits_per_byte": 1.2e-5, "mean_kl": 1.5e-3, "kl_p999": 3.5e-2, "same_top_share": 4.5e-3}


def text_of():
    text = (ROOT / "configs/data/measuring.txt").read_text()[:9000]
    return text + "Déjà vu: 中文 and <|im_start|> with 12,345 digits.\n" * 9


def token_bytes(tokenizer, token_id):
    """A token of the vocabulary is written with a character for each byte."""
    added = tokenizer.get_added_tokens_decoder().get(token_id)
    return len(added.content.encode()) if added else len(tokenizer.id_to_token(token_id))


def windows_of(tokenizer, text):
    """Inputs and targets [windows, CONTEXT], as llama.cpp: what begins every text begins a window, in the place of
    its first token."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    count = (len(ids) - 1) // CONTEXT
    kept = math.ceil(count * HELD_OUT)
    ids = torch.tensor(ids[(count - kept) * CONTEXT:][:kept * CONTEXT + 1])
    inputs, targets = ids[:-1].reshape(kept, CONTEXT).clone(), ids[1:].reshape(kept, CONTEXT)
    begin = tokenizer.token_to_id("<|begin|>")
    if begin is not None:
        inputs[:, 0] = begin
    return inputs, targets


def in_levels(x):
    groups = x.reshape(-1, 32)
    scale = groups.abs().amax(1, keepdim=True) / 127
    levels = torch.where(scale > 0, groups / scale, groups).round()
    return (levels * scale).reshape(x.shape)


def grouped(model, kind):
    """The model as q8_0 or q4_0 computes it."""
    from transformers.pytorch_utils import Conv1D

    tied, seen = model.config.tie_word_embeddings, set()
    kind = gguf.GGMLQuantizationType[kind.upper()]
    for module in model.modules():
        linear = isinstance(module, (torch.nn.Linear, Conv1D))
        if not linear and not isinstance(module, torch.nn.Embedding):
            continue
        if module.weight.data_ptr() not in seen:
            w = module.weight.data.T if isinstance(module, Conv1D) else module.weight.data
            near = gguf.quants.dequantize(gguf.quants.quantize(w.contiguous().numpy(), kind), kind)
            near = torch.from_numpy(np.ascontiguousarray(near))
            module.weight.data.copy_(near.T if isinstance(module, Conv1D) else near)
            seen.add(module.weight.data_ptr())
        if linear:
            module.register_forward_pre_hook(lambda _, args: (in_levels(args[0]),))
    assert not tied or model.get_output_embeddings().weight is model.get_input_embeddings().weight
    return model


def log_probabilities(model, inputs):
    with torch.no_grad():
        return torch.cat([torch.log_softmax(model(x[None]).logits[0].double(), -1) for x in inputs])


def reference(arch, tied, tokenizer, inputs, targets):
    """Of each format the figures that have a column of the same name."""
    bytes_ = sum(token_bytes(tokenizer, int(i)) for i in targets.flatten())
    exact = None
    for name in FORMATS:
        model = make_model(arch, tied)
        model = {"fp32": model.double, "fp16": model.half, "bf16": model.bfloat16}.get(
            name, lambda: grouped(model, name))()
        ln_p = log_probabilities(model, inputs)
        exact = ln_p if exact is None else exact
        loss = -ln_p.gather(-1, targets.flatten()[:, None]).mean()
        kl = (exact.exp() * (exact - ln_p)).sum(-1)
        yield name, {"perplexity": float(loss.exp()), "text_bytes": bytes_,
                     "bits_per_byte": float(loss) / math.log(2) * targets.numel() / bytes_,
                     "mean_kl": float(kl.mean()), "kl_p999": float(np.quantile(kl.numpy(), 0.999)),
                     "same_top_share": float((ln_p.argmax(-1) == exact.argmax(-1)).double().mean())}


def measured(tare, folder, model):
    (folder / "config.toml").write_text(
        f'formats = {json.dumps(FORMATS)}\nthreads = 2\n[[model]]\nname = "m"\n'
        f'dir = "{model}"\ntext = "{folder}/text"\nheld_out = {HELD_OUT}\ncontext = {CONTEXT}\n')
    out = folder / f"results-{model.name}"
    done = subprocess.run([tare, "precision", folder / "config.toml", "--out", out, "--include-emulated"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    with next(out.glob("*.csv")).open() as file:
        return {row["format"]: row for row in csv.DictReader(file)}


def differences(name, row, wanted, windows):
    """Sentences about a format whose figures are others."""
    got = {key: float(row[key]) for key in wanted if row[key]}
    if int(row["total"]) != windows or int(row["context"]) != CONTEXT or got["text_bytes"] != wanted["text_bytes"]:
        yield f"{row['total']} windows of {row['context']}, {row['text_bytes']} bytes"
    if name in ("fp16", "bf16"):
        if not 0 < got["mean_kl"] < KL_BOUND.get(row["instruction"], 2) * wanted["mean_kl"]:
            yield f"mean_kl {got['mean_kl']:.3e}, PyTorch's own {wanted['mean_kl']:.3e}"
        return
    for key, bound in (FP32_BOUND if name == "fp32" else GROUPS_BOUND).items():
        if not abs(got[key] / wanted[key] - 1) < bound:
            yield f"{key} {got[key]:.9g}, wanted {wanted[key]:.9g}"


def check(args, folder, arch, tied, kind, pre):
    tokenizer = train(kind, 500, [text_of()])
    model = make_model(arch, tied)
    directory, file = folder / "directory", folder / "model.gguf"
    model.save_pretrained(directory)
    tokenizer.save(str(directory / "tokenizer.json"))
    write_gguf(file, arch, model, "F32", tokenizer, pre)
    (folder / "text").write_text(text_of())
    inputs, targets = windows_of(tokenizer, text_of())
    wanted, bad = dict(reference(arch, tied, tokenizer, inputs, targets)), 0
    for path in (directory, file):
        rows = measured(args.tare, folder, path)
        for name in FORMATS:
            wrong = list(differences(name, rows[name], wanted[name], len(inputs)))
            bad += len(wrong)
            for sentence in wrong:
                print(f"  {name} of {path.name}: {sentence}")
            if args.verbose:
                for key, value in wanted[name].items():
                    print(f"    {name:5} {key:15} {rows[name][key]:>18} {value:.9g}")
    print(f"{arch}, {len(inputs)} windows, perplexity {wanted['fp32']['perplexity']:.4g}" + (" NOT OK" if bad else ""),
          flush=True)
    return bad


def main():
    args = arguments(__doc__.splitlines()[0])
    bad = 0
    for case in CASES:
        if args.only in case[0]:
            with tempfile.TemporaryDirectory(prefix="tare-perplexity-") as folder:
                bad += check(args, Path(folder), *case)
    print(f"{bad} failures")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
