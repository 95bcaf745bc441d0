"""Writes training_golden.h: the first losses of a tiny GPT under AdamW as PyTorch computes them in float64.
Weights, tokens and targets are formulas that tests/test_model.c computes too.

    make_training_golden.py > tests/golden/training_golden.h
"""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

CHANNELS, LAYERS, HEADS, VOCABULARY, CONTEXT, BATCH, STEPS = 36, 2, 3, 101, 17, 3, 20


def hash16(name, i):
    """16 bits from a name and an index: FNV-1a of the name, then a multiplicative hash."""
    h = 2166136261
    for c in name.encode():
        h = (h ^ c) * 16777619 % 2**32
    h = (h ^ i) * 2654435761 % 2**32
    return (h ^ h >> 15) * 2246822519 % 2**32 >> 16


def values(name, count):
    """Multiples of 2^-18 in [-1/8, 1/8), so exact in every precision."""
    return torch.tensor([hash16(name, i) / 2**18 - 0.125 for i in range(count)], dtype=torch.float64)


def integers(name, count, below):
    return torch.tensor([hash16(name, i) % below for i in range(count)])


@torch.no_grad()
def set_weights(model):
    """Norm weights are about 1. Conv1D weights are [in, out] here, [out, in] in the formula."""
    for full_name, p in model.named_parameters():
        name = full_name.removeprefix("transformer.")
        transposed = name.startswith("h.") and p.ndim == 2
        w = values(name, p.numel()).reshape(p.shape[::-1] if transposed else p.shape)
        w = w + 1 if "ln_" in name and name.endswith("weight") else w
        p.copy_(w.T if transposed else w)


def main():
    config = GPT2Config(n_embd=CHANNELS, n_layer=LAYERS, n_head=HEADS, vocab_size=VOCABULARY,
                        n_positions=CONTEXT, bos_token_id=None, eos_token_id=None, resid_pdrop=0, embd_pdrop=0, attn_pdrop=0)
    model = GPT2LMHeadModel(config).double().train()
    set_weights(model)
    tokens = integers("tokens", BATCH * CONTEXT, VOCABULARY).reshape(BATCH, CONTEXT)
    targets = integers("targets", BATCH * CONTEXT, VOCABULARY)
    matrices = [p for p in model.parameters() if p.ndim == 2]
    vectors = [p for p in model.parameters() if p.ndim == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1},
                                   {"params": vectors, "weight_decay": 0.0}], lr=3e-3)
    losses = []
    for _ in range(STEPS):
        logits = model(tokens).logits.reshape(-1, VOCABULARY)
        loss = torch.nn.functional.cross_entropy(logits, targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print("/* Made by make_training_golden.py: the losses of PyTorch's AdamW in float64, learning rate 3e-3,")
    print(" * weight decay 0.1 of the matrices alone. */")
    for name in "CHANNELS LAYERS HEADS VOCABULARY CONTEXT BATCH".split():
        print(f"enum {{ GOLDEN_{name} = {globals()[name]} }};")
    print("static const double golden_losses[] = {")
    for loss in losses:
        print(f"    {loss!r},")
    print("};")


if __name__ == "__main__":
    main()
