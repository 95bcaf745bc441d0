"""`tare train` over ranks beside PyTorch over gloo: from the same weights and batches, two processes of
DistributedDataParallel, with AdamW and with ZeroRedundancyOptimizer, give the same 50 losses; and dividing a batch
moves the weights no further than it does in PyTorch.

    ranks_parity.py [--tare PROGRAM] [--only TEXT] [--verbose]

The weights are those that `tare train` begins with, from its seed; the order is what `--dry-run` prints. No network is
needed, and no speed is measured.
"""

import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from torch_reference import arguments
from train_parity import check, curve, tare, toml, updates_of
from make_models import WORDS  # bench/peers, which torch_reference puts on the path

# Losses, relative. Observed: at most 1.2e-7 in all three.
LOSS_RELATIVE = {"gpt2": 1e-5, "llama": 1e-6, "cs336": 1e-6}
CONTEXT, WINDOWS, BATCH = 16, 40, 8
MODEL = dict(d_model=48, num_layers=2, num_heads=4, context=CONTEXT)
TRAINING = dict(batch_size=BATCH, learning_rate=1e-3, warmup=0.1, weight_decay=0.1, max_grad_norm=1.0)
LONG, SHORT = 10, 2  # epochs of 5 updates
RANKS = 2


def write_config(folder, arch, epochs, text="text.txt", **training):
    """The config of a training and the folder of its checkpoint."""
    out = folder / f"{arch}-{text}-{epochs}"
    path = out.with_suffix(".toml")
    model = MODEL if arch == "gpt2" else {**MODEL, "arch": arch, "num_kv_heads": 2, "d_ff": 112}
    path.write_text(toml("gpt", out, {"text": str(folder / text), "held_out": 0.0}, model,
                         {**TRAINING, "epochs": epochs, **training}))
    return path, out


def first_weights(args, folder, arch):
    """A checkpoint of the weights that a training begins with: of one update at a rate of 0."""
    (folder / "one.txt").write_bytes((folder / "text.txt").read_bytes()[:CONTEXT + 1])
    config, out = write_config(folder, arch, 1, "one.txt", warmup=1.0)
    tare(args, "train", config)
    return out


def train(args, config, out, ranks=1, parallel="none"):
    place = out.with_name(f"{out.name}-{ranks}-{parallel}")
    tare(args, "train", config, "--out", place, "--threads", 1, "--ranks", ranks, "--parallel", parallel)
    return place


# ---- PyTorch ----

def load(folder):
    """The model of a checkpoint. The course's interleaved rotation is Llama's over reordered rows of q and k."""
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

    settings = json.loads((folder / "config.json").read_text())
    if settings["model_type"] != "cs336":
        return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()
    settings.pop("model_type"), settings.pop("architectures", None)
    model = LlamaForCausalLM(LlamaConfig(**settings, attn_implementation="eager")).eval()
    size = settings.get("head_dim") or settings["hidden_size"] // settings["num_attention_heads"]
    halves = torch.cat([torch.arange(0, size, 2), torch.arange(1, size, 2)])
    state = load_file(folder / "model.safetensors")
    for name in state:
        if name.endswith(("q_proj.weight", "k_proj.weight")):
            w = state[name]
            state[name] = w.view(-1, size, w.shape[1])[:, halves].reshape(w.shape).contiguous()
    model.load_state_dict(state)
    return model


def groups_of(model):
    params = list(model.parameters())
    return [{"params": [p for p in params if p.ndim > 1], "weight_decay": TRAINING["weight_decay"]},
            {"params": [p for p in params if p.ndim == 1], "weight_decay": 0.0}]


def losses_of(model, forward, optimizer, text, updates, parts):
    """Trains; each update's loss is the mean over `parts`, slices of its batch that are added up one after the other."""
    import torch
    from transformers import get_linear_schedule_with_warmup

    schedule = get_linear_schedule_with_warmup(optimizer, round(TRAINING["warmup"] * len(updates)), len(updates))
    losses = []
    for [(_, examples)] in updates:
        optimizer.zero_grad()
        total = 0.0
        for part in parts:
            ids = torch.tensor([list(text[i * CONTEXT:(i + 1) * CONTEXT + 1]) for i in examples[part]])
            logits = forward(input_ids=ids[:, :-1]).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
            (loss / len(parts)).backward()
            total += loss.item() / len(parts)
        torch.nn.utils.clip_grad_norm_(model.parameters(), TRAINING["max_grad_norm"])
        optimizer.step()
        schedule.step()
        losses.append(total)
    return losses


