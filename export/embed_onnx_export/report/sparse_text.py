"""report.md of a sparse model, for people. First what to pick and why, then what was measured."""

from collections.abc import Callable
from functools import partial

from embed_onnx.artifact.parity import SHORT_TOKENS
from embed_onnx_export import sparse_parity
from embed_onnx_export.report import sections
from embed_onnx_export.report.markdown import literal, table
from embed_onnx_export.report.sections import points
from embed_onnx_export.report.sparse_card import SparseCard, SparseRow, SparseScores

FORMULAS = (
    "Spearman: of products of sparse vectors with people's scores, or of cosines where the model's makers "
    "rank by these. nDCG and recall: as trec_eval has them. Queries and documents are embedded as "
    "`encode_query` and `encode_document` of SparseEncoder do it."
)


def markdown(card: SparseCard) -> str:
    """The whole report."""
    return sections.report(
        card,
        opening=[advice(card), *sections.caution(card), table(*summary(card), numbers=True), _data(card)],
        losses={"Fewer weights": _cuts(card)},
        model=_model(card),
        how=sections.how(card, "made-up texts of mixed length, as documents", FORMULAS),
        cosines=card.artifacts[card.precision].cosines,
    )


def advice(card: SparseCard) -> str:
    """Which precision to pick on this machine, and why."""
    more = "" if sections.judged(card) else " `--sts` and `--beir` measure it on texts of your own."
    quality = sections.quality(card.original, card.artifacts, _scores)
    return sections.advice(card, quality, more)


def summary(card: SparseCard) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    lines: dict[str, Callable[[SparseRow], str]] = {
        "tokens a second": lambda row: f"{row.speed.median:,.0f}",
        "texts a second": lambda row: sections.texts_a_second(card, row),
        "model, MB": lambda row: f"{row.megabytes:.1f}",
        "cosine to the original: mean": lambda row: f"{row.parity.cosine_mean:.5f}",
        "cosine to the original: least": lambda row: f"{row.parity.cosine_min:.5f}",
        f"greatest {sparse_parity.TOP} weights that are the original's, %": (
            lambda row: points(row.parity.top_terms)
        ),
        "weights, largest difference": lambda row: f"{row.parity.weight_difference:.5f}",
        "nearest ten that are the original's, %": lambda row: f"{100 * row.scores[0].neighbours:.1f}",
    }
    lines |= sections.ranks(card.measured, _scores)
    for kind in card.original.scores[0].active_dims:
        lines[f"weights of a {kind}, mean"] = partial(_active_of, kind)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return sections.cells(sections.ways(card.original, card.artifacts, card), lines)


def _scores(row: SparseRow) -> SparseScores:
    return row.scores[0]


def _active_of(kind: str, row: SparseRow) -> str:
    return _active(_scores(row), kind)


def _active(scores: SparseScores, kind: str) -> str:
    return f"{scores.active_dims[kind]:.1f}"


def _data(card: SparseCard) -> str:
    """What the figures of the first table stand for."""
    measured, model = card.measured, card.model
    short = measured.parity - card.original.parity.texts
    lines = [
        f"Cosines, greatest weights and differences are over {card.original.parity.texts} texts written for "
        f"this; {short} more are of fewer than {SHORT_TOKENS} tokens, which are only in the drawing below.",
        f"Nearest neighbours are looked for among {literal(measured.neighbours)}, by {model.similarity}.",
    ]
    lines += sections.task(card)
    return " ".join(lines)


def _cuts(card: SparseCard) -> str:
    """What is lost with fewer weights, by the original and by this artifact."""
    pairs = list(zip(card.original.scores, card.artifacts[card.precision].scores, strict=True))
    present = sections.figures(pairs[0][0])
    kinds = pairs[0][1].active_dims
    lines = [
        [
            "all" if actual.max_active_dims is None else str(actual.max_active_dims),
            *(_active(actual, kind) for kind in kinds),
            f"{actual.bytes:,.0f}",
            *(f"{points(getattr(expected, name))} / {points(getattr(actual, name))}" for name in present),
        ]
        for expected, actual in pairs
    ]
    words = (
        "With `max_active_dims` in a request, so many of a text's greatest weights are kept, of queries and "
        f"documents. Weights and bytes (8 a weight) are means of {card.precision}. Figures are of the "
        f"original / of {card.precision}, and neighbours those that the original finds with all weights."
    )
    stored = "document" if "document" in kinds else "text"
    head = ["max_active_dims", *(f"weights of a {kind}" for kind in kinds), f"bytes of a {stored}"]
    return f"{words}\n\n{table([*head, *present.values()], lines, numbers=True)}"


def _model(card: SparseCard) -> dict[str, str]:
    model = card.model
    return {
        "entries": f"{model.entries:,}",
        "pooling": f"{model.pooling}, {literal(model.activation)}",
        "queries": "by a table, without inference" if model.query_table else "as documents are",
        "prompts": sections.prompts(model.prompts),
        "default prompt": literal(model.default_prompt or "none"),
    }
