"""Language models that read prompts into a cache of keys and values and write tokens one by one, for worker.py:
PyTorch through transformers, llama.cpp, OpenVINO GenAI.

Each job has the components of bench/compare/component.c of that kind: prefill* is the prompts into an empty cache
until the likeliest next token of each is known; decode* is n_gen steps behind them, the cache cut back before each
call; first_token* is the model from its file, then prefill. `run` returns nothing, or the time in ns where only the
library can tell the steps from the prompt.
"""

import json
from pathlib import Path

from onnx_export import hash_weights


def parts_of(component):
    """("prefill", "bf16") of "prefill_bf16", ("prefill", "f32") of "prefill"."""
    names = ("mixed", "bf16", "int8", "q8_0")
    return next(((component.removesuffix("_" + p), p) for p in names if component.endswith("_" + p)), (component, "f32"))


def precision_of(component):
    return parts_of(component)[1]


class Job:
    """What all have: the prompts, and what is written of a run. `open` loads the model."""

    def __init__(self, request):
        from safetensors.numpy import load_file

        self.model_dir, self.threads = request["model_dir"], request["threads"]
        self.component, self.n_gen = request["component"], request.get("n_gen", 0)
        self.precision = precision_of(self.component)
        self.small, self.reloads = self.precision != "f32", self.component.startswith("first_token")
        self.prompts = load_file(request["inputs"])["tokens"]
        self.batch, self.length = self.prompts.shape
        self.ids, self.logits = [], None

    def begin(self):
        """What comes before the first run; not of one that loads by itself."""
        if not self.reloads:
            self.open()
            if self.n_gen:
                self.prefill()
                self.first = self.first_inputs()
        return self

    def first_inputs(self):
        """What the first step is fed: the likeliest token; of small formats, whose logits of that step are compared and
        whose likeliest may be another on each side, the prompt's first one."""
        return [int(prompt[0]) for prompt in self.prompts] if self.small else self.next

    def close(self):
        pass

    def run(self):
        if self.reloads:
            self.close()
            self.open()
        if not self.n_gen:
            self.prefill()
            return None
        self.cut_back()
        tokens, self.ids, self.logits = self.first, [], None
        for i in range(self.n_gen):
            tokens = self.step(i, tokens)
            self.ids.append(tokens)
        return None

    def outputs(self):
        import numpy as np

        if not self.n_gen:
            ids = np.array(self.next, np.int32).reshape(self.batch, 1)
        elif not self.small:
            return {"ids": np.array(self.ids, np.int32).reshape(self.n_gen, self.batch).T}
        else:
            return {"logits": self.logits}
        return {"ids": ids} if self.logits is None else {"ids": ids, "logits": self.logits}


class TorchJob(Job):
    """Eager, in inference mode, with the cache that transformers calls dynamic or static. It has no q8_0: its bf16
    stands beside it."""

    def __init__(self, torch, transformers, request, static):
        super().__init__(request)
        self.torch, self.static, self.auto = torch, static, transformers.AutoModelForCausalLM
        self.tokens = torch.from_numpy(self.prompts.astype("int64"))
        self.caches = transformers.cache_utils

    def open(self):
        dtype = self.torch.bfloat16 if self.small else self.torch.float32
        self.model = self.cache = None
        self.model = self.auto.from_pretrained(self.model_dir, dtype=dtype).eval()

    def new_cache(self):
        if not self.static:
            return self.caches.DynamicCache(config=self.model.config)
        if self.cache is None:
            return self.caches.StaticCache(config=self.model.config, max_cache_len=self.length + self.n_gen)
        with self.torch.inference_mode():
            self.cache.reset()
        return self.cache

    def read(self, tokens):
        """The likeliest token after the last of each sequence; its logits are read later."""
        with self.torch.inference_mode():
            self.last = self.model(input_ids=tokens, past_key_values=self.cache, use_cache=True,
                                   logits_to_keep=1).logits[:, -1]
            return self.last.argmax(-1, keepdim=True)

    def prefill(self):
        self.cache = self.new_cache()
        self.next = self.read(self.tokens)

    def first_inputs(self):
        return self.tokens[:, :1] if self.small else self.next

    def cut_back(self):
        with self.torch.inference_mode():
            for layer in self.cache.layers:
                if self.static:
                    layer.cumulative_length.fill_(self.length)
                else:
                    layer.keys, layer.values = layer.keys[:, :, :self.length], layer.values[:, :, :self.length]

    def step(self, i, tokens):
        tokens = self.read(tokens)
        if i == 0:
            self.of_first_step = self.last
        return tokens

    def outputs(self):
        self.logits = (self.of_first_step if self.n_gen else self.last).float().numpy()
        return super().outputs()


