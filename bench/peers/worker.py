"""One alternative of `tare compare` as a worker: `worker.py NAME`, the names stand in ALTERNATIVES below.

`tare compare` starts it and talks to it, one line of JSON each way; the requests are listed in
bench/verbs/worker.c, whose counterpart this is. Every alternative is used as its own users would: PyTorch
eager through transformers with its default attention, ONNX Runtime on a plain export with all graph
optimisations, `tokenizers` through its Python interface. What is timed is the method `run`, or `encode` and
`label` of a classifier, between perf_counter readings in this process; inputs lie ready as the library wants
them, and nothing is printed.
"""

import json
import os
import sys
import time
from pathlib import Path

from decoders import LlamaCppJob, OpenVinoJob, TorchJob, make_gguf, parts_of, precision_of
from onnx_export import make_onnx, onnx_path

# One thread for tokenizers: a few sentences are not worth more, and ours uses one.
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"
# A CPU for each thread of PyTorch, unless the user has a rule. Left to Linux, a team of two can share one CPU
# for a whole run while the other is idle. ONNX Runtime has no such variable: OnnxRuntime.place_threads.
if not {"OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY"} & set(os.environ):
    os.environ["OMP_PROC_BIND"], os.environ["OMP_PLACES"] = "spread", "threads"


class Unavailable(Exception):
    """This machine lacks the device."""


def quiet_transformers():
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def read_inputs(request):
    from safetensors.numpy import load_file

    return {name: table.astype("int64") for name, table in load_file(request["inputs"]).items()}


def write(path, tensors):
    import numpy as np
    from safetensors.numpy import save_file

    save_file({name: np.array(t, order="C") for name, t in tensors.items()}, path)


def text_tokenizer(model_dir):
    """The tokenizer that users load for this directory; .backend_tokenizer is that of `tokenizers`."""
    return quiet_transformers().BertTokenizerFast.from_pretrained(model_dir)


def bare_tokenizer(model_dir):
    """Of `tokenizers` itself, for WordPiece and for byte-level BPE."""
    from tokenizers import Tokenizer

    if (Path(model_dir) / "vocab.txt").exists():
        return text_tokenizer(model_dir).backend_tokenizer
    return Tokenizer.from_file(str(Path(model_dir) / "tokenizer.json"))


def label_names(model_dir):
    names = json.loads((Path(model_dir) / "config.json").read_text())["id2label"]
    return [names[str(i)] for i in range(len(names))]


class Tokenizers:
    def __init__(self):
        import tokenizers
        import transformers

        self.versions = {"tokenizers": tokenizers.__version__, "transformers": transformers.__version__}

    def load(self, request):
        self.tokenizer = bare_tokenizer(request["model_dir"])
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        if request["max_length"]:
            self.tokenizer.enable_truncation(request["max_length"])
        self.texts = request["texts"]

    def run(self):
        if len(self.texts) == 1:
            self.ids = [self.tokenizer.encode(self.texts[0]).ids]
        else:
            self.ids = [encoding.ids for encoding in self.tokenizer.encode_batch(self.texts)]

    def outputs(self):
        import numpy as np

        return {"ids": np.concatenate([np.array(ids, np.int32) for ids in self.ids]),
                "lengths": np.array([len(ids) for ids in self.ids], np.int32)}


# The gradients that are compared, those of worker_job.c. Conv1D keeps its weight as [in, out]; the comparison
# is of [out, in].
SHOWN_GRADS = {"wpe.weight", "h.0.attn.c_attn.weight", "ln_f.weight", "layers.0.input_layernorm.weight",
               "layers.0.self_attn.o_proj.weight", "norm.weight"}


def is_decoder(component):
    return component.startswith(("prefill", "decode", "first_token"))


