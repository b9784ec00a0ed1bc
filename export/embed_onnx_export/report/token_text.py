"""report.md of a model of token vectors, for people. First what to pick and why, then what was measured."""

from collections.abc import Callable

from embed_onnx_export.report import sections
from embed_onnx_export.report.markdown import literal, table
from embed_onnx_export.report.sections import points
from embed_onnx_export.report.token_card import TokenCard, TokenRow, TokenScores

FORMULAS = (
    "MaxSim: the sum over a query's tokens of the greatest product with a token of the document. Ranks: "
    "Spearman's correlation of all documents of a query, a mean over queries. nDCG and recall: as trec_eval "
    "has them. Queries and documents are embedded as `encode_query` and `encode_document` of "
    "MultiVectorEncoder do it."
)


def markdown(card: TokenCard) -> str:
    """The whole report."""
    return sections.report(
        card,
        opening=[advice(card), *sections.caution(card), table(*summary(card), numbers=True), _data(card)],
        losses={"Smaller numbers": _types(card)},
        model=_model(card),
        how=sections.how(card, "made-up texts of mixed length, as documents", FORMULAS),
        cosines=card.artifacts[card.precision].cosines,
    )


def advice(card: TokenCard) -> str:
    """Which precision to pick on this machine, and why."""
    more = "" if sections.judged(card) else " `--beir` measures it on texts of your own."
    quality = sections.quality(card.original, card.artifacts, _scores)
    return sections.advice(card, quality, more)


def summary(card: TokenCard) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    lines: dict[str, Callable[[TokenRow], str]] = {
        "tokens a second": lambda row: f"{row.speed.median:,.0f}",
        "texts a second": lambda row: sections.texts_a_second(card, row),
        "model, MB": lambda row: f"{row.megabytes:.1f}",
        "token vectors, cosine to the original: mean": lambda row: f"{row.parity.cosine_mean:.5f}",
        "token vectors, cosine to the original: least": lambda row: f"{row.parity.cosine_min:.5f}",
        "best documents that are the original's, %": lambda row: points(row.scores.agreement),
        "nearest ten that are the original's, %": lambda row: points(row.scores.neighbours),
        "ranks, correlation with the original's": lambda row: f"{row.scores.rank_correlation:.5f}",
    }
    lines |= sections.ranks(card.measured, _scores)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return sections.cells(sections.ways(card.original, card.artifacts, card), lines)


def _scores(row: TokenRow) -> TokenScores:
    return row.scores


def _data(card: TokenCard) -> str:
    """What the figures of the first table stand for."""
    measured = card.measured
    lines = [
        f"Cosines are of single token vectors, over {measured.parity} texts written for this.",
        f"Documents are looked for among {literal(measured.neighbours)}, by MaxSim: a query has "
        f"{measured.query_vectors:.1f} vectors and a document {measured.document_vectors:.1f}, as means.",
    ]
    lines += sections.task(card)
    return " ".join(lines)


def _types(card: TokenCard) -> str:
    """What is lost with smaller numbers, by this artifact."""
    present = sections.figures(card.types[0].scores)
    lines = [
        [
            row.dtype,
            f"{row.bytes:,.0f}",
            points(row.scores.agreement),
            *(points(getattr(row.scores, name)) for name in present),
        ]
        for row in card.types
    ]
    words = (
        f"Vectors of {card.precision} as `output_dtype` has them in a request, of queries and documents. The "
        "best documents are those that the original finds in float32."
    )
    head = ["type", "bytes of a document, mean", "best document, %", *present.values()]
    return f"{words}\n\n{table(head, lines, numbers=True)}"


def _model(card: TokenCard) -> dict[str, str]:
    model = card.model
    expanded = "" if model.expanded_tokens is None else f", filled up to {model.expanded_tokens}"
    return {
        "dimensions of a token": f"{model.dimensions:,}",
        "scores": literal(model.similarity),
        "most tokens of a query": f"{model.query_tokens:,}{expanded}",
        "most tokens of a document": f"{model.document_tokens:,}",
        "prompts": sections.prompts(model.prompts),
    }
