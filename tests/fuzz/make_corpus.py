"""Writes the fuzzers' seed inputs, small and always the same: good files of every kind and one of each
lie that the readers refuse. Standard library only.

    python3 tests/fuzz/make_corpus.py    # rewrites the folders named at its end
"""

import json
import shutil
import struct
from pathlib import Path

HERE = Path(__file__).parent
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I8": 1, "U8": 1, "BOOL": 1}


def safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def every_dtype():
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, size in SIZES.items():
        header["t." + name] = tensor(name, [2], offset, offset + 2 * size)
        offset += 2 * size
    return safetensors(header, bytes(range(offset)))


def safetensors_seeds():
    one = {"a": tensor("F32", [2], 0, 8)}
    eight = bytes(range(8))
    yield "empty_file", b""
    yield "no_tensors", safetensors({})
    yield "padded", safetensors(b"{}      ")
    yield "one", safetensors(one, eight)
    yield "every_dtype", every_dtype()
    yield "scalar_and_empty", safetensors(
        {"s": tensor("F64", [], 0, 8), "e": tensor("F32", [0, 3], 8, 8)}, eight)
    yield "eight_dims", safetensors({"d": tensor("U8", [1, 2, 1, 2, 1, 2, 1, 1], 0, 8)}, eight)
    yield "length_2_60", safetensors(one, eight, 2**60)
    yield "length_max", safetensors(one, eight, 2**64 - 1)
    yield "truncated", safetensors(one, eight)[:-3]
    yield "past_the_end", safetensors({"a": tensor("F32", [2], 0, 80)}, eight)
    yield "reversed", safetensors({"a": tensor("F32", [2], 8, 0)}, eight)
    yield "negative_offset", safetensors({"a": tensor("F32", [2], -8, 0)}, eight)
    yield "negative_shape", safetensors({"a": tensor("F32", [-2], 0, 8)}, eight)
    yield "overflowing_shape", safetensors({"a": tensor("F32", [2**32, 2**32], 0, 0)})
    yield "wrong_size", safetensors({"a": tensor("F16", [2], 0, 8)}, eight)
    yield "unknown_dtype", safetensors({"a": tensor("F33", [2], 0, 8)}, eight)
    yield "overlap", safetensors(
        {"a": tensor("F32", [1], 0, 4), "b": tensor("F32", [1], 2, 6)}, eight[:6])
    yield "hole", safetensors({"a": tensor("F32", [1], 0, 4), "b": tensor("I8", [2], 6, 8)}, eight)
    yield "duplicate", safetensors(b'{"a":1,"a":2}')
    yield "metadata_number", safetensors({"__metadata__": {"k": 3}})
    yield "deep", safetensors(b"[" * 3000)


def config_seeds():
    gpt2 = {"model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "n_embd": 36, "n_head": 3,
            "n_layer": 2, "n_positions": 64, "n_inner": None, "vocab_size": 101,
            "activation_function": "gelu_new", "layer_norm_epsilon": 1e-05,
            "tie_word_embeddings": False}
    distilbert = {"model_type": "distilbert",
                  "architectures": ["DistilBertForSequenceClassification"], "dim": 32,
                  "hidden_dim": 128, "n_layers": 5, "n_heads": 4, "max_position_embeddings": 512,
                  "activation": "gelu", "sinusoidal_pos_embds": False,
                  "id2label": {"0": "NEGATIVE", "1": "POSITIVE"}}
    bert = {"model_type": "bert", "architectures": ["BertModel"], "hidden_size": 48,
            "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 96,
            "hidden_act": "relu", "layer_norm_eps": 1e-12, "type_vocab_size": 2,
            "position_embedding_type": "absolute", "num_labels": 3}
    good = {"gpt2": gpt2, "distilbert": distilbert, "bert": bert,
            "gpt2_defaults": {"model_type": "gpt2"},
            "gpt2_aliases": {"model_type": "gpt2", "hidden_size": 64, "num_attention_heads": 2}}
    bad = {"other_type": {"model_type": "llama"}, "no_type": {},
           "heads": {**gpt2, "n_head": 5}, "huge": {**gpt2, "n_layer": 2**40},
           "negative": {**bert, "hidden_size": -1}, "float": {**distilbert, "dim": 32.0},
           "cross": {**gpt2, "add_cross_attention": True},
           "sinusoidal": {**distilbert, "sinusoidal_pos_embds": True},
           "relative": {**bert, "position_embedding_type": "relative_key"},
           "act": {**bert, "hidden_act": "silu"}, "eps": {**bert, "layer_norm_eps": 0},
           "qa": {**bert, "architectures": ["BertForQuestionAnswering"]},
           "labels": {**distilbert, "id2label": {}}}
    for name, config in {**good, **bad}.items():
        yield name + ".json", json.dumps(config, indent=1).encode() + b"\n"
    yield "too_big.json", b'{"n_embd": 99999999999999999999}\n'
    yield "list.json", b"[1]\n"
    yield "truncated.json", b'{"model_type": "gp\n'