def ddp_rank(rank, folder, jobs, text):
    """One of RANKS processes; jobs: name, checkpoint, updates. Rank 0 writes the losses of all."""
    import torch
    from torch.distributed.optim import ZeroRedundancyOptimizer
    from torch.nn.parallel import DistributedDataParallel

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=RANKS)
    per, results = BATCH // RANKS, {}
    for name, checkpoint, updates in jobs:
        for sharded in (False, True):
            model = load(checkpoint)
            ddp = DistributedDataParallel(model)
            if sharded:
                groups = groups_of(model)
                optimizer = ZeroRedundancyOptimizer(groups[0]["params"], torch.optim.AdamW, lr=TRAINING["learning_rate"],
                                                    weight_decay=TRAINING["weight_decay"])
                optimizer.add_param_group(groups[1])
            else:
                optimizer = torch.optim.AdamW(groups_of(model), lr=TRAINING["learning_rate"])
            own = losses_of(model, ddp, optimizer, text, updates, [slice(rank * per, (rank + 1) * per)])
            all_losses = torch.tensor(own, dtype=torch.float64) / RANKS
            torch.distributed.all_reduce(all_losses)
            results[f"{name} {'zero1' if sharded else 'ddp-bucket'}"] = all_losses.tolist()
    if rank == 0:
        (folder / "losses.json").write_text(json.dumps(results))
    torch.distributed.destroy_process_group()


def ddp_losses(folder, jobs, text):
    """Forks, which saves importing again; so nothing may have been computed before."""
    import torch.multiprocessing as processes

    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    processes.start_processes(ddp_rank, (folder, jobs, text), nprocs=RANKS, start_method="fork")
    return json.loads((folder / "losses.json").read_text())


# ---- weights ----

def distance(a, b):
    """The length of the difference of two state dicts: the largest element of it is one rounding, or by luck none. The
    bias of the keys changes no probability: its gradient is rounding alone."""
    squares = 0.0
    for name in a:
        d = a[name].double() - b[name].double()
        if name.endswith("attn.c_attn.bias"):
            d[len(d) // 3:2 * len(d) // 3] = 0
        squares += d.square().sum().item()
    return squares**0.5


def torch_distance(checkpoint, text, updates, count):
    """After these updates: between whole batches and the mean of `count` parts."""
    import torch

    states = []
    for parts in (1, count):
        model = load(checkpoint)
        per = BATCH // parts
        losses_of(model, model, torch.optim.AdamW(groups_of(model), lr=TRAINING["learning_rate"]), text, updates,
                  [slice(i * per, (i + 1) * per) for i in range(parts)])
        states.append(model.state_dict())
    return distance(*states)


def check_weights(args, folder, arch, checkpoint, text):
    from safetensors.torch import load_file

    config, out = write_config(folder, arch, SHORT)
    updates = updates_of(tare(args, "train", config, "--dry-run"), 1)
    one = load_file(train(args, config, out) / "model.safetensors")
    ok = True
    for ranks, parallel in ((2, "zero1"), (4, "fsdp")):
        theirs = torch_distance(checkpoint, text, updates, ranks)
        ours = distance(one, load_file(train(args, config, out, ranks, parallel) / "model.safetensors"))
        ok = check(f"{arch}: weights of {ranks} ranks, {parallel}", ours, 2 * theirs) and ok
    return ok


def main():
    args = arguments(__doc__.split("\n")[0])
    args.tare = args.tare.resolve()
    if not shutil.which("mpirun.openmpi") or not (args.tare.parent / "tare_comm_openmpi.so").exists():
        print("no Open MPI (openmpi-bin, libopenmpi-dev)")
        sys.exit(77)
    ok = True
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        text = " ".join(random.Random(5).choices(WORDS, k=1000)).encode()[:CONTEXT * WINDOWS + 1]
        (folder / "text.txt").write_bytes(text)
        jobs, runs = [], []
        for arch in LOSS_RELATIVE:
            if args.only in arch:
                config, out = write_config(folder, arch, LONG)
                plan = updates_of(tare(args, "train", config, "--dry-run"), 1)
                jobs.append((arch, first_weights(args, folder, arch), plan))
                runs += [(arch, how, config, out) for how in ("ddp-bucket", "zero1")]
        theirs = ddp_losses(folder, jobs, text)
        for arch, how, config, out in runs:
            losses, expected = curve(train(args, config, out, RANKS, how)), theirs[f"{arch} {how}"]
            if len(losses) != 50 or len(expected) != 50:
                sys.exit(f"{arch}: {len(losses)} losses of ours, {len(expected)} of PyTorch's")
            relative = [abs(a - b) / b for a, b in zip(losses, expected)]
            if args.verbose:
                for step, (a, b, r) in enumerate(zip(losses, expected, relative), 1):
                    print(f"  {step:3} {a:.9f} {b:.9f} {r:.1e}")
            peer = "ZeroRedundancyOptimizer" if how == "zero1" else "DDP"
            ok = check(f"{arch}: {how}, {peer}", max(relative), LOSS_RELATIVE[arch]) and ok
        for arch, checkpoint, _ in jobs:
            ok = check_weights(args, folder, arch, checkpoint, text) and ok
    sys.exit(0 if ok else 1)


if __name__ == "__main__":
    main()
