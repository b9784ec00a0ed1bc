"""The sessions of one model. The only file that imports onnxruntime."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from embed_onnx.artifact.manifest import HEAD, Facts
from embed_onnx.engine import native
from embed_onnx.engine.native import Kernels
from embed_onnx.engine.outputs.finish import States
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import ArtifactError, InferenceFailed
from embed_onnx.system import stop

ort.set_default_logger_severity(4)  # errors come as exceptions; warnings are of no use to a user

PACK_TOKENS = {"amx": 192, "avx512vnni": 192, "avxvnni": 192}
"""By instruction set, the most tokens of several sequences in one run; more are hardly faster, and others
wait longer for it."""
PACK_TOKENS_OTHERS = 96
"""The same for sets without VNNI, which take twice as long for a token."""
PACK_TOKENS_STATIC = 1024
"""The same for a table of embeddings, where that many take less than a millisecond."""

KEPT_TOKENS = 512
"""The most tokens of a run by standard operators whose memory is kept for the next one. That of a longer run
goes back to the system, which takes a few percent of its time."""

MASK = "attention_mask"
TYPES = "token_type_ids"
"""The input of models that know first texts of pairs from second ones."""


class Encoder:
    """An ONNX Runtime session from token ids to states, and that of the head, if there is one. Thread-safe.

    A call uses its caller's core; the kernels use the idle ones as well if nobody else calls.

    With kernels for all of a model, sequences run together in one row, without padding. Otherwise, each runs
    by itself: the shape of a matrix product decides the order of its sums, so a text's last bits would
    depend on its neighbours otherwise. Looking up embeddings has no sums, and heads always run alone.

    ``path`` is that of model.onnx, beside which its head lies if it has one.
    """

    def __init__(self, path: Path, manifest: Facts, kernels: Kernels | None = None) -> None:
        kernels = native.find() if kernels is None else kernels
        self.kernels = kernels.of(manifest)
        """What runs the model."""
        by_kernels = self.kernels.library is not None and manifest.packed
        self._by_operators = not by_kernels and not manifest.static
        """Whether a run goes through many standard operators; a look-up is one of them."""
        packed = PACK_TOKENS.get(self.kernels.instruction_set, PACK_TOKENS_OTHERS) if by_kernels else 0
        self.pack_tokens = PACK_TOKENS_STATIC if manifest.static else packed
        """The most tokens of several sequences in one pack; 0: one sequence a pack."""
        self._session = self._open(path)
        self._inputs = [argument.name for argument in self._session.get_inputs()]
        self._head = self._open(path.with_name(HEAD)) if manifest.head else None

    def states(self, pack: Sequence[TokenSequence]) -> States:
        """The states of the tokens of a pack, float32 [tokens, width], one sequence after the other.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        ids = np.concatenate([np.asarray(sequence.ids, np.int64) for sequence in pack])
        arrays = {"input_ids": ids, MASK: _mask(pack)}
        if TYPES in self._inputs:
            arrays[TYPES] = _types(pack, ids)
        try:
            inputs = {name: arrays[name][None] for name in self._inputs}
            states: States = self._run(self._session, inputs, tokens=len(ids))[0]
        except Exception as err:
            raise InferenceFailed(f"the model failed on {len(ids)} tokens: {err}") from err
        return states

    def through_head(self, pooled: Vector) -> Vector:
        """One pooled vector, [width], through the head; as it is where there is none.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        if self._head is None:
            return pooled
        try:
            vector: Vector = self._run(self._head, {"pooled": pooled[None]})[0]
        except Exception as err:
            raise InferenceFailed(f"the head failed on a vector of {len(pooled)} numbers: {err}") from err
        return vector

    def through_head_by_token(self, states: States) -> Vector:
        """The states of one sequence, [tokens, width], through the head; as they are where there is none.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        if self._head is None:
            return states
        try:
            return self._run(self._head, {"states": states}, tokens=len(states))
        except Exception as err:
            raise InferenceFailed(f"the head failed on {len(states)} tokens: {err}") from err

    def through_vocabulary(self, states: States, pack: Sequence[TokenSequence]) -> Vector:
        """A number for each entry of the vocabulary, [sequences, entries], from the states of a pack.

        Raises:
            InferenceFailed: ONNX Runtime failed.
        """
        assert self._head is not None  # noqa: S101 - a sparse model has one
        try:
            inputs: dict[str, NDArray[Any]] = {"states": states[None], MASK: _mask(pack)[None]}
            rows: Vector = self._run(self._head, inputs, tokens=len(states))
        except Exception as err:
            raise InferenceFailed(f"the head failed on {len(states)} tokens: {err}") from err
        return rows

    def _open(self, path: Path) -> ort.InferenceSession:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        # Between the many buffers of operators, malloc leaves gaps that add up to a gigabyte. The kernels
        # have few buffers, and the arena would keep them.
        options.enable_cpu_mem_arena = self._by_operators
        if self.kernels.library is not None:
            self.kernels.choose()
            options.register_custom_ops_library(str(self.kernels.library))
        try:
            return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as err:  # onnxruntime's exceptions share no base class
            raise ArtifactError(f"{path} cannot be loaded: {err}; export the model again") from None

    def _run(
        self, session: ort.InferenceSession, inputs: Mapping[str, NDArray[Any]], *, tokens: int = 1
    ) -> NDArray[np.float32]:
        """The one output of a session, [batch, ...]."""
        options = ort.RunOptions()
        if self._by_operators and tokens > KEPT_TOKENS:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        return run(session, inputs, options)


def run(
    session: ort.InferenceSession, inputs: Mapping[str, NDArray[Any]], options: ort.RunOptions
) -> NDArray[np.float32]:
    """The one output of a session, [batch, ...]; ends after the current node if the thread is to stop."""

    def end() -> None:
        options.terminate = True

    with stop.ended_by(end):
        (output,) = session.run(None, inputs, options)
    array: NDArray[np.float32] = output
    return array


def _mask(pack: Sequence[TokenSequence]) -> NDArray[np.int64]:
    """The sequence of each token of a pack, [tokens]: equal numbers are one sequence.

    The negative of a number is a token of its sequence that no other attends to.
    """
    mask, end = np.repeat(np.arange(1, len(pack) + 1), [len(sequence) for sequence in pack]), 0
    for sequence in pack:
        end += len(sequence)
        if sequence.unattended:
            mask[end - sequence.unattended : end] *= -1
    return mask


def _types(pack: Sequence[TokenSequence], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """The type of each token of a pack, [tokens]: 1 from where a second text begins, and 0 before."""
    types, end = np.zeros_like(ids), 0
    for sequence in pack:
        start, end = end, end + len(sequence)
        if sequence.second is not None:
            types[start + sequence.second : end] = 1
    return types