class PyTorch:
    """Encoders, classifiers and GPT-2 on PyTorch, eager or compiled; classifiers also on another device; decoders
    with a dynamic or a static cache."""

    def __init__(self, compiled=False, device="cpu", static=False):
        import torch

        self.static, self.job = static, None

        transformers = quiet_transformers()
        self.torch, self.transformers, self.compiled, self.device = torch, transformers, compiled, device
        self.versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        if device == "cuda":
            if not torch.cuda.is_available():
                raise Unavailable("PyTorch finds no CUDA device")
            self.versions["device"] = torch.cuda.get_device_name()
        if device == "mps" and not torch.backends.mps.is_available():
            raise Unavailable("PyTorch finds no Apple GPU")

    def load(self, request):
        self.model = self.module = self.optimizer = self.job = None  # first: two models may not fit
        self.torch.set_num_threads(request["threads"])
        self.component, self.precision = parts_of(request["component"])
        self.dtype = self.torch.bfloat16 if self.precision == "bf16" else self.torch.float32
        if is_decoder(self.component):
            self.job = TorchJob(self.torch, self.transformers, request, self.static).begin()
        elif self.component.startswith("attention"):
            self.load_attention(request)
        elif self.component.startswith("gpt_"):
            self.load_gpt(request)
        elif self.component == "classify":
            self.load_classifier(request)
        else:
            self.load_encoder(request)
        if self.compiled and self.module:  # texts differ in length
            self.module = self.torch.compile(self.module, dynamic=self.component == "classify")

    def load_classifier(self, request):
        self.names, self.texts = label_names(request["model_dir"]), request["texts"]
        self.tokenizer = text_tokenizer(request["model_dir"])
        self.encoding = dict(truncation=True, max_length=request["max_length"], return_tensors="pt",
                             return_token_type_ids=False)
        self.module = self.transformers.AutoModelForSequenceClassification.from_pretrained(
            request["model_dir"], dtype=self.torch.float32).eval().to(self.device)

    def encode(self, text):
        self.encoded = self.tokenizer(text, **self.encoding)
        return self.encoded["input_ids"].shape[1]

    def label(self):
        with self.torch.inference_mode():
            self.logits = self.module(**self.encoded.to(self.device)).logits[0]
        return self.names[int(self.logits.argmax())]

    def last_logits(self):
        return self.logits.cpu().numpy()

    def load_encoder(self, request):
        self.model = self.transformers.AutoModel.from_pretrained(request["model_dir"], dtype=self.dtype).eval()
        self.module = self.model.embeddings if self.component == "embeddings" else self.model
        if self.component == "end_to_end":
            self.tokenizer, self.texts = text_tokenizer(request["model_dir"]), request["texts"]
            self.encoding = dict(padding=True, truncation=True, max_length=request["max_length"],
                                 return_tensors="pt", return_token_type_ids=False)
            return
        inputs = {name: self.torch.from_numpy(t) for name, t in read_inputs(request).items()}
        self.inputs = {"input_ids": inputs["tokens"]}
        if self.component == "model":
            self.inputs["attention_mask"] = inputs["mask"]

    def load_gpt(self, request):
        torch = self.torch
        self.model = self.transformers.AutoModelForCausalLM.from_pretrained(request["model_dir"], dtype=self.dtype)
        for module in self.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        self.model.config.use_cache = False
        self.module = self.model.train(self.component != "gpt_forward")
        inputs = {name: torch.from_numpy(t) for name, t in read_inputs(request).items()}
        self.tokens, self.targets = inputs["tokens"], inputs["targets"].reshape(-1)
        if self.component == "gpt_step":
            parameters = list(self.model.parameters())
            groups = [{"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.01},
                      {"params": [p for p in parameters if p.ndim == 1], "weight_decay": 0.0}]
            self.optimizer = torch.optim.AdamW(groups, lr=1e-3, fused=True)

    def load_attention(self, request):
        from safetensors.torch import load_file

        backward, self.causal = self.component == "attention", request["causal"]
        heads = {name: t.transpose(1, 2).contiguous() for name, t in load_file(request["inputs"]).items()}
        self.dout = heads["dout"]
        self.heads = {name: heads[name].requires_grad_(backward) for name in "qkv"}

    def attend(self):
        return self.torch.nn.functional.scaled_dot_product_attention(*self.heads.values(), is_causal=self.causal)

    def run_attention(self):
        if self.component == "attention_forward":
            with self.torch.inference_mode():
                self.out = self.attend()
            return
        for t in self.heads.values():
            t.grad = None
        self.out = self.attend()
        self.out.backward(self.dout)

    def run(self):
        if self.job:
            self.job.run()
        elif self.component.startswith("attention"):
            self.run_attention()
        elif self.component == "gpt_forward":
            with self.torch.inference_mode():
                self.loss = self.gpt_loss()
        elif self.component.startswith("gpt_"):
            self.train_step()
        else:
            with self.torch.inference_mode():
                self.run_encoder()

    def run_encoder(self):
        if self.component == "end_to_end":
            self.hidden = self.module(**self.tokenizer(self.texts, **self.encoding)).last_hidden_state
        elif self.component == "embeddings":
            self.hidden = self.module(**self.inputs)
        else:
            self.hidden = self.module(**self.inputs).last_hidden_state

    def gpt_loss(self):
        with self.torch.autocast("cpu", self.torch.bfloat16, enabled=self.precision == "mixed"):
            logits = self.module(input_ids=self.tokens).logits.float()
            return self.torch.nn.functional.cross_entropy(logits.view(-1, logits.shape[-1]), self.targets)

    def train_step(self):
        self.model.zero_grad(set_to_none=True)
        self.loss = self.gpt_loss()
        self.loss.backward()
        if self.optimizer:
            self.optimizer.step()

    def attention_outputs(self):
        tensors = {"out": self.out.detach()}
        if self.component == "attention":
            tensors.update({f"grad.{name}": t.grad for name, t in self.heads.items()})
        return {name: t.transpose(1, 2).numpy() for name, t in tensors.items()}

    def outputs(self):
        if self.job:
            return self.job.outputs()
        if self.component.startswith("attention"):
            return self.attention_outputs()
        if not self.component.startswith("gpt_"):
            name = "hidden_states.0" if self.component == "embeddings" else "last_hidden_state"
            return {name: self.hidden.float().numpy()}
        tensors = {"loss": self.loss.detach().numpy()}
        if self.component != "gpt_forward":
            for name, p in self.model.base_model.named_parameters():
                if name in SHOWN_GRADS:
                    tensors["grad." + name] = (p.grad.T if "c_attn" in name else p.grad).numpy()
        if self.optimizer:
            with self.torch.no_grad():
                tensors["loss_after_step"] = self.gpt_loss().numpy()
        return tensors


class OnnxRuntime:
    def __init__(self):
        import numpy
        import onnxruntime

        self.numpy, self.onnxruntime = numpy, onnxruntime
        self.cpus = sorted(os.sched_getaffinity(0))
        self.versions = {"onnxruntime": onnxruntime.__version__}

    def prepare(self, request):
        make_onnx(request["model_dir"], request["component"])

    def load(self, request):
        self.session = None  # first: two models may not fit
        options = self.onnxruntime.SessionOptions()
        options.intra_op_num_threads = request["threads"]
        options.inter_op_num_threads = 1
        self.place_threads(options, request["threads"])
        options.graph_optimization_level = self.onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.component = request["component"]
        path = onnx_path(request["model_dir"], self.component)
        self.session = self.onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        if self.component == "classify":
            self.names, self.texts = label_names(request["model_dir"]), request["texts"]
            self.tokenizer = text_tokenizer(request["model_dir"]).backend_tokenizer
            self.tokenizer.no_padding()
            self.tokenizer.enable_truncation(request["max_length"])
            return
        if self.component == "end_to_end":
            self.tokenizer, self.texts = text_tokenizer(request["model_dir"]).backend_tokenizer, request["texts"]
            self.tokenizer.enable_truncation(request["max_length"])
            self.tokenizer.enable_padding()
            return
        inputs = read_inputs(request)
        self.inputs = {"input_ids": inputs["tokens"]}
        if self.component != "embeddings":
            self.inputs["attention_mask"] = inputs["mask"]

    def place_threads(self, options, threads):
        """A CPU for each thread, this one on the first."""
        if threads == 1 or threads > len(self.cpus):
            os.sched_setaffinity(0, self.cpus)
            return
        shares = [self.cpus[i * len(self.cpus) // threads] for i in range(threads)]
        options.add_session_config_entry("session.intra_op_thread_affinities",
                                         ";".join(str(cpu + 1) for cpu in shares[1:]))
        os.sched_setaffinity(0, shares[:1])

    def encode(self, text):
        encoding = self.tokenizer.encode(text)
        self.inputs = {"input_ids": self.numpy.array([encoding.ids], "int64"),
                       "attention_mask": self.numpy.array([encoding.attention_mask], "int64")}
        return len(encoding.ids)

    def label(self):
        self.logits = self.session.run(None, self.inputs)[0][0]
        return self.names[int(self.logits.argmax())]

    def last_logits(self):
        return self.logits

    def run(self):
        inputs = self.tokenized() if self.component == "end_to_end" else self.inputs
        self.hidden = self.session.run(None, inputs)[0]

    def tokenized(self):
        encodings = self.tokenizer.encode_batch(self.texts)
        return {"input_ids": self.numpy.array([e.ids for e in encodings], "int64"),
                "attention_mask": self.numpy.array([e.attention_mask for e in encodings], "int64")}

    def outputs(self):
        name = "hidden_states.0" if self.component == "embeddings" else "last_hidden_state"
        return {name: self.hidden}


class LlamaCpp:
    def __init__(self):
        import gguf  # noqa: F401  its files are written by it
        import llama_cpp

        self.cpp, self.job = llama_cpp, None
        self.quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self.quiet, None)
        self.versions = {"llama-cpp-python": llama_cpp.__version__,
                         "built for": llama_cpp.llama_print_system_info().decode().strip()}

    def prepare(self, request):
        make_gguf(request["model_dir"], precision_of(request["component"]).upper())

    def load(self, request):
        if self.job:
            self.job.close()
        self.job = LlamaCppJob(self.cpp, request).begin()

    def run(self):
        return self.job.run()

    def outputs(self):
        return self.job.outputs()


class OpenVino:
    def __init__(self):
        import gguf  # noqa: F401  its files are written by it
        import openvino
        import openvino_genai

        self.openvino, self.genai, self.job = openvino, openvino_genai, None
        self.versions = {"openvino": openvino.__version__, "openvino-genai": openvino_genai.__version__}

    def prepare(self, request):
        make_gguf(request["model_dir"], OpenVinoJob.kind(precision_of(request["component"])))

    def load(self, request):
        self.job = None  # first: two models may not fit
        self.job = OpenVinoJob(self.genai, self.openvino, request).begin()

    def run(self):
        return self.job.run()

    def outputs(self):
        return self.job.outputs()


ALTERNATIVES = {"pytorch": PyTorch, "pytorch_compile": lambda: PyTorch(compiled=True),
                "pytorch_gpu": lambda: PyTorch(device="cuda"), "pytorch_mps": lambda: PyTorch(device="mps"),
                "pytorch_static": lambda: PyTorch(static=True),
                "onnxruntime": OnnxRuntime, "tokenizers": Tokenizers, "llama_cpp": LlamaCpp, "openvino": OpenVino}


def nothing():
    pass


def time_calls(call, calls):
    cpu, start = time.process_time_ns(), time.perf_counter_ns()
    own = [call() for _ in range(calls)]
    whole, cpu = time.perf_counter_ns() - start, time.process_time_ns() - cpu
    ns = whole if own[-1] is None else sum(own)
    return {"ns": ns / calls, "cpu_ns": cpu / calls * ns / whole}


def time_requests(classifier, numbers):
    """Of each of these texts: the time from text to label, and of its tokenizer alone."""
    total, tokenizer = [], []
    for text in (classifier.texts[i] for i in numbers):
        start = time.perf_counter_ns()
        classifier.encode(text)
        encoded = time.perf_counter_ns()
        classifier.label()
        end = time.perf_counter_ns()
        total.append(end - start)
        tokenizer.append(encoded - start)
    return {"ns": total, "tokenizer_ns": tokenizer}


def classifier_outputs(classifier):
    import numpy as np

    logits, lengths = [], []
    for text in classifier.texts:
        lengths.append(classifier.encode(text))
        classifier.label()
        logits.append(classifier.last_logits())
    return {"logits": np.array(logits, np.float32), "lengths": np.array(lengths, np.int32)}


def load(alternative, request):
    """What is made once and kept is no part of the time."""
    if hasattr(alternative, "prepare"):
        alternative.prepare(request)
    start = time.perf_counter_ns()
    alternative.load(request)
    return {"ns": time.perf_counter_ns() - start}


class Worker:
    def __init__(self, name):
        self.name, self.alternative = name, None

    def answer(self, request):
        verb = request["do"]
        if verb == "hello":
            self.alternative = ALTERNATIVES[self.name]()
            return {"versions": {**self.alternative.versions, "python": sys.version.split()[0]}}
        if verb == "load":
            self.component = request["component"]
            return load(self.alternative, request)
        if verb == "run":
            return time_calls(self.alternative.run, request["calls"])
        if verb == "requests":
            return time_requests(self.alternative, request["texts"])
        if verb == "nothing":
            return time_calls(nothing, request["calls"])
        if verb != "outputs":
            raise ValueError(f"unknown request '{verb}'")
        write(request["path"], self.outputs())
        return {}

    def outputs(self):
        if self.component == "classify":
            return classifier_outputs(self.alternative)
        self.alternative.run()
        return self.alternative.outputs()


def serve(name):
    """Answers until stdin ends. Libraries that print do so on stderr; the answers have stdout alone."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    worker = Worker(name)
    for line in sys.stdin:
        try:
            reply = worker.answer(json.loads(line))
        except Unavailable as reason:
            reply = {"unavailable": str(reason)}
        except Exception as error:
            sentence = str(error).strip().splitlines() or [type(error).__name__]
            reply = {"error": sentence[0]}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


def main():
    if len(sys.argv) == 2 and sys.argv[1] in ALTERNATIVES:
        serve(sys.argv[1])
    else:
        sys.exit(f"usage: worker.py {'|'.join(ALTERNATIVES)}")


if __name__ == "__main__":
    main()
