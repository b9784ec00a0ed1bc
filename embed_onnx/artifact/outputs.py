"""What comes out of a model: a struct for each kind of output, of which ``Output`` is the union."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from embed_onnx.artifact.schema import Positive, Record

PoolingMode = Literal["mean", "cls", "max", "lasttoken", "mean_sqrt_len_tokens", "weightedmean"]
"""The modes of Sentence-Transformers, under its names."""

Activation = Literal["sigmoid", "softmax", "none"]
"""From logits to scores: of each label by itself, of all labels together, or the logits themselves."""

SparsePooling = Literal["max", "sum"]
"""Over the tokens of a text, of what becomes of the score of an entry of the vocabulary."""

SparseActivation = Literal["relu", "log1p_relu"]
"""Of a score x: log(1 + max(x, 0)), or log(1 + log(1 + max(x, 0)))."""


class Dense(Record, frozen=True, kw_only=True, tag_field="kind", tag="dense"):
    """One vector a text: states are pooled, go through the head if there is one, and are normalised and cut.

    ``pooling`` takes the states of all tokens, without those of a prompt unless ``include_prompt``; several
    modes follow one another. ``dimensions`` is the length of the vector, and ``matryoshka`` are those that
    the model was trained to be cut to.
    """

    dimensions: Positive
    matryoshka: tuple[Positive, ...] = ()
    pooling: Annotated[tuple[PoolingMode, ...], msgspec.Meta(min_length=1)]
    include_prompt: bool = True
    normalize: bool


class Scores(Record, frozen=True, kw_only=True, tag_field="kind", tag="scores"):
    """A logit for each label, of a pair of texts or of one: states are pooled and go through the head.

    ``activation`` is what makes scores of the logits, as the checkpoint has it. ``pairs``: its tokenizer puts
    pairs together in a way that is served; otherwise it takes single texts alone. ``max_tokens`` of the model
    is that of a whole pair.
    """

    labels: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    activation: Activation
    pooling: Annotated[tuple[PoolingMode, ...], msgspec.Meta(min_length=1)]
    pairs: bool = True


class Sparse(Record, frozen=True, kw_only=True, tag_field="kind", tag="sparse"):
    """A weight for each of some entries of the vocabulary, as SPLADE has them: see ``SparseActivation``.

    ``head.onnx`` takes the states of a text's tokens. Where ``pooling`` is "max", it gives the greatest score
    of each entry, of which the weight is made, as both grow together; where it is "sum", the weights.

    ``query_tokens``: the model has another way for queries, which takes no inference. A query of at most so
    many tokens, without special ones, has the weights of its tokens in ``query_weights.npy``, float32
    [entries].
    """

    entries: Positive
    pooling: SparsePooling
    activation: SparseActivation
    query_tokens: Positive | None = None


class Expansion(Record, frozen=True, kw_only=True):
    """What is put after a text that has fewer than ``length`` tokens, so that it has as many.

    ``attended``: the text's tokens attend to them; otherwise they attend to the text, and nothing to them.
    """

    token_id: Annotated[int, Meta(ge=0)]
    length: Positive
    attended: bool


Similarity = Literal["maxsim", "meanmaxsim"]
"""The sum over a query's tokens of the maximum over a document's, of their products; or the mean of those."""


class TokenRole(Record, frozen=True, kw_only=True):
    """How a query or a document is read, and which of its tokens have vectors.

    Those of ``skipped_ids`` have none, and if there are ``kept_ids`` no other token has. ``max_tokens`` is
    the limit of a text with its prompt.
    """

    max_tokens: Positive
    expansion: Expansion | None = None
    skipped_ids: tuple[int, ...] = ()
    kept_ids: tuple[int, ...] | None = None


class TokenVectors(Record, frozen=True, kw_only=True, tag_field="kind", tag="token_vectors"):
    """A vector a token, as ColBERT has them: states go through the head if there is one, and are normalised.

    A text is a query where the request says so, and otherwise a document; the prompts of these names are put
    before it.
    """

    dimensions: Positive
    normalize: bool
    query: TokenRole
    document: TokenRole
    similarity: Similarity = "maxsim"


Output = Dense | Scores | Sparse | TokenVectors
"""What comes out of a model, by ``kind``: the union of a struct for each kind."""

DOES: dict[type[Output], str] = {
    Dense: "makes dense vectors",
    Scores: "scores texts",
    Sparse: "makes sparse vectors",
    TokenVectors: "makes token vectors",
}
"""What a model of each kind does, in words."""