# ---- GGUF ----

LLAMA_LAYER = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
               "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
               "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
               "ffn_down": "mlp.down_proj"}
LLAMA_WHOLE = {"token_embd": "embed_tokens", "output_norm": "norm"}
GPT2_LAYER = {"attn_norm": "ln_1", "attn_qkv": "attn.c_attn", "attn_output": "attn.c_proj", "ffn_norm": "ln_2",
              "ffn_up": "mlp.c_fc", "ffn_down": "mlp.c_proj"}
GPT2_WHOLE = {"token_embd": "wte", "position_embd": "wpe", "output_norm": "ln_f"}


def read_weights(model_dir):
    from safetensors.torch import load_file

    folder, weights = Path(model_dir), {}
    index = folder / "model.safetensors.index.json"
    names = set(json.loads(index.read_text())["weight_map"].values()) if index.exists() else {"model.safetensors"}
    for name in names:
        weights.update({name: w.float().numpy() for name, w in load_file(folder / name).items()})
    return {name.removeprefix("model.").removeprefix("transformer."): w for name, w in weights.items()}


def turned_pairs(w, heads):
    """llama.cpp turns neighbours where transformers turns halves of a head."""
    return w.reshape(heads, 2, w.shape[0] // heads // 2, *w.shape[1:]).swapaxes(1, 2).reshape(w.shape)


def gguf_tensors(config, weights):
    """Names and arrays as llama.cpp's converter writes them."""
    gpt2 = config["model_type"] == "gpt2"
    layer, whole, at = (GPT2_LAYER, GPT2_WHOLE, "h") if gpt2 else (LLAMA_LAYER, LLAMA_WHOLE, "layers")
    names = {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in whole.items() for part in ("weight", "bias")}
    for i in range(config["n_layer" if gpt2 else "num_hidden_layers"]):
        names.update({f"blk.{i}.{ours}.{part}": f"{at}.{i}.{theirs}.{part}"
                      for ours, theirs in layer.items() for part in ("weight", "bias")})
    if not config.get("tie_word_embeddings", gpt2):
        names["output.weight"] = "lm_head.weight"
    for ours, theirs in names.items():
        if theirs not in weights:
            continue
        w = weights[theirs]
        if not gpt2 and ".attn_q." in ours:
            w = turned_pairs(w, config["num_attention_heads"])
        if not gpt2 and ".attn_k." in ours:
            w = turned_pairs(w, config["num_key_value_heads"])
        if gpt2 and w.ndim == 2 and ours.startswith("blk."):
            w = w.T
        yield ours, w


def add_shape(writer, config):
    if config["model_type"] == "gpt2":
        writer.add_context_length(config["n_positions"])
        writer.add_embedding_length(config["n_embd"])
        writer.add_block_count(config["n_layer"])
        writer.add_feed_forward_length(config.get("n_inner") or 4 * config["n_embd"])
        writer.add_head_count(config["n_head"])
        writer.add_layer_norm_eps(config["layer_norm_epsilon"])
        return
    rope = config.get("rope_parameters") or {"rope_type": "default", "rope_theta": config.get("rope_theta", 10000.0)}
    if rope.get("rope_type", "default") != "default":
        raise ValueError(f"rotary embedding of type '{rope['rope_type']}' is not written to GGUF here")
    head_dim = config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(rope["rope_theta"])
    writer.add_rope_dimension_count(head_dim)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)


