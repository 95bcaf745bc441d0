"""Greedy ids of `tare generate` beside `generate` of the transformers library, in fp32 with a cache, for random
models of every decoder family, until 64 tokens or the token that ends a text.

    generate_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

Two programs that round differently may choose differently where two tokens are as good as equal. A difference
is accepted only where the logits in float64 of both choices are nearer to each other than twice the error of
PyTorch's own fp32, and it is shown; the ids after it are held against PyTorch's choice after the same text.
"""

import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_reference import arguments, make_model

NEW = 64
MODELS = ("gpt2-odd", "gpt2-untied", "gpt2-relu", "llama-grouped", "llama-one-key", "llama-3", "mistral-small",
          "qwen2-small", "qwen3-small")
PROMPTS = (1, 5, 23)


def tare_ids(program, directory, prompt, new, *options):
    command = [program, "generate", directory, "--ids", " ".join(map(str, prompt)), "--max-new", str(new),
               "--threads", "1", "--format", "json", *options]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def reference_ids(model, prompt, new):
    import torch

    ids = torch.tensor([prompt])
    out = model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=new, pad_token_id=0)
    return out[0, len(prompt):].tolist()


def choices(model, double, prompt, ids):
    """Of every new id: PyTorch's choice after the same text, how much better it is in float64, and the bound."""
    import torch

    text = torch.tensor([prompt + ids[:-1]])
    with torch.no_grad():
        exact = double(text).logits[0, len(prompt) - 1:]
        error = (model(text).logits[0, len(prompt) - 1:].double() - exact).abs().amax(-1)
    best = exact.argmax(-1)
    gap = exact.amax(-1) - exact.gather(-1, torch.tensor(ids)[:, None])[:, 0]
    return list(zip(best.tolist(), gap.tolist(), (2 * error).tolist()))


def compare_greedy(program, directory, name, model, double, prompt, new):
    """The number of ids that differ from PyTorch's by more than a near-tie; prints them, and a line of the whole."""
    result = tare_ids(program, directory, prompt, new)
    ids, theirs = result["ids"], reference_ids(model, prompt, new)
    bad = ties = 0
    for at, (best, gap, bound) in enumerate(choices(model, double, prompt, ids)):
        if best == ids[at]:
            continue
        ties += 1
        bad += gap > bound
        print(f"  {name} {len(prompt)}: token {at}: {ids[at]}, PyTorch {best}, {gap:.1e} better, bound {bound:.1e}")
    if ids != theirs and not ties:
        bad += 1
        print(f"  {name} {len(prompt)}: {ids} are not {theirs}")
    print(f"{name}, prompt of {len(prompt)}: {len(ids)} ids ({result['stop']}), {len(set(ids))} different, {ties} near-ties"
          + (" NOT OK" if bad else ""), flush=True)
    return bad


def check(args, directory, name, length):
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    double = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float64).eval()
    prompt = [random.Random(length).randrange(3, model.config.vocab_size) for _ in range(length)]
    new = min(NEW, model.config.max_position_embeddings - length)
    return compare_greedy(args.tare, directory, name, model, double, prompt, new)


def main():
    args = arguments(__doc__.splitlines()[0])
    import torch

    torch.set_num_threads(1)  # the models are tiny
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in MODELS:
            if args.only not in name:
                continue
            directory = make_model(Path(folder), name)
            for length in PROMPTS:
                bad += check(args, directory, name, length)
    print("all equal, or near-ties" if not bad else f"{bad} differences")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
