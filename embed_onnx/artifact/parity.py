"""How far an artifact is from its float32 original: what export measures, of each kind of output."""

from typing import Annotated

from msgspec import Meta

from embed_onnx.artifact.schema import Record

SHORT_TOKENS = 5
"""A text of fewer, special tokens included, is short: one rounding error is a large share of it."""


class Fidelity(Record, frozen=True, kw_only=True):
    """Cosines to the float32 original of so many texts."""

    texts: Annotated[int, Meta(description="How many texts were judged.")]
    cosine_mean: Annotated[float, Meta(description="The mean cosine to the float32 original.")]
    cosine_min: Annotated[float, Meta(description="The least of them.")]


class Parity(Fidelity, frozen=True, kw_only=True):
    """Cosine of an artifact to its float32 original, measured at export through this runtime.

    Its own figures are over texts of ``SHORT_TOKENS`` or more; ``short`` are those of the others, None where
    there was none. Of artifacts before format 3, ``texts`` counts short ones too, and nothing else does.
    """

    short: Annotated[
        Fidelity | None, Meta(description="Of texts of fewer than five tokens; null where there was none.")
    ] = None


class ScoreParity(Record, frozen=True, kw_only=True):
    """How far an artifact's logits are from its original's over ``items``, measured as Parity is.

    Items are pairs of texts, and single texts of a model that takes no pairs or has several labels.

    ``logit_difference`` and ``score_difference`` are the largest of any item and label; scores are the
    sigmoid of the logit where there is one label, and the softmax where there are several. ``spearman`` is
    the correlation of the ranks of the items, and ``pearson`` of their logits, of the label where it is
    least.
    """

    items: Annotated[int, Meta(description="How many pairs of texts, or single texts, were judged.")]
    logit_difference: Annotated[
        float, Meta(description="The largest difference of a logit to the float32 original.")
    ]
    score_difference: Annotated[float, Meta(description="The largest difference of a score.")]
    spearman: Annotated[
        float, Meta(description="The correlation of the ranks of the items, of the label where it is least.")
    ]
    pearson: Annotated[float, Meta(description="The correlation of their logits, likewise.")]


class SparseParity(Fidelity, frozen=True, kw_only=True):
    """How far an artifact's sparse vectors are from its original's, measured as Parity is."""

    top_terms: Annotated[
        float, Meta(description="Of the 20 greatest weights of a text, the mean share that both have.")
    ]
    weight_difference: Annotated[float, Meta(description="The largest difference of a weight.")]


class TokenParity(Fidelity, frozen=True, kw_only=True):
    """How far an artifact's token vectors are from its original's, measured as Parity is.

    Cosines are those of single token vectors. Scores are MaxSim of queries with documents.
    """

    spearman: Annotated[
        float, Meta(description="The correlation of the ranks of a query's documents, the mean of queries.")
    ]
    score_difference: Annotated[float, Meta(description="The largest difference of a score.")]


Measured = Parity | ScoreParity | SparseParity | TokenParity
