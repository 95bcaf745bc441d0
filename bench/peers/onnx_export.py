"""The ONNX files of a model directory, for the worker of ONNX Runtime: a plain export by PyTorch, made once,
and that quantised by ONNX Runtime's own quantize_dynamic with its defaults.

    onnx_export.py MODEL_DIR COMPONENT       # a component of bench/compare/component.c

`make_onnx` runs this in a process of its own, so that PyTorch never enters the worker.
"""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

# component: the part of the model that is exported for it
ONNX_PARTS = {"embeddings": "embeddings", "classify": "classifier", "model_int8": "model_int8"}


def onnx_path(model_dir, component):
    return Path(model_dir) / f"{ONNX_PARTS.get(component, 'model')}.onnx"


def hash_weights(model_dir):
    """Of model.safetensors, or of the shards of its index in the order of their names, as tare does."""
    whole = Path(model_dir) / "model.safetensors"
    files = [whole]
    if not whole.exists():
        index = json.loads((Path(model_dir) / "model.safetensors.index.json").read_text())
        files = [whole.with_name(name) for name in sorted(set(index["weight_map"].values()))]
    digest = hashlib.sha256()
    for path in files:
        with open(path, "rb") as weights:
            while piece := weights.read(1 << 20):
                digest.update(piece)
    return digest.hexdigest()


def make_onnx(model_dir, component):
    """Exports the part of the model that the component needs, unless that was done for these very weights:
    their hash lies beside the file."""
    path = onnx_path(model_dir, component)
    mark = path.with_suffix(".onnx.sha256")
    digest = hash_weights(model_dir)
    if path.exists() and mark.exists() and mark.read_text().strip() == digest:
        return
    done = subprocess.run([sys.executable, __file__, str(model_dir), component],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the export to ONNX failed: {(done.stderr.strip() or '?').splitlines()[-1]}")
    mark.write_text(digest + "\n")


def quantise(model_dir, component):
    from onnxruntime.quantization import quantize_dynamic

    make_onnx(model_dir, "model")
    path = onnx_path(model_dir, component)
    partial = path.with_suffix(".tmp")
    quantize_dynamic(onnx_path(model_dir, "model"), partial)
    partial.rename(path)


def export(model_dir, component):
    import torch
    import transformers

    classifier, embeddings = component == "classify", component == "embeddings"

    class Exported(torch.nn.Module):
        """Calls by name: the order of arguments differs between models."""

        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, input_ids, attention_mask=None):
            if embeddings:
                return self.model.embeddings(input_ids=input_ids)
            out = self.model(input_ids=input_ids, attention_mask=attention_mask)
            return out.logits if classifier else out.last_hidden_state

    kind = transformers.AutoModelForSequenceClassification if classifier else transformers.AutoModel
    model = kind.from_pretrained(model_dir, dtype=torch.float32).eval()
    ids = torch.zeros(2, 16, dtype=torch.long)
    inputs = {"input_ids": ids} if embeddings else {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    path = onnx_path(model_dir, component)
    partial = path.with_suffix(".tmp")
    out = "logits" if classifier else "hidden"
    axes = {name: {0: "batch", 1: "length"} for name in inputs}
    axes[out] = {0: "batch"} if classifier else {0: "batch", 1: "length"}
    torch.onnx.export(Exported(model), tuple(inputs.values()), str(partial), input_names=list(inputs),
                      output_names=[out], opset_version=17, dynamo=False, dynamic_axes=axes)
    partial.rename(path)


if __name__ == "__main__":
    make = quantise if sys.argv[2] == "model_int8" else export
    make(sys.argv[1], sys.argv[2])
