"""Llama and the course's decoder (`model_type` cs336) against a plain PyTorch model that is written out here and
shares no code with the transformers library: logits, hidden states, loss and every gradient in float64, and the
losses of a training.

    decoders_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

The bounds are those of torch_reference.py. It measures no speed.
"""

import json
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from torch_reference import DRAWS, arguments, bounds, compare, dump, report, widest
from gradients import WAYS, lacks
from train_parity import curve, tare, toml, updates_of

LOSS_RELATIVE = 3e-7  # observed: at most 5.6e-8, with every instruction set
UPDATES = 20


@dataclass
class Decoder:
    arch: str
    d_model: int = 48
    layers: int = 2
    heads: int = 4
    kv_heads: int = 4
    head_dim: int = 12
    d_ff: int = 100
    vocab: int = 101
    theta: float = 10000.0
    eps: float = 1e-5
    tied: bool = False
    batch: int = 3
    context: int = 17

    @property
    def name(self):
        return (f"{self.arch} {self.d_model}x{self.layers} heads {self.heads}/{self.kv_heads}/{self.head_dim}"
                f"{' tied' if self.tied else ''} {self.batch}x{self.context}")


CASES = [
    Decoder("cs336"),
    Decoder("cs336", d_model=64, heads=8, kv_heads=2, head_dim=8, theta=500.0, batch=2, context=70),
    Decoder("cs336", layers=3, heads=3, kv_heads=3, head_dim=16, tied=True, batch=1, context=1),
    Decoder("cs336", heads=6, kv_heads=1, head_dim=20, eps=1e-3, batch=2, context=33),
    Decoder("llama"),
    Decoder("llama", d_model=64, heads=8, kv_heads=2, head_dim=8, theta=500.0, batch=2, context=70),
]


def shapes(c):
    q, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    yield "model.embed_tokens.weight", (c.vocab, c.d_model)
    for i in range(c.layers):
        layer = f"model.layers.{i}."
        yield layer + "input_layernorm.weight", (c.d_model,)
        yield layer + "self_attn.q_proj.weight", (q, c.d_model)
        yield layer + "self_attn.k_proj.weight", (kv, c.d_model)
        yield layer + "self_attn.v_proj.weight", (kv, c.d_model)
        yield layer + "self_attn.o_proj.weight", (c.d_model, q)
        yield layer + "post_attention_layernorm.weight", (c.d_model,)
        yield layer + "mlp.gate_proj.weight", (c.d_ff, c.d_model)
        yield layer + "mlp.up_proj.weight", (c.d_ff, c.d_model)
        yield layer + "mlp.down_proj.weight", (c.d_model, c.d_ff)
    yield "model.norm.weight", (c.d_model,)
    if not c.tied:
        yield "lm_head.weight", (c.vocab, c.d_model)


def rms_norm(x, weight, eps):
    return weight * x / (x.square().mean(-1, keepdim=True) + eps).sqrt()


