"""What several modules of these tests use."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

WORDS = ["cat", "dog", "sun", "rain", "bread", "code", "a", "numbers", "letters", "dots", "12", "345"]


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Models this small only lose by sharing their work."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sentence(random: np.random.Generator) -> str:
    return " ".join(random.choice(WORDS, random.integers(2, 9)))


@pytest.fixture(scope="session")
def datasets_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs.csv, scored.csv and a retrieval task, all of random words."""
    folder, random = tmp_path_factory.mktemp("datasets"), np.random.default_rng(5)
    pairs = [f'{random.integers(0, 6)}.5,{sentence(random)},"{sentence(random)}, ""so"""' for _ in range(40)]
    (folder / "pairs.csv").write_text(
        "\n".join(["score,sentence1,sentence2", *pairs]) + "\n", encoding="utf-8"
    )
    scored = [f"{number % 2},{sentence(random)},{sentence(random)}" for number in range(40)]
    (folder / "scored.csv").write_text("\n".join(["score,text1,text2", *scored]) + "\n")
    task = folder / "task"
    task.mkdir()
    documents = [{"_id": f"d{n}", "title": "cat" * (n % 2), "text": sentence(random)} for n in range(60)]
    queries = [{"_id": f"q{n}", "text": sentence(random)} for n in range(20)]
    for name, lines in (("corpus", documents), ("queries", queries)):
        (task / f"{name}.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    judged = [
        f"q{n}\td{m}\t{random.integers(0, 3)}" for n in range(18) for m in random.choice(60, 5, replace=False)
    ]
    (task / "qrels.tsv").write_text("\n".join(["query-id\tcorpus-id\tscore", *judged]) + "\n")
    return folder
