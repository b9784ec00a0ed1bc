"""report.md of an embedder, for people. First what to pick and why, then what was measured."""

from collections.abc import Callable

from embed_onnx.artifact.parity import SHORT_TOKENS, Fidelity
from embed_onnx.engine.dtypes import DType
from embed_onnx_export.report import sections
from embed_onnx_export.report.card import Card, Row, Scores
from embed_onnx_export.report.markdown import literal, table
from embed_onnx_export.report.sections import points

FORMULAS = (
    "Spearman: of cosines with people's scores. nDCG and recall: as trec_eval has them. Queries and "
    "documents have the prompts of `encode_query` and `encode_document`."
)

TYPES: dict[DType, str] = {
    "float32": "float32",
    "float16": "float16",
    "int8": "int8, in the artifact's ranges",
    "uint8": "uint8, compared without taking 128 away",
    "ubinary": "binary and ubinary, by Hamming distance",
}
NO_RANGES = " This artifact has no ranges for int8 and uint8: export it again."


def markdown(card: Card) -> str:
    """The whole report."""
    return sections.report(
        card,
        opening=[advice(card), *sections.caution(card), table(*summary(card), numbers=True), _data(card)],
        losses={"Fewer dimensions": _cuts(card), "Smaller numbers": _types(card)},
        model=_model(card),
        how=sections.how(card, "made-up texts of mixed length", FORMULAS),
        cosines=card.artifacts[card.precision].cosines,
    )


def advice(card: Card) -> str:
    """Which precision to pick on this machine, and why."""
    more = "" if sections.judged(card) else " `--sts` and `--beir` measure it on texts of your own."
    quality = sections.quality(card.original, card.artifacts, _scores)
    return sections.advice(card, quality, more)


def summary(card: Card) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    lines: dict[str, Callable[[Row], str]] = {
        "tokens a second": lambda row: f"{row.speed.median:,.0f}",
        "model, MB": lambda row: f"{row.megabytes:.1f}",
        "cosine to the original: mean": lambda row: f"{row.parity.cosine_mean:.5f}",
        "cosine to the original: least": lambda row: f"{row.parity.cosine_min:.5f}",
        "short texts, cosine: mean": lambda row: _cosine(row.parity.short, "cosine_mean"),
        "short texts, cosine: least": lambda row: _cosine(row.parity.short, "cosine_min"),
        "nearest ten that are the original's, %": lambda row: f"{100 * row.scores[0].neighbours:.1f}",
    }
    lines |= sections.ranks(card.measured, _scores)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return sections.cells(sections.ways(card.original, card.artifacts, card), lines)


def _scores(row: Row) -> Scores:
    return row.scores[0]


def _cosine(fidelity: Fidelity | None, name: str) -> str:
    return "" if fidelity is None else f"{getattr(fidelity, name):.5f}"


def _data(card: Card) -> str:
    """What the figures of the first table stand for."""
    measured, model = card.measured, card.model
    lines = [
        f"Cosines are over {card.original.parity.texts} texts written for this; short texts are "
        f"{measured.parity - card.original.parity.texts} more, of fewer than {SHORT_TOKENS} tokens.",
        f"Nearest neighbours are looked for among {literal(measured.neighbours)}, by {model.similarity}.",
    ]
    lines += sections.task(card)
    return " ".join(lines)


def _cuts(card: Card) -> str:
    """What is lost with fewer dimensions, by the original and by this artifact."""
    pairs = list(zip(card.original.scores, card.artifacts[card.precision].scores, strict=True))
    present = sections.figures(pairs[0][0])
    lines = [
        [
            str(expected.dimensions),
            f"{4 * expected.dimensions:,}",
            *(f"{points(getattr(expected, name))} / {points(getattr(actual, name))}" for name in present),
        ]
        for expected, actual in pairs
    ]
    words = (
        "With `dimensions` in a request, a vector is cut to its first numbers and normalised again. Figures "
        f"are of the original / of {card.precision}; neighbours are those that the original finds with all."
    )
    head = ["dimensions", "bytes as float32", *present.values()]
    return f"{words}\n\n{table(head, lines, numbers=True)}"


def _types(card: Card) -> str:
    """What is lost with smaller numbers, by this artifact."""
    present = sections.figures(card.types[0].scores)
    lines = [
        [TYPES[row.dtype], f"{row.bytes:,}", *(points(getattr(row.scores, name)) for name in present)]
        for row in card.types
    ]
    absent = "" if any(row.dtype == "int8" for row in card.types) else NO_RANGES
    words = (
        f"Vectors of {card.precision} as `output_dtype` has them in a request. Neighbours are those that the "
        f"original finds in float32.{absent}"
    )
    return f"{words}\n\n{table(['type', 'bytes', *present.values()], lines, numbers=True)}"


def _model(card: Card) -> dict[str, str]:
    model = card.model
    return {
        "dimensions": f"{model.dimensions:,}",
        "pooling": literal(", ".join(model.pooling)),
        "prompts": sections.prompts(model.prompts),
        "default prompt": literal(model.default_prompt or "none"),
    }
