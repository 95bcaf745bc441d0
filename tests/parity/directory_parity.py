"""Hugging Face directories in every shape that people have them in, from `tare dump`, `tokenize` and
`classify` against the transformers library: historic names of tensors, prefixes at will, a head that
config.json ties and the file does not, tokenizer.json alone and against vocab.txt, the scores of each
problem_type, two texts together.

    directory_parity.py [--tare PROGRAM] [--only TEXT]
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from torch_reference import arguments, make_model

# Largest difference over the largest value; both sides compute in fp32.
BOUND = 1.5e-6

TEXTS = ["a good movie", "The film, was it BAD?", "", "caf\u00e9 [MASK] unaffable"]
WORDS = ["the", "a", "movie", "good", "bad", "was", "is", "film", "it", ",", "?", "cafe", "un", "##aff", "##able"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def run(tare, *command, text=""):
    done = subprocess.run([str(tare), *map(str, command)], input=text, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    return done.stdout


def rewrite(directory, change):
    """Gives change(name, tensor) -> (name, tensor) or None every tensor of the directory."""
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    changed = [change(name, t) for name, t in load_file(path).items()]
    save_file({name: t.contiguous() for name, t in filter(None, changed)}, path)


def set_config(directory, name="config.json", **keys):
    path = directory / name
    path.write_text(json.dumps({**(json.loads(path.read_text()) if path.exists() else {}), **keys}))


def until_2019(name, t):
    return name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"), t


def prefixes_at_will(prefix):
    def change(name, t):
        return (name.removeprefix(prefix) if "layer.1." in name else prefix + name.removeprefix(prefix)), t
    return change


def other_head(directory):
    import torch
    from safetensors.torch import load_file, save_file

    path = directory / "model.safetensors"
    tensors = load_file(path)
    table = next(t for name, t in tensors.items() if name.endswith("wte.weight"))
    tensors["lm_head.weight"] = table + torch.linspace(-1, 1, table.numel()).reshape(table.shape)
    save_file(tensors, path)


def shard(directory):
    """Writes it again in pieces, as the library does."""
    import transformers

    name = json.loads((directory / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(directory)
    (directory / "model.safetensors").unlink()
    model.save_pretrained(directory, max_shard_size="40KB")
    assert len(list(directory.glob("model-*-of-*.safetensors"))) > 1


# name, model, what is done to its directory
WEIGHTS = [
    ("gamma and beta", "bert-small", lambda d: rewrite(d, until_2019)),
    ("prefixes of BERT", "bert-small", lambda d: rewrite(d, prefixes_at_will("bert."))),
    ("prefixes of DistilBERT", "distilbert-small", lambda d: rewrite(d, prefixes_at_will("distilbert."))),
    ("a head of its own", "gpt2-odd", other_head),
    ("a head for the table", "gpt2-odd",
     lambda d: rewrite(d, lambda n, t: ("lm_head.weight" if n.endswith("wte.weight") else n, t))),
    ("shards of BERT", "bert-small", shard),
    ("shards of GPT-2", "gpt2-odd", shard),
    ("sinusoidal", "distilbert-small", lambda d: set_config(d, sinusoidal_pos_embds=True)),
    ("pad_token_id -1", "bert-small", lambda d: set_config(d, pad_token_id=-1)),
    ("numbers of Python", "bert-small", lambda d: set_config(d, max_length=int(1e30), x=float("inf"), y=[float("nan")])),
]


def check_weights(tare, directory):
    import torch
    import transformers

    name = json.loads((directory / "config.json").read_text())["architectures"][0]
    model = getattr(transformers, name).from_pretrained(directory).eval()
    ids = torch.arange(7)[None]
    with torch.no_grad():
        want = model(ids).logits
    out = directory / "out"
    run(tare, "dump", "--overwrite", directory, "--ids", " ".join(map(str, range(7))), "--out", out)
    from safetensors.torch import load_file

    return float((load_file(out)["logits"] - want).abs().max() / want.abs().max())


def make_tokenizer(directory, **settings):
    from transformers import BertTokenizer

    vocab = {token: i for i, token in enumerate(SPECIAL + WORDS)}
    BertTokenizer(vocab=vocab, **settings).save_pretrained(directory)


def change_json(directory, change):
    path = directory / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    change(tokenizer)
    path.write_text(json.dumps(tokenizer))


TOKENIZERS = [
    ("tokenizer.json", {}, lambda d: None),
    ("cased", {"do_lower_case": False}, lambda d: None),
    ("accents", {"strip_accents": False}, lambda d: None),
    ("no tokenizer_config.json", {}, lambda d: (d / "tokenizer_config.json").unlink()),
    ("vocab.txt says otherwise", {}, lambda d: (d / "vocab.txt").write_text("\n".join(SPECIAL + WORDS[::-1]))),
    ("ids with holes", {}, lambda d: change_json(d, lambda t: t["model"]["vocab"].update(movie=70))),
    ("added tokens", {"extra_special_tokens": ["good"]}, lambda d: None),
    ("truncation and padding", {}, lambda d: change_json(d, lambda t: t.update(
        truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0}))),
    ("PreTrainedTokenizerFast", {"do_lower_case": False},
     lambda d: set_config(d, "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast", do_lower_case=True)),
    ("class of config.json", {"do_lower_case": False}, lambda d: (
        (d / "tokenizer_config.json").unlink(), set_config(d, tokenizer_class="PreTrainedTokenizerFast"))),
    ("a class of nobody", {"strip_accents": False}, lambda d: (
        set_config(d, "tokenizer_config.json", tokenizer_class="OwnTokenizer"),
        change_json(d, lambda t: t["post_processor"]["single"][0]["SpecialToken"].update(id="[SEP]")))),
]


def check_tokenizer(tare, directory):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(directory)
    want = [tokenizer(text, truncation=False)["input_ids"] for text in TEXTS]
    got = [[int(x) for x in line.split()] for line in
           run(tare, "tokenize", directory, text="\n".join(TEXTS) + "\n").splitlines()]
    return 0 if got == want else 1


SCORES = [
    ("softmax", "bert-small", {}),
    ("sigmoid", "bert-small", {"problem_type": "multi_label_classification"}),
    ("regression", "distilbert-small", {"problem_type": "regression"}),
    ("labels without names", "bert-small", {"id2label": None, "label2id": None, "num_labels": 3}),
]


def check_scores(tare, directory, pair):
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(directory))
    worst = 0
    full = [text for text in TEXTS if text]  # the library takes an empty second text for none
    for a, b in zip(full, full[1:] + full[:1]):
        want = classify({"text": a, "text_pair": b} if pair else {"text": a}, top_k=None)
        want = {x["label"]: x["score"] for x in (want[0] if isinstance(want[0], list) else want)}
        line = run(tare, "classify", directory, "--scores", *(["--pair"] if pair else []),
                   text=f"{a}\t{b}\n" if pair else f"{a}\n").rstrip("\n").split("\t")
        got = dict(zip(line[::2], map(float, line[1::2])))
        if set(got) != set(want):
            return 1
        worst = max(worst, *(abs(got[k] - want[k]) - 5e-7 for k in want))  # six digits are printed
    return worst


def check_abandoned(folder):
    """Making a model removes the half-made one of a dead process, and no other."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    out = Path(tempfile.mkdtemp(dir=folder))
    for name in (f".gpt2-odd.{dead.pid}", f".gpt2-odd.{os.getppid()}", f".gpt2-odd2.{dead.pid}"):
        (out / name).mkdir()
    make_model(out, "gpt2-odd")
    left = {path.name for path in out.iterdir()}
    return 0 if left == {"gpt2-odd", f".gpt2-odd.{os.getppid()}", f".gpt2-odd2.{dead.pid}"} else 1


