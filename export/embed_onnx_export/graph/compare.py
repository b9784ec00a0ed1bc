"""Whether a float32 graph computes the states that its original does.

A graph is traced with one short input, and what Python decided by its length is frozen into it; a graph that
is written from weights may compute another architecture. So each is run beside its original, at lengths near
those where models change what they do. That passes an architecture or refuses it, whatever its name.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.int8 import Floats

Integers = NDArray[np.int64]
Original = Callable[[Integers, Integers], Floats]
"""From token ids and a mask, [batch, tokens], to states [batch, tokens, width]."""
Input = tuple[Integers, Integers]
"""Token ids and a mask, [batch, tokens]."""

Result = Callable[[Any], Any]
"""From what a model of transformers returns to float states, [batch, tokens, width]."""

COMPARED_TOKENS = (1, 2, 7, 24, 128, 512, 1500)
"""The longest is beyond the windows of local attention that embedders use, and beyond the traced length."""
LONGEST_TOKENS = 8192
"""Of one more text, where neither side keeps the scores of attention, which take memory by its square."""
PADDED_TOKENS = 24
"""Of one more text, which holds padding ids: some models count positions by them."""


def token_states(output: Any) -> Any:
    """The states of a text's tokens."""
    return output.last_hidden_state


def logits(output: Any) -> Any:
    """The logits of a model with a classifier, as the one state of a text."""
    return output.logits[:, None]


def inputs(vocabulary: int, padding_id: int | None, max_tokens: int) -> Iterator[Input]:
    """A text of each length, without padding ids; then one that holds some, as a text may."""
    words = _words(vocabulary, padding_id)
    for length in sorted({min(length, max_tokens) for length in COMPARED_TOKENS}):
        yield _alone(np.random.default_rng(length).choice(words, (1, length)))
    if padding_id is not None:
        ids = np.random.default_rng(0).choice(words, (1, min(PADDED_TOKENS, max_tokens)))
        ids[:, ::3] = padding_id
        yield _alone(ids)


def longest(vocabulary: int, padding_id: int | None, max_tokens: int) -> list[Input]:
    """A text of the limit or of ``LONGEST_TOKENS``, unless ``inputs`` has one that is as long."""
    length = min(max_tokens, LONGEST_TOKENS)
    if length <= COMPARED_TOKENS[-1]:
        return []
    return [_alone(np.random.default_rng(length).choice(_words(vocabulary, padding_id), (1, length)))]


def _words(vocabulary: int, padding_id: int | None) -> Integers:
    return np.array([number for number in range(vocabulary) if number != padding_id])


def together(texts: list[Input]) -> Input:
    """Texts of one row each as one batch, padded with zeros and masked."""
    shape = (len(texts), max(ids.shape[1] for ids, _ in texts))
    ids, mask = np.zeros(shape, np.int64), np.zeros(shape, np.int64)
    for row, (text, attended) in enumerate(texts):
        ids[row, : text.shape[1]], mask[row, : text.shape[1]] = text[0], attended[0]
    return ids, mask


def fault(path: Path, original: Original, compared: Iterator[Input] | list[Input], tolerance: float) -> str:
    """What is wrong with the graph in a file, as the end of a sentence about it; empty if nothing is.

    ``tolerance`` is of the largest state of an input.

    Raises:
        ExportError: The original gives states that are not finite.
    """
    graph = onnx_file.session(path)
    for ids, mask in compared:
        length = ids.shape[1]
        try:
            actual = onnx_file.states(graph, ids, mask)
        except Exception:
            return f"fails for {length} tokens, because what PyTorch computes for it depends on the length"
        expected = original(ids, mask)
        kept = mask[:, : expected.shape[1]] != 0  # of logits, there is one state of a text
        if not np.isfinite(expected[kept]).all():
            raise ExportError(
                f"the original gives states of {length} tokens that are not finite, so its weights may be "
                "damaged; get the checkpoint again"
            )
        apart = float(np.abs(actual - expected)[kept].max())
        limit = tolerance * float(np.abs(expected[kept]).max())
        if not apart <= limit:  # so that NaN does not pass
            distance = f"{apart:.2g} from PyTorch's, and the limit is {limit:.2g}"
            return f"gives states of {length} tokens that are {distance}"
    return ""


def of_pytorch(model: Any, result: Result = token_states) -> Original:
    """A model of transformers; ``result`` takes the states out of what it returns."""
    import torch  # noqa: PLC0415 - where there is none, graphs are compared with graphs

    names = inspect.signature(model.forward).parameters

    def states(ids: Integers, mask: Integers) -> Floats:
        arrays = {"input_ids": ids, "attention_mask": mask}
        with torch.no_grad():
            output = model(**{name: torch.tensor(array) for name, array in arrays.items() if name in names})
        hidden: Floats = result(output).to(torch.float32).numpy()
        return hidden

    return states


def of_graph(path: Path) -> Original:
    """A graph that was compared with PyTorch before."""
    graph = onnx_file.session(path)
    return lambda ids, mask: onnx_file.states(graph, ids, mask)


def _alone(ids: Integers) -> Input:
    return ids, np.ones_like(ids)
