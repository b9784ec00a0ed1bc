"""report.md of a model that scores, for people. First what to pick and why, then what was measured."""

from collections.abc import Callable

from embed_onnx_export.report import sections
from embed_onnx_export.report.markdown import literal, table
from embed_onnx_export.report.score_card import ScoreCard, ScoreRow
from embed_onnx_export.report.sections import LARGEST_LOSS, Quality, points

NAMES = {"ndcg": "nDCG@10", "spearman": "Spearman", "average_precision": "average precision"}
FORMULAS = (
    "Spearman and average precision: of logits with people's scores. nDCG and recall: as trec_eval has them. "
    "The first stage ranks by cosine, with the prompts of `encode_query` and `encode_document`; what it "
    "leaves out, no reranker sees."
)


def markdown(card: ScoreCard) -> str:
    """The whole report."""
    return sections.report(
        card,
        opening=[advice(card), *sections.caution(card), table(*summary(card), numbers=True), _data(card)],
        losses={},
        model=_model(card),
        how=sections.how(card, "made-up items of mixed length", FORMULAS),
    )


def advice(card: ScoreCard) -> str:
    """Which precision to pick on this machine, and why."""
    losses = _losses(card)
    more = " `--pairs` and `--beir` measure it on texts of your own."
    if losses or not _ranks(card):
        more = ""
    if card.refused is not None:
        return sections.advice(card, None, more)
    parity = card.artifacts["int8"].parity
    words = [sections.change(NAMES[name], loss) for name, loss in losses.items()]
    words.append(f"its logits correlate with the original's by {parity.pearson:.4f}")
    quality = Quality(max(losses.values(), default=0.0) <= LARGEST_LOSS, ", ".join(words))
    return sections.advice(card, quality, more)


def _ranks(card: ScoreCard) -> bool:
    """Whether it is a reranker, which datasets can judge."""
    return card.model.pairs and len(card.model.labels) == 1


def _losses(card: ScoreCard) -> dict[str, float]:
    """What int8 loses of each figure that was measured, in points."""
    int8 = card.artifacts.get("int8")
    losses = {name: sections.loss(getattr(card.original, name), getattr(int8, name, None)) for name in NAMES}
    return {name: loss for name, loss in losses.items() if loss is not None}


def summary(card: ScoreCard) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    measured = card.measured
    lines: dict[str, Callable[[ScoreRow], str]] = {
        "tokens a second": lambda row: f"{row.speed.median:,.0f}",
        "model, MB": lambda row: f"{row.megabytes:.1f}",
        "ranks, correlation with the original's": lambda row: f"{row.parity.spearman:.5f}",
        "logits, correlation with the original's": lambda row: f"{row.parity.pearson:.5f}",
        "scores, largest difference": lambda row: f"{row.parity.score_difference:.5f}",
    }
    if card.original.agreement is not None:
        lines["best labels that are the original's, %"] = lambda row: points(row.agreement)
    if measured.pairs is not None:
        name = literal(measured.pairs)
        lines[f"Spearman x 100, {name}"] = lambda row: points(row.spearman)
        if card.original.average_precision is not None:
            lines[f"average precision x 100, {name}"] = lambda row: points(row.average_precision)
        lines[f"scores, largest difference, {name}"] = lambda row: f"{row.score_difference:.5f}"
    if measured.retrieval is not None:
        lines[f"nDCG@10 x 100, {literal(measured.retrieval)}"] = lambda row: points(row.ndcg)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return sections.cells(sections.ways(card.original, card.artifacts, card), lines)


def _data(card: ScoreCard) -> str:
    """What the figures of the first table stand for."""
    kind = "pairs of texts" if card.model.pairs else "texts"
    lines = [f"Correlations are over {card.measured.parity} {kind} written for this.", *sections.task(card)]
    if card.ranking is not None:
        ranking = card.ranking
        lines.append(
            f"Ranked are the {ranking.candidates} best of {literal(ranking.first_stage)} for each query, "
            f"whose own order has nDCG@10 x 100 of {points(ranking.ndcg)}; {points(ranking.recall)} % of the "
            "answers are among them."
        )
    return " ".join(lines)


def _model(card: ScoreCard) -> dict[str, str]:
    model = card.model
    return {
        "labels": literal(", ".join(model.labels)),
        "activation": model.activation,
        "takes pairs": "yes" if model.pairs else "no",
    }