def cases(tare, folder):
    """name, function that returns an error."""
    def copy(model):
        directory = Path(tempfile.mkdtemp(dir=folder))
        return Path(shutil.copytree(make_model(folder, model), directory, dirs_exist_ok=True))

    def of_weights(model, change):
        directory = copy(model)
        change(directory)
        return check_weights(tare, directory)

    def of_tokenizer(settings, change):
        directory = Path(tempfile.mkdtemp(dir=folder))
        set_config(directory, model_type="bert")
        make_tokenizer(directory, **settings)
        change(directory)
        return check_tokenizer(tare, directory)

    def of_scores(model, keys, pair):
        directory = copy(model)
        for old in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
            (directory / old).unlink(missing_ok=True)
        make_tokenizer(directory)
        set_config(directory, **keys)
        return check_scores(tare, directory, pair)

    def of_shards(model):
        whole, pieces = copy(model), copy(model)
        shard(pieces)
        for directory in whole, pieces:
            run(tare, "dump", "--overwrite", directory, "--ids", "1 2 3;4 5 6", "--targets", "1;0" if "bert" in model else "2 3 -1;5 6 -1",
                "--out", directory / "out")
        return 0 if (whole / "out").read_bytes() == (pieces / "out").read_bytes() else 1

    for model in "bert-small", "gpt2-odd":
        yield f"shards of {model}, bit for bit", lambda: of_shards(model)
    yield "what a killed maker left", lambda: check_abandoned(folder)
    for name, model, change in WEIGHTS:
        yield name, lambda: of_weights(model, change)
    for name, settings, change in TOKENIZERS:
        yield name, lambda: of_tokenizer(settings, change)
    for name, model, keys in SCORES:
        for pair in (False, True):
            yield name + " of pairs" * pair, lambda: of_scores(model, keys, pair)


def main():
    args = arguments(__doc__.splitlines()[0])
    bad = 0
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as folder:
        for name, check in cases(args.tare, Path(folder)):
            if args.only in name:
                error = check()
                bad += error > BOUND
                print(f"{name}: {error:.1e}" + (f" NOT OK, at most {BOUND:g}" if error > BOUND else ""), flush=True)
    print(f"{bad} failures")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
