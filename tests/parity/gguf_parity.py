"""Reads GGUF files of every architecture and tensor type that is built, written here by the gguf package as
llama.cpp's converter writes them, and compares with the Hugging Face directory that they came from: the tensors
of `tare convert` bit for bit with the gguf package's, the logits of `tare dump` with transformers', the ids of
`tare tokenize` with tokenizers'.

    gguf_parity.py [--tare PROGRAM] [--only TEXT] [--model FILE.gguf]...

Last comes a real file, .cache/models/smollm2-135m.gguf of analysis/fetch_decoder.py where it is there, or those of
--model: its tensors; its tokenizer against the directory that `tare convert` writes; logits and 64 greedy ids beside
transformers reading the same file, dequantised to fp32. transformers takes no notice of tokenizer.ggml.pre, so both
get ids.
"""

import argparse
import copy
import json
import subprocess
import sys
import tempfile
from pathlib import Path

try:
    import gguf
    import numpy as np
    import torch
    import transformers
    from bpe_parity import train, training_text
    from generate_parity import compare_greedy
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from transformers.modeling_gguf_pytorch_utils import load_gguf_checkpoint
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

REAL = Path(__file__).resolve().parents[2] / ".cache/models/smollm2-135m.gguf"
PROMPTS = ["The film was not as good as I had hoped, but", "def add(a, b):\n    return"]
TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1"]
LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
WHOLE = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}
LAYER2 = {"attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2",
          "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
WHOLE2 = {"token_embd": "transformer.wte", "position_embd": "transformer.wpe", "output_norm": "transformer.ln_f"}
# logits: largest difference over the largest value, both fp32; observed 1.3e-6
BOUND = 4e-6
# the same of 30 layers; observed 2.3e-6 beside transformers' own reading of SmolLM2
REAL_BOUND = 5e-6


def make_model(arch, tied):
    torch.manual_seed(3)
    sizes = dict(vocab_size=544, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                 intermediate_size=96, max_position_embeddings=128, rope_theta=10000.0, tie_word_embeddings=tied)
    if arch == "gpt2":
        config = transformers.GPT2Config(vocab_size=544, n_embd=64, n_layer=2, n_head=4, n_positions=128, n_inner=96)
        model = transformers.GPT2LMHeadModel(config)
    elif arch == "llama":
        scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                   "original_max_position_embeddings": 8192}
        extra = {} if tied else {"rope_parameters": {**scaling, "rope_theta": 500000.0}}
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**sizes, **extra}))
    elif arch == "qwen2":
        model = transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**sizes))
    else:
        model = transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**sizes, head_dim=32))
    with torch.no_grad():  # biases and norms differ from what they begin with
        for p in model.parameters():
            p.add_(0.05 * torch.randn_like(p))
    return model.eval()


def permute(w, heads):
    """What llama.cpp's converter does with q and k."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def gguf_tensors(arch, model):
    """Name and array in GGUF's order."""
    state = {k: v.detach().numpy() for k, v in model.state_dict().items()}
    layer, whole, at = (LAYER2, WHOLE2, "transformer.h") if arch == "gpt2" else (LAYER, WHOLE, "model.layers")
    for ours, theirs in whole.items():
        for part in ("weight", "bias"):
            if f"{theirs}.{part}" in state and not (ours == "output" and model.config.tie_word_embeddings):
                yield f"{ours}.{part}", state[f"{theirs}.{part}"]
    for i in range(2):
        for ours, theirs in layer.items():
            for part in ("weight", "bias"):
                w = state.get(f"{at}.{i}.{theirs}.{part}")
                if w is None:
                    continue
                if arch == "llama" and ours in ("attn_q", "attn_k"):
                    w = permute(w, 4 if ours == "attn_q" else 2)
                if arch == "gpt2" and w.ndim == 2:
                    w = w.T
                yield f"blk.{i}.{ours}.{part}", np.ascontiguousarray(w)


