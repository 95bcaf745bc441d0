"""analysis/fetch_sentiment.py without a network: a BERT and the DistilBERT made of it compute the same; the
split of texts holds what it promises; missing and damaged downloads are named.

    fetch_sentiment_parity.py [--tare PROGRAM]      (the program is not used)
"""

import sys
import tempfile
from pathlib import Path

from torch_reference import arguments

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "analysis"))
import fetch_sentiment  # noqa: E402

HIDDEN_RELATIVE = 1.2e-6  # observed: 3.0e-7 on random weights, 4.0e-7 on MiniLM-L6


def random_bert():
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(4)
    config = BertConfig(hidden_size=48, num_hidden_layers=3, num_attention_heads=4, intermediate_size=100,
                        vocab_size=200, max_position_embeddings=40)
    model = BertModel(config).eval()
    with torch.no_grad():
        for p in model.parameters():  # norms and biases, too: with ones and zeros an exchange would not show
            p.add_(0.1 * torch.randn(p.shape))
    return model


def conversion_error():
    """Largest difference of the last hidden states over their largest value."""
    import torch
    from transformers import DistilBertConfig, DistilBertModel

    bert = random_bert()
    numbers = {name: t.detach().numpy() for name, t in bert.state_dict().items()}
    tensors = fetch_sentiment.distilbert_tensors(numbers)
    config = fetch_sentiment.distilbert_config(bert.config.to_dict())
    distilbert = DistilBertModel(DistilBertConfig(**{k: v for k, v in config.items() if k != "model_type"})).eval()
    state = {name.removeprefix("distilbert."): torch.tensor(t) for name, t in tensors.items()}
    distilbert.load_state_dict(state)  # strict: every parameter has its tensor
    ids = torch.randint(1, 200, (3, 17))
    with torch.no_grad():
        a = bert(input_ids=ids).last_hidden_state
        b = distilbert(input_ids=ids).last_hidden_state
    return ((a - b).abs().max() / a.abs().max()).item()


def check_split():
    texts = [f"Text number {i}." for i in range(5000)]
    texts += texts[:700] + [t.upper() for t in texts[700:1400]]
    splits = fetch_sentiment.split_of_texts(texts)
    for name, size in fetch_sentiment.HELD_OUT.items():
        assert sum(splits[t] == name for t in texts) == size, name
    for text in texts[700:1400]:
        assert splits[text] == splits[text.upper()], "a duplicate on two sides"
    assert splits == fetch_sentiment.split_of_texts(texts[::-1]), "the order of the file matters"


def failure_of(folder):
    try:
        fetch_sentiment.download(fetch_sentiment.SNIPPETS, folder, offline=True)
    except fetch_sentiment.Failure as failure:
        return str(failure)
    return "no failure"


def check_downloads():
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        assert "--offline forbids to download" in failure_of(folder)
        (folder / fetch_sentiment.SNIPPETS[1]).write_bytes(b"damaged")
        assert "is not the expected file" in failure_of(folder)


def main():
    arguments(__doc__.split("\n")[0])
    error = conversion_error()
    print(f"BERT as DistilBERT: relative {error:.1e} (bound {HIDDEN_RELATIVE:.0e})")
    check_split()
    check_downloads()
    sys.exit(0 if error <= HIDDEN_RELATIVE else 1)


if __name__ == "__main__":
    main()