def index_seeds():
    def index(weight_map):
        return json.dumps({"metadata": {"total_size": 8}, "weight_map": weight_map}).encode()

    yield "good.json", index({"x": "a", "y": "b"})
    yield "one.json", index({"y": "b"})
    yield "missing.json", index({"x": "a", "y": "c"})
    yield "swapped.json", index({"x": "b", "y": "a"})
    yield "lacks.json", index({"x": "a", "y": "b", "z": "b"})
    yield "extra.json", index({"z": "b"})
    yield "above.json", index({"x": "../a"})
    yield "absolute.json", index({"x": "/dev/zero"})
    yield "itself.json", index({"x": "model.safetensors.index.json"})
    yield "folder.json", index({"x": "."})
    yield "nul.json", b'{"weight_map": {"x": "a\\u0000b"}}'
    yield "number.json", index({"x": 1})
    yield "none.json", index({})
    yield "list.json", index([])
    yield "twice.json", b'{"weight_map": {"x": "b", "x": "a"}}'
    yield "no_map.json", b"{}"
    yield "no_json.json", b"weights"


def bpe_seeds():
    golden = json.loads((HERE.parent / "golden/bpe_golden.json").read_text())["kinds"]
    for kind, of in golden.items():
        tokenizer = of["tokenizer"]
        kept = [m for m in tokenizer["model"]["merges"]][:20]
        made = {"".join(m) for m in kept}
        vocab = {t: i for t, i in tokenizer["model"]["vocab"].items() if len(t) == 1 or t in made}
        yield kind.replace(" ", "_") + ".json", json.dumps(
            {**tokenizer, "model": {**tokenizer["model"], "vocab": vocab, "merges": kept}}).encode()
    tiny = {"model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": ["a b"]},
            "pre_tokenizer": {"type": "ByteLevel"}, "added_tokens": [{"id": 3, "content": "<s>", "special": True}]}
    yield "tiny.json", json.dumps(tiny).encode()
    yield "unknown.json", json.dumps({**tiny, "model": {**tiny["model"], "unk_token": "a", "fuse_unk": True}}).encode()
    yield "merge_of_nothing.json", json.dumps({**tiny, "model": {**tiny["model"], "merges": ["a c", " "]}}).encode()
    yield "id_of_another.json", json.dumps({**tiny, "model": {**tiny["model"], "vocab": {"a": 3, "b": 1, "c": 0}}}).encode()
    yield "far_id.json", json.dumps({**tiny, "model": {**tiny["model"], "vocab": {"a": 2**24 - 1}, "merges": []}}).encode()
    yield "same_added.json", json.dumps({**tiny, "added_tokens": 2 * tiny["added_tokens"]}).encode()
    yield "template.json", json.dumps({**tiny, "post_processor": {
        "type": "Sequence", "processors": [{"type": "Sequence", "processors": []}]}}).encode()


def gguf(keys, tensors, version=3, data=None):
    """keys: {name: (type, bytes)}; tensors: {name: (dimensions, type, bytes)}."""
    def text(s):
        return struct.pack("<Q", len(s.encode())) + s.encode()

    out, offset = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys)), 0
    for key, (kind, value) in keys.items():
        out += text(key) + struct.pack("<I", kind) + value
    for name, (dims, kind, content) in tensors.items():
        out += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        offset += (len(content) + 31) // 32 * 32
    out += bytes(-len(out) % 32)
    for _, _, content in tensors.values():
        out += content + bytes(-len(content) % 32)
    return out if data is None else out[:data]


