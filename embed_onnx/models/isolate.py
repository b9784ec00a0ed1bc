"""Which texts of a batch fail alone, so that the others have their vectors."""

from collections.abc import Callable, Sequence

import msgspec

from embed_onnx.errors import EmbedError, InferenceFailed, InvalidRequest
from embed_onnx.models.model import Embedded, Model
from embed_onnx.models.options import Options


class Isolated(msgspec.Struct, frozen=True):
    """What became of a batch: the vectors of its other texts, in their order, and the failures by place."""

    embedded: Embedded
    failures: dict[int, EmbedError]


def embed(model: Model, texts: Sequence[str], options: Options) -> Isolated:
    """The vectors of texts; one that the model does not take, or fails on, fails alone. Blocks.

    Raises:
        InvalidRequest: It is not the texts: an option is wrong.
        InferenceFailed: The model fails on each of several texts.
    """
    failures: dict[int, EmbedError] = {}
    try:
        return Isolated(model.embed_now(texts, options), failures)
    except InvalidRequest:
        failures = _failures(texts, lambda text: model.tokenize([text], options))
    except InferenceFailed:
        pass  # perhaps a lane died, and the texts are right: try again
    places = [place for place in range(len(texts)) if place not in failures]
    rest = [texts[place] for place in places]
    try:
        return Isolated(model.embed_now(rest, options), failures)
    except InferenceFailed:
        failed = _failures(rest, lambda text: model.embed_now([text], options))
        if len(failed) == len(rest) > 1:
            raise  # it is not the texts
    failures |= {places[place]: err for place, err in failed.items()}
    rest = [text for place, text in enumerate(texts) if place not in failures]
    return Isolated(model.embed_now(rest, options), failures)


def _failures(texts: Sequence[str], trial: Callable[[str], object]) -> dict[int, EmbedError]:
    failures: dict[int, EmbedError] = {}
    for place, text in enumerate(texts):
        try:
            trial(text)
        except (InvalidRequest, InferenceFailed) as err:
            failures[place] = err
    return failures
