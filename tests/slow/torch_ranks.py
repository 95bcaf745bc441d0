#!/usr/bin/env python3
"""PyTorch's side of ranks_speed.sh: RANKS processes over gloo, one thread and one CPU each, print the median in ms of
TRIALS runs, of each the slowest rank's: of an all-reduce of 100 MB, or of a step of CS336's small (as a Llama of
`transformers`: the same matrix products) with 4 x 128 tokens a rank, under DistributedDataParallel, or with AdamW too,
under ZeroRedundancyOptimizer.

    torch_ranks.py all_reduce|step|adamw [TRIALS] [RANKS]
"""

import os
import socket
import statistics
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def all_reduce():
    x = torch.ones(25_000_000)
    return lambda: dist.all_reduce(x)


def step(adamw):
    from torch.distributed.optim import ZeroRedundancyOptimizer
    from torch.nn.parallel import DistributedDataParallel
    from transformers import LlamaConfig, LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=10000, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
        max_position_embeddings=128, tie_word_embeddings=False, use_cache=False))
    model = DistributedDataParallel(model)
    optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.AdamW, lr=1e-4) if adamw else None
    ids = torch.randint(10000, (4, 128))

    def run():
        model.zero_grad(set_to_none=False)
        model(input_ids=ids, labels=ids).loss.backward()
        if optimizer:
            optimizer.step()

    return run


def rank_main(rank, ranks, port, what, trials):
    cpus = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpus[rank % len(cpus)]})
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), GLOO_SOCKET_IFNAME="lo")
    dist.init_process_group("gloo", rank=rank, world_size=ranks)
    run = all_reduce() if what == "all_reduce" else step(what == "adamw")
    times = []
    for i in range(trials + 2):
        dist.barrier()
        start = time.perf_counter()
        run()
        ms = torch.tensor([(time.perf_counter() - start) * 1e3])
        dist.all_reduce(ms, op=dist.ReduceOp.MAX)
        times += [ms.item()] if i >= 2 else []
    if rank == 0:
        print(statistics.median(times))
    dist.destroy_process_group()


if __name__ == "__main__":
    what, trials, ranks = sys.argv[1], int((sys.argv[2:3] or [5])[0]), int((sys.argv[3:4] or [2])[0])
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    mp.spawn(rank_main, (ranks, port, what, trials), nprocs=ranks)