def gguf_seeds():
    def text(s):
        return 8, struct.pack("<Q", len(s.encode())) + s.encode()

    def number(n):
        return 4, struct.pack("<I", n)

    def texts(*items):
        return 9, struct.pack("<IQ", 8, len(items)) + b"".join(text(s)[1] for s in items)

    def llama(width, heads, kv, kind, block, **changed):
        row = width // 32 * block if block else 4 * width
        keys = {"general.architecture": text("llama"), "llama.embedding_length": number(width), "llama.block_count": number(1),
                "llama.attention.head_count": number(heads), "llama.attention.head_count_kv": number(kv),
                "llama.feed_forward_length": number(width), "llama.context_length": number(16),
                "llama.attention.layer_norm_rms_epsilon": (6, struct.pack("<f", 1e-5)),
                "tokenizer.ggml.model": text("gpt2"), "tokenizer.ggml.pre": text("smollm"),
                "tokenizer.ggml.tokens": texts("a", "b", "ab", "\u0120"), "tokenizer.ggml.merges": texts("a b"),
                "tokenizer.ggml.token_type": (9, struct.pack("<IQ4i", 5, 4, 1, 1, 1, 3)),
                "tokenizer.ggml.eos_token_id": number(3), **changed}
        shapes = {"token_embd": 4, "output_norm": 0, "blk.0.attn_norm": 0, "blk.0.ffn_norm": 0, "blk.0.attn_q": width,
                  "blk.0.attn_k": width * kv // heads, "blk.0.attn_v": width * kv // heads, "blk.0.attn_output": width,
                  "blk.0.ffn_gate": width, "blk.0.ffn_up": width, "blk.0.ffn_down": width}
        return keys, {name + ".weight": ((width, rows), kind, bytes([1, 2]) * (row * rows // 2)) if rows else
                      ((width,), 0, bytes(4 * width)) for name, rows in shapes.items()}

    tiny = {"a": ((8,), 0, bytes(32))}
    yield "empty", gguf({}, {})
    yield "one_tensor", gguf({"general.architecture": text("llama")}, tiny)
    yield "llama_f32", gguf(*llama(8, 2, 1, 0, 0))
    for name, kind, block in ("q8_0", 8, 34), ("q4_0", 2, 18), ("q4_1", 3, 20):
        yield f"llama_{name}", gguf(*llama(32, 2, 1, kind, block))
    yield "heads_3", gguf(*llama(8, 2, 1, 0, 0, **{"llama.attention.head_count": number(3)}))
    yield "kv_0", gguf(*llama(8, 2, 1, 0, 0, **{"llama.attention.head_count_kv": number(0)}))
    yield "experts", gguf(*llama(8, 2, 1, 0, 0, **{"llama.expert_count": number(4)}))
    yield "layers", gguf(*llama(8, 2, 1, 0, 0, **{"llama.block_count": number(2**31)}))
    yield "truncated", gguf(*llama(8, 2, 1, 0, 0), data=900)
    yield "cut_in_keys", gguf(*llama(8, 2, 1, 0, 0), data=200)
    yield "version_2", gguf({}, {}, version=2)
    yield "big_endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    yield "count_max", b"GGUF" + struct.pack("<IQQ", 3, 2**64 - 1, 2**64 - 1)
    yield "list_max", gguf({"k": (9, struct.pack("<IQ", 8, 2**63))}, {})
    yield "list_of_lists", gguf({"k": (9, struct.pack("<IQ", 9, 1))}, {})
    yield "text_max", gguf({"k": (8, struct.pack("<Q", 2**64 - 1))}, {})
    yield "alignment_0", gguf({"general.alignment": number(0)}, tiny)
    yield "alignment_max", gguf({"general.alignment": number(2**31)}, tiny)
    yield "type_q6_k", gguf({}, {"a": ((256,), 14, bytes(210))})
    yield "shape_max", gguf({}, {"a": ((2**40, 2**40), 0, bytes(32))})
    yield "half_a_block", gguf({}, {"a": ((33,), 8, bytes(64))})
    yield "same_name", gguf(*llama(8, 2, 1, 0, 0)[:1], {"token_embd.weight": ((8, 4), 0, bytes(128)),
                                                        "model.embed_tokens.weight": ((8, 4), 0, bytes(128))})
    yield "same_token", gguf(*llama(8, 2, 1, 0, 0, **{"tokenizer.ggml.tokens": texts("a", "a", "ab", "b")}))
    yield "nul_in_token", gguf(*llama(8, 2, 1, 0, 0, **{"tokenizer.ggml.tokens": texts("a", "\0", "ab", "b")}))
    yield "types_short", gguf(*llama(8, 2, 1, 0, 0, **{"tokenizer.ggml.token_type": (9, struct.pack("<IQi", 5, 1, 1))}))
    yield "eos_far", gguf(*llama(8, 2, 1, 0, 0, **{"tokenizer.ggml.eos_token_id": number(2**32 - 1)}))
    yield "rope_freqs", gguf(llama(8, 2, 1, 0, 0)[0], {**llama(8, 2, 1, 0, 0)[1], "rope_freqs.weight": ((2,), 0, bytes(8))})


def result_seeds():
    """NAME.csv, a NUL, NAME.samples.csv: two rows of a golden result, and lies about them."""
    golden = HERE.parent / "golden"
    rows = (golden / "one_build_1.csv").read_bytes().splitlines(True)[:3]
    ids = [row.split(b",")[13] for row in rows[1:]]
    samples = (golden / "one_build_1.samples.csv").read_bytes().splitlines(True)
    samples = samples[:1] + [line for line in samples if line.split(b",")[0] in ids]
    good = b"".join(rows), b"".join(samples)
    skipped = rows[1].replace(b",ok,", b",skipped_memory,")
    planned = rows[2].replace(b",ok,", b",planned,")
    yield "good", b"\0".join(good)
    yield "no_samples", good[0]
    yield "headers", rows[0] + b"\0" + samples[0]
    yield "torn_row", good[0][:-40] + b"\0" + good[1]
    yield "torn_sample", good[0] + b"\0" + good[1][:-20]
    yield "row_twice", good[0] + rows[1] + b"\0" + good[1]
    yield "trial_twice", good[0] + b"\0" + good[1] + samples[1]
    yield "trial_missing", good[0] + b"\0" + b"".join(samples[:5] + samples[6:])
    yield "stray", rows[0] + rows[1] + b"\0" + good[1]
    yield "did_not_run", rows[0] + skipped + planned + b"\0" + samples[0]
    yield "negative", good[0] + b"\0" + good[1].replace(b",True,", b",True,-", 1)
    yield "status", good[0].replace(b",ok,", b",fine,", 1) + b"\0" + good[1]
    yield "eleven_columns", (golden / "seed_sweep.csv").read_bytes()[:600]


def train_state_seeds():
    """Of a model of four weights, in a training with two epochs (fuzz_train_state.c)."""
    def state(data=bytes(48), size=4, **changed):
        metadata = {"updates": "3", "smoothed_loss": "0x1.8p+0", "config": "task=gpt\nepochs=2\n",
                    "arithmetic": "avx512, gemm packed", **changed}
        header = {"__metadata__": {k: v for k, v in metadata.items() if v is not None}}
        for i, name in enumerate(("weights", "moment1", "moment2")):
            header[name] = tensor("F32", [size], 4 * size * i, 4 * size * (i + 1))
        return safetensors(header, data)

    yield "good", state()
    yield "truncated", state()[:-8]
    yield "another_model", state(bytes(60), 5)
    yield "another_config", state(config="task=gpt\nepochs=3\n")
    yield "longer_config", state(config="task=gpt\nepochs=2\nseed=1\n")
    yield "no_config", state(config=None)
    yield "no_arithmetic", state(arithmetic=None)
    yield "long_arithmetic", state(arithmetic="x" * 300)
    for name, updates in ("negative", "-1"), ("empty", ""), ("over_64_bits", "18446744073709551616"), ("words", "3 x"):
        yield f"updates_{name}", state(updates=updates)
    yield "loss_nan", state(smoothed_loss="nan")
    yield "no_state", safetensors({"weights": tensor("F32", [4], 0, 16)}, bytes(16))


def write(name, seeds):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for seed, content in seeds:
        (folder / seed).write_bytes(content)


write("corpus_safetensors", safetensors_seeds())
write("corpus_config_json", config_seeds())
write("corpus_weights_index", index_seeds())
write("corpus_bpe_json", bpe_seeds())
write("corpus_gguf", gguf_seeds())
write("corpus_results", result_seeds())
write("corpus_train_state", train_state_seeds())