def turn(c, x):
    """x [B, T, H, D]: each pair of channels is a complex number, turned by its position."""
    import torch

    steps = torch.arange(x.shape[1], dtype=torch.float64)
    rates = c.theta ** (-torch.arange(0, c.head_dim, 2, dtype=torch.float64) / c.head_dim)
    angle = torch.outer(steps, rates)[:, None, :]  # [T, 1, D/2]
    turns = torch.polar(torch.ones_like(angle), angle)
    if c.arch == "cs336":
        real, imaginary = x[..., 0::2], x[..., 1::2]
    else:
        real, imaginary = x[..., :c.head_dim // 2], x[..., c.head_dim // 2:]
    turned = torch.complex(real.double(), imaginary.double()) * turns
    parts = [turned.real.to(x.dtype), turned.imag.to(x.dtype)]
    return torch.stack(parts, -1).flatten(-2) if c.arch == "cs336" else torch.cat(parts, -1)


def attend(c, w, layer, x, fused):
    import torch

    def heads(name, count):
        return (x @ w[f"{layer}self_attn.{name}_proj.weight"].T).unflatten(-1, (count, c.head_dim))

    q, k, v = turn(c, heads("q", c.heads)), turn(c, heads("k", c.kv_heads)), heads("v", c.kv_heads)
    q, k, v = (t.transpose(1, 2) for t in (q, k, v))
    k, v = (t.repeat_interleave(c.heads // c.kv_heads, 1) for t in (k, v))
    if fused:
        y = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    else:
        scores = q @ k.transpose(-1, -2) / c.head_dim**0.5
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        y = scores.masked_fill(future, float("-inf")).softmax(-1) @ v
    return y.transpose(1, 2).flatten(-2) @ w[layer + "self_attn.o_proj.weight"].T


def forward(c, w, ids, fused=False):
    """Logits and the hidden states as `tare dump` numbers them."""
    import torch

    x = w["model.embed_tokens.weight"][ids]
    hidden = []
    for i in range(c.layers):
        layer = f"model.layers.{i}."
        hidden.append(x)
        x = x + attend(c, w, layer, rms_norm(x, w[layer + "input_layernorm.weight"], c.eps), fused)
        y = rms_norm(x, w[layer + "post_attention_layernorm.weight"], c.eps)
        gate, up = (y @ w[f"{layer}mlp.{name}_proj.weight"].T for name in ("gate", "up"))
        x = x + (gate * torch.sigmoid(gate) * up) @ w[layer + "mlp.down_proj.weight"].T
    hidden.append(rms_norm(x, w["model.norm.weight"], c.eps))
    head = w["model.embed_tokens.weight" if c.tied else "lm_head.weight"]
    return hidden[-1] @ head.T, hidden


def compute(c, weights, ids, targets, dtype, fused=False):
    """Every tensor that `tare dump` writes, under its name there."""
    import torch

    w = {name: t.detach().clone().to(dtype).requires_grad_() for name, t in weights.items()}
    logits, hidden = forward(c, w, ids, fused)
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=-1)
    loss.backward()
    tensors = {f"hidden_states.{i}": h for i, h in enumerate(hidden)}
    tensors |= {"last_hidden_state": hidden[-1], "logits": logits, "loss": loss}
    tensors |= {f"grad.{name}": t.grad for name, t in w.items()}
    return {name: t.detach() for name, t in tensors.items()}


def rows_turned(tensors):
    rows = ("hidden_states", "last_hidden_state", "logits")
    return {name: t.flip(0) if name.startswith(rows) else t for name, t in tensors.items()}


def channels_turned(tensors):
    """The same model with the channels of its hidden states the other way round, or its results turned back."""
    def turned(name, t):
        if name in ("logits", "loss"):
            return t
        return t.flip(0) if "o_proj" in name or "down_proj" in name else t.flip(-1)

    return {name: turned(name, t) for name, t in tensors.items()}


def fp32_runs(c, weights, ids, targets):
    """Equivalent runs, of which one may be lucky in a tensor."""
    import torch

    yield compute(c, weights, ids, targets, torch.float32)
    yield compute(c, weights, ids, targets, torch.float32, True)
    yield rows_turned(compute(c, weights, ids.flip(0), targets.flip(0), torch.float32))
    yield channels_turned(compute(c, channels_turned(weights), ids, targets, torch.float32))


def make_directory(folder, c, weights):
    from safetensors.torch import save_file

    directory = folder / c.name.replace(" ", "-").replace("/", "-")
    directory.mkdir()
    save_file(weights, directory / "model.safetensors")
    (directory / "config.json").write_text(json.dumps({
        "model_type": c.arch, "hidden_size": c.d_model, "num_hidden_layers": c.layers, "intermediate_size": c.d_ff,
        "num_attention_heads": c.heads, "num_key_value_heads": c.kv_heads, "head_dim": c.head_dim,
        "vocab_size": c.vocab, "rms_norm_eps": c.eps, "rope_theta": c.theta, "tie_word_embeddings": c.tied}))
    return directory


def draw_tokens(c, g):
    import torch

    ids, targets = (torch.randint(c.vocab, (c.batch, c.context), generator=g) for _ in range(2))
    targets[:, 1::5] = -1
    return ids, targets


def exact_and_bound(c, weights, ids, targets):
    import torch

    exact = compute(c, weights, ids, targets, torch.float64)
    return exact, bounds(exact, list(fp32_runs(c, weights, ids, targets)))


def check_dump(args, folder, c):
    """How many tensors are out of their bound, over all ways of computing that this machine has."""
    import torch

    g = torch.Generator().manual_seed(1000 * c.batch + c.context)
    weights = {name: torch.randn(shape, generator=g) * (0.3 if len(shape) > 1 else 0.2) + (len(shape) == 1)
               for name, shape in shapes(c)}
    directory = make_directory(folder, c, weights)
    ids, targets = draw_tokens(c, g)
    exact, bound = exact_and_bound(c, weights, ids, targets)
    others = range(DRAWS - 1 if c.context == 1 else 0)
    bound = widest([bound] + [exact_and_bound(c, weights, *draw_tokens(c, g))[1] for _ in others])
    inputs, out, bad, files = (ids, torch.ones_like(ids), targets), folder / "out.safetensors", 0, []
    for way in WAYS:
        name = f"{c.name}, {' '.join(way.values())}"
        try:
            bad += report(name, compare(dump(args.tare, directory, inputs, out, **way), exact, bound), args.verbose)
        except RuntimeError as error:
            if not lacks(str(error)):
                raise
            print(f"{name}: skipped, {error}")
    for options in (["--recompute", "none"], ["--recompute", "block:2", "--threads", "1"], ["--recompute", "cheap"]):
        dump(args.tare, directory, inputs, out, *options)
        files.append(out.read_bytes())
    return bad + sum(file != files[0] for file in files)


def torch_losses(c, weights, text, plan, training):
    """Of the first updates, in float64."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    w = {name: t.double().requires_grad_() for name, t in weights.items()}
    optimizer = torch.optim.AdamW(
        [{"params": [t for t in w.values() if t.ndim > 1], "weight_decay": training["weight_decay"]},
         {"params": [t for t in w.values() if t.ndim == 1], "weight_decay": 0.0}], lr=training["learning_rate"])
    updates = updates_of(plan, 1)
    schedule = get_linear_schedule_with_warmup(optimizer, round(training["warmup"] * len(updates)), len(updates))
    ids, losses = torch.tensor(list(text)), []
    for [(_, examples)] in updates[:UPDATES]:
        windows = torch.stack([ids[e * c.context:][:c.context + 1] for e in examples])
        logits, _ = forward(c, w, windows[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(w.values(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def check_training(args, folder, c):
    """1 where the losses drift apart. A training whose rate is too small to move any weight writes those that the
    seed gives."""
    from safetensors.torch import load_file

    text = bytes(random.Random(3).choices(range(97, 123), k=c.context * 4 * UPDATES + 1))
    (folder / "text.txt").write_bytes(text)
    model = dict(arch=c.arch, d_model=c.d_model, num_layers=c.layers, num_heads=c.heads, num_kv_heads=c.kv_heads,
                 d_ff=c.d_ff, context=c.context)
    training = dict(epochs=2, batch_size=4, learning_rate=3e-3, warmup=0.1, weight_decay=0.1)

    def train(name, **changes):
        out, config = folder / f"{c.arch}-{name}", folder / f"{c.arch}-{name}.toml"
        config.write_text(toml("gpt", out, {"text": str(folder / "text.txt"), "held_out": 0.0}, model,
                               training | changes))
        tare(args, "train", config)
        return out, config

    start, _ = train("start", learning_rate=1e-12, epochs=1, weight_decay=0.0)
    out, config = train("trained")
    weights = load_file(start / "model.safetensors")
    ours = curve(out)[:UPDATES]
    theirs = torch_losses(c, weights, text, tare(args, "train", config, "--dry-run"), training)
    worst = max(abs(a - b) / b for a, b in zip(ours, theirs))
    ok = len(ours) == len(theirs) == UPDATES and worst <= LOSS_RELATIVE and theirs[-1] < theirs[0]
    print(f"{c.arch}: {UPDATES} losses from {theirs[0]:.4f} to {theirs[-1]:.4f}, relative {worst:.1e} "
          f"(bound {LOSS_RELATIVE:.0e}) {'ok' if ok else 'FAILED'}")
    return int(not ok)


def main():
    args = arguments(__doc__.split("\n")[0])
    args.tare = args.tare.resolve()
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as name:
        for c in CASES:
            bad += check_dump(args, Path(name), c) if args.only in c.name else 0
        for arch in ("llama", "cs336"):
            c = Decoder(arch, kv_heads=2, vocab=256, context=32)
            bad += check_training(args, Path(name), c) if args.only in f"{arch} training" else 0
    print(f"{bad} failures")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