def write_gguf(path, arch, model, kind, tokenizer, pre):
    writer, c = gguf.GGUFWriter(path, arch), model.config
    writer.add_context_length(128)
    writer.add_embedding_length(64)
    writer.add_block_count(2)
    writer.add_feed_forward_length(96)
    writer.add_head_count(4)
    if arch == "gpt2":
        writer.add_layer_norm_eps(c.layer_norm_epsilon)
    else:
        writer.add_head_count_kv(2)
        writer.add_layer_norm_rms_eps(c.rms_norm_eps)
        writer.add_rope_freq_base(c.rope_parameters["rope_theta"])
        head_dim = getattr(c, "head_dim", None) or 16
        writer.add_rope_dimension_count(head_dim)
        if arch == "qwen3":
            writer.add_key_length(head_dim)
            writer.add_value_length(head_dim)
        if c.rope_parameters["rope_type"] == "llama3":
            plain = 1 / 500000.0 ** (np.arange(0, head_dim, 2) / head_dim)
            slowed = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](c, "cpu")[0].numpy()
            writer.add_tensor("rope_freqs.weight", (plain / slowed).astype(np.float32))
    add_tokenizer(writer, tokenizer, pre)
    for name, w in gguf_tensors(arch, model):
        kind_here = kind if w.ndim == 2 and w.shape[-1] % 32 == 0 else "F32"
        if kind_here in ("F32", "F16"):
            writer.add_tensor(name, w.astype({"F32": np.float32, "F16": np.float16}[kind_here]))
        else:
            t = gguf.GGMLQuantizationType[kind_here]
            writer.add_tensor(name, gguf.quants.quantize(w.astype(np.float32), t), raw_dtype=t)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def add_tokenizer(writer, tokenizer, pre):
    added = tokenizer.get_added_tokens_decoder()
    vocab = {i: t for t, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    tokens = [vocab.get(i, f"[PAD{i}]") for i in range(max(vocab) + 1)]
    kinds = [(3 if added[i].special else 4) if i in added else 1 if i in vocab else 5 for i in range(len(tokens))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges([" ".join(m) for m in json.loads(tokenizer.to_str())["model"]["merges"]])
    begin = tokenizer.token_to_id("<|begin|>")
    writer.add_bos_token_id(begin if begin is not None else tokenizer.token_to_id("<|endoftext|>"))
    writer.add_eos_token_id(tokenizer.token_to_id("<|endoftext|>"))


def run(tare, *command, data=b""):
    done = subprocess.run([str(tare), *map(str, command)], input=data, capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.decode(errors="replace").strip())
    return done.stdout


def check_tensors(path, converted, unpermuted):
    """Every tensor of the file, as the gguf package dequantises it, is in the directory, bit for bit."""
    have = {k: v for k, v in load_file(converted / "model.safetensors").items()}
    by_bytes = {}
    for name, w in have.items():
        by_bytes.setdefault((w.shape, w.tobytes()), []).append(name)
    missing = []
    for t in gguf.GGUFReader(path).tensors:
        w = gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32).reshape(t.shape[::-1])
        if t.name == "rope_freqs.weight":
            continue
        w = unpermuted(t.name, w)
        if (w.shape, w.tobytes()) not in by_bytes:
            missing.append(t.name)
    return missing


def undo(arch, heads, kv_heads):
    def change(name, w):
        if arch == "llama" and name.endswith(("attn_q.weight", "attn_k.weight")):
            n = heads if "attn_q" in name else kv_heads
            return np.ascontiguousarray(w.reshape(n, w.shape[0] // n // 2, 2, -1).swapaxes(1, 2).reshape(w.shape))
        if arch == "gpt2" and w.ndim == 2 and name.startswith("blk."):
            return np.ascontiguousarray(w.T)
        return w
    return change


def check_case(tare, folder, arch, tied, kind, lines):
    kinds = {"llama": ("llama3", "llama-bpe"), "qwen2": ("qwen2", "qwen2"), "qwen3": ("qwen2", "qwen2"), "gpt2": ("gpt2", "gpt-2")}
    kinds = {**kinds, "llama": ("smollm2", "smollm")} if tied else kinds
    tokenizer = train(kinds[arch][0], 500, training_text())
    model, path = make_model(arch, tied), folder / f"{arch}-{tied}-{kind}.gguf"
    write_gguf(path, arch, model, kind, tokenizer, kinds[arch][1])
    out = folder / (path.stem + "-hf")
    run(tare, "convert", path, out)
    bad = [f"tensors differ: {missing[:3]}" for missing in [check_tensors(path, out, undo(arch, 4, 2))] if missing]
    ids = [5, 17, 300, 2, 511, 77, 1, 0]
    text = " ".join(map(str, ids))
    run(tare, "dump", "--overwrite", path, "--ids", text, "--targets", text, "--out", folder / "a")
    run(tare, "dump", "--overwrite", out, "--ids", text, "--targets", text, "--out", folder / "b")
    if (folder / "a").read_bytes() != (folder / "b").read_bytes():
        bad.append("the file and its directory dump differently")
    loaded = type(model).from_pretrained(out, dtype=torch.float32).eval()
    reference = model if kind == "F32" else loaded
    with torch.no_grad():
        want = reference(torch.tensor([ids])).logits.numpy()
    error = float(np.abs(load_file(folder / "a")["logits"] - want).max() / np.abs(want).max())
    if error > BOUND:
        bad.append(f"logits differ by {error:.1e}")
    whole = Tokenizer.from_file(str(out / "tokenizer.json"))
    for reader in (path, out):
        got = [[int(i) for i in row.split()] for row in run(tare, "tokenize", reader, data=b"\n".join(lines)).split(b"\n")[:-1]]
        want = [whole.encode(line.decode()).ids for line in lines]
        original = [tokenizer.encode(line.decode()).ids for line in lines]
        if got != want or (arch != "llama" or tied) and got != original:
            bad.append(f"ids of {reader.name} differ")
    return error, bad


def read_by_transformers(path):
    """from_pretrained(gguf_file=...) without its need of the accelerate package."""
    shape = load_gguf_checkpoint(path)["config"]
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(**shape))
    weights = load_gguf_checkpoint(path, return_tensors=True, model_to_load=model)["tensors"]
    wrong = model.load_state_dict(weights, strict=False)
    assert not wrong.unexpected_keys and wrong.missing_keys == ["lm_head.weight"][:model.config.tie_word_embeddings], wrong
    model.tie_weights()
    return model.float().eval()


def check_real(tare, folder, path):
    out = folder / "real"
    run(tare, "convert", path, out)
    config = json.loads((out / "config.json").read_text())
    change = undo(config["model_type"], config.get("num_attention_heads"), config.get("num_key_value_heads"))
    bad = [f"tensors differ: {missing[:3]}" for missing in [check_tensors(path, out, change)] if missing]
    lines = [line.rstrip("\n").encode() for line in training_text()]
    whole = Tokenizer.from_file(str(out / "tokenizer.json"))
    got = [[int(i) for i in row.split()] for row in run(tare, "tokenize", path, data=b"\n".join(lines) + b"\n").split(b"\n")[:-1]]
    if got != [whole.encode(line.decode()).ids for line in lines]:
        bad.append("ids differ")
    model = read_by_transformers(path)
    double, error = copy.deepcopy(model).double(), 0.0
    prompts = [whole.encode(prompt).ids for prompt in PROMPTS]
    chat = whole.encode(f"<|im_start|>user\n{PROMPTS[0]}<|im_end|>\n<|im_start|>assistant\n").ids
    for ids in [*prompts, chat]:
        run(tare, "dump", "--overwrite", path, "--ids", " ".join(map(str, ids)), "--out", folder / "a")
        with torch.no_grad():
            want = model(torch.tensor([ids])).logits.numpy()
        error = max(error, float(np.abs(load_file(folder / "a")["logits"] - want).max() / np.abs(want).max()))
        bad += ["greedy ids differ"] * (compare_greedy(tare, path, path.name, model, double, ids, 64) > 0)
    if error > REAL_BOUND:
        bad.append(f"logits differ by {error:.1e}")
    said = json.loads(run(tare, "generate", path, "--chat", "--prompt", PROMPTS[0], "--format", "json"))
    meant = json.loads(run(tare, "generate", path, "--ids", " ".join(map(str, chat)), "--format", "json"))
    if said["ids"] != meant["ids"] or said["text"].encode() != run(tare, "tokenize", path, "--decode", data=(
            " ".join(map(str, meant["ids"])) + "\n").encode())[:-1]:
        bad.append("--chat is not its ids")
    return error, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tare", type=Path, default=Path("build/tare"))
    parser.add_argument("--only", default="")
    parser.add_argument("--model", type=Path, action="append", default=[])
    args = parser.parse_args()
    args.tare, failures = args.tare.resolve(), 0
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    lines = [line.rstrip("\n").encode() for line in training_text()][:200] + ["e\u0301 12345 <|im_start|>x  y".encode()]
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as folder:
        folder = Path(folder)
        cases = [(arch, tied, kind) for arch in ("llama", "qwen2", "qwen3", "gpt2") for kind in TYPES
                 for tied in (True, False) if not (arch == "gpt2" and not tied)]
        for arch, tied, kind in cases:
            name = f"{arch} {kind}{' tied' if tied else ''}"
            if args.only in name:
                error, bad = check_case(args.tare, folder, arch, tied, kind, lines)
                print(f"{name}: {error:.1e} {'; '.join(bad) or 'ok'}", flush=True)
                failures += bool(bad)
        for path in args.model or [REAL] * (REAL.exists() and args.only in REAL.name):
            error, bad = check_real(args.tare, folder, path)
            print(f"{path.name}: {error:.1e} {'; '.join(bad) or 'ok'}", flush=True)
            failures += bool(bad)
    print(f"{failures} failures")
    sys.exit(failures > 0)


if __name__ == "__main__":
    main()