def add_bytes_as_tokens(writer, vocab_size):
    """Readers want a vocabulary. Ids go in and out, so any will do."""
    def symbol(byte):
        printable = 33 <= byte <= 126 or 161 <= byte <= 172 or 174 <= byte <= 255
        return chr(byte if printable else 256 + byte)

    tokens = [symbol(i) if i < 256 else f"<{i}>" for i in range(vocab_size)]
    writer.add_vocab_size(vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * min(256, vocab_size) + [4] * max(0, vocab_size - 256))
    writer.add_token_merges([f"{tokens[65]} {tokens[66]}"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)


def stored(w, kind):
    """The array as the file has it, and its type; only Q8_0 may change a value. Vectors are F32."""
    import gguf
    import numpy as np

    w = np.ascontiguousarray(w, np.float32)
    if kind == "F32" or w.ndim == 1:
        return w, None
    if kind == "Q8_0":
        return gguf.quants.quantize(w, gguf.GGMLQuantizationType.Q8_0), gguf.GGMLQuantizationType.Q8_0
    if kind == "F16":
        small = w.astype(np.float16)
        exact = np.array_equal(small.astype(np.float32), w)
    else:
        small = gguf.quants.quantize(w, gguf.GGMLQuantizationType.BF16)
        exact = not (w.view(np.uint32) & 0xFFFF).any()
    if not exact:
        raise ValueError(f"the model's weights are no {kind} numbers, so a file of them is another model")
    return small, gguf.GGMLQuantizationType[kind]


def gguf_path(model_dir, kind):
    return Path(model_dir) / f"model-{kind.lower()}.gguf"


def make_gguf(model_dir, kind):
    """The model as a file of this type, made once for these very weights: their hash lies beside it."""
    import gguf

    path = gguf_path(model_dir, kind)
    mark, digest = path.with_suffix(".gguf.sha256"), hash_weights(model_dir)
    if path.exists() and mark.exists() and mark.read_text().strip() == digest:
        return
    config = json.loads((Path(model_dir) / "config.json").read_text())
    if config["model_type"] not in ("gpt2", "llama"):
        raise ValueError(f"a model of type '{config['model_type']}' is not written to GGUF here")
    writer = gguf.GGUFWriter(path, config["model_type"])
    add_shape(writer, config)
    writer.add_file_type({"F32": 0, "F16": 1, "Q8_0": 7, "BF16": 32}[kind])
    add_bytes_as_tokens(writer, config["vocab_size"])
    for name, w in gguf_tensors(config, read_weights(model_dir)):
        data, kind_here = stored(w, kind)
        writer.add_tensor(name, data, raw_dtype=kind_here)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    mark.write_text(digest + "\n")


# ---- llama.cpp ----

class LlamaCppJob(Job):
    """By its C interface, as its own benchmark uses it. In fp32 weights and cache are F32; else weights are BF16 or
    Q8_0, and the cache F16, its default."""

    def __init__(self, cpp, request):
        super().__init__(request)
        self.cpp, self.model = cpp, None
        self.path = gguf_path(self.model_dir, self.precision)
        self.prompt = self.make_batch(self.prompts, range(self.length))
        self.tokens = self.make_batch(self.prompts[:, :1], [self.length])

    def open(self):
        model = self.cpp.llama_model_default_params()
        model.n_gpu_layers = 0
        self.model = self.cpp.llama_model_load_from_file(str(self.path).encode(), model)
        if not self.model:
            raise RuntimeError(f"llama.cpp cannot load {self.path}")
        self.vocab_size = self.cpp.llama_vocab_n_tokens(self.cpp.llama_model_get_vocab(self.model))
        self.context = self.cpp.llama_init_from_model(self.model, self.context_params(self.threads))
        if not self.context:
            raise RuntimeError("llama.cpp cannot make a context")

    def context_params(self, threads):
        params = self.cpp.llama_context_default_params()
        params.n_ctx = self.batch * (self.length + self.n_gen)
        params.n_batch = self.batch * self.length
        params.n_ubatch = min(512, params.n_batch)
        params.n_seq_max = self.batch
        params.n_threads = params.n_threads_batch = threads
        if not self.small:
            params.flash_attn_type = 0  # it rounds to F16
        params.type_k = params.type_v = 1 if self.small else 0
        return params

    def make_batch(self, tokens, positions):
        """Token t of sequence b at positions[t]; logits of the last of each."""
        count = tokens.shape[1]
        batch = self.cpp.llama_batch_init(tokens.size, 0, 1)
        batch.n_tokens = tokens.size
        for b in range(self.batch):
            for t in range(count):
                i = b * count + t
                batch.token[i], batch.pos[i], batch.logits[i] = int(tokens[b, t]), positions[t], t == count - 1
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, b
        return batch

    def read(self, batch):
        import numpy as np

        if self.cpp.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        last = batch.n_tokens // self.batch
        rows = [self.cpp.llama_get_logits_ith(self.context, (b + 1) * last - 1) for b in range(self.batch)]
        self.rows = [np.ctypeslib.as_array(row, (self.vocab_size,)) for row in rows]
        return [int(row.argmax()) for row in self.rows]

    def forget_from(self, position):
        memory = self.cpp.llama_get_memory(self.context)
        for b in range(self.batch):
            self.cpp.llama_memory_seq_rm(memory, b, position, -1)

    def prefill(self):
        self.forget_from(0)
        self.next = self.read(self.prompt)

    def cut_back(self):
        self.forget_from(self.length)

    def step(self, i, tokens):
        import numpy as np

        for b, token in enumerate(tokens):
            self.tokens.token[b], self.tokens.pos[b] = token, self.length + i
        tokens = self.read(self.tokens)
        if i == 0 and self.small:
            self.logits = np.array(self.rows)
        return tokens

    def outputs(self):
        import numpy as np

        if not self.n_gen:
            self.logits = np.array(self.rows)
        return super().outputs()

    def close(self):
        if self.model:
            self.cpp.llama_free(self.context)
            self.cpp.llama_model_free(self.model)
        self.model = None


# ---- OpenVINO GenAI ----

class OpenVinoJob(Job):
    """LLMPipeline on a GGUF of F16, the widest that it reads, computing in fp32 or bf16, or of Q8_0. It shows no
    logits, and a call reads the prompt: the time of steps is that between its tokens. Its cache of prompts read
    before is off."""

    def __init__(self, genai, openvino, request):
        super().__init__(request)
        self.genai = genai
        ids = self.prompts.astype("int64")
        self.tokens = genai.TokenizedInputs(openvino.Tensor(ids), openvino.Tensor(ids * 0 + 1))
        self.options = genai.GenerationConfig()
        self.options.max_new_tokens = 1 + self.n_gen
        self.options.ignore_eos = True
        self.options.do_sample = False

    @staticmethod
    def kind(precision):
        return "Q8_0" if precision == "q8_0" else "F16"

    def begin(self):
        if not self.reloads:
            self.open()
        return self

    def open(self):
        hint = "bf16" if self.precision == "bf16" else "f32"
        self.pipeline = None
        schedule = self.genai.SchedulerConfig()
        schedule.enable_prefix_caching = False
        schedule.max_num_batched_tokens = max(256, self.prompts.size)
        self.pipeline = self.genai.LLMPipeline(
            str(gguf_path(self.model_dir, self.kind(self.precision))), "CPU", scheduler_config=schedule,
            INFERENCE_PRECISION_HINT=hint, KV_CACHE_PRECISION=hint, INFERENCE_NUM_THREADS=self.threads,
            DYNAMIC_QUANTIZATION_GROUP_SIZE=32 if self.precision == "q8_0" else 0)

    def run(self):
        if self.reloads:
            self.open()
        result = self.pipeline.generate(self.tokens, self.options)
        self.all = result.tokens
        times = result.perf_metrics.raw_metrics.m_new_token_times
        return (times[-1] - times[0]) * 1e6 if self.n_gen else None

    def outputs(self):
        import numpy as np

        ids = np.array(self.all, np.int32)
        return {"ids": ids[:, 1:] if self.n_gen else ids}
