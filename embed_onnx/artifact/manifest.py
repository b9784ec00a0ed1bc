"""manifest.json: all that serving knows about a model, and all it may ask.

``export`` writes it once; every start reads it. A fact needed while serving is a field here;
nothing is guessed from the names of files. An artifact is a folder:

    model.onnx       input_ids, attention_mask [batch, tokens] -> token states [batch, tokens, width]; of some
                     models that score pairs, token_type_ids as well
    model.onnx.data  the weights of a model of more than 2 GB
    head.onnx        what comes after the pooling, if anything: pooled [1, width] -> vector [1, dimensions],
                     or [1, labels] of a model that scores; of a sparse model, states [batch, tokens, width],
                     attention_mask -> a number for each entry [sequences, entries]; of a model of token
                     vectors, states of one text [tokens, width] -> vectors [tokens, dimensions]
    query_weights.npy  of a sparse model whose queries take no inference: a weight for each entry
    tokenizer.json   the tokenizer, as the ``tokenizers`` library saves it
    ranges.json      of a model of vectors: how large their numbers are, for int8
    manifest.json    this file
    LICENSE          where the source has one
"""

import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from msgspec.structs import replace

from embed_onnx.artifact.outputs import (
    DOES,
    Dense,
    Output,
    PoolingMode,
    Scores,
    Sparse,
    TokenVectors,
)
from embed_onnx.artifact.parity import (
    Measured,
    Parity,
    ScoreParity,
    SparseParity,
    TokenParity,
)
from embed_onnx.artifact.schema import Positive, Record
from embed_onnx.errors import ArtifactError, TaskNotSupported

FORMAT = 8
"""Raised by one whenever an older runtime could misread a newer folder."""

MANIFEST = "manifest.json"
MODEL: Final = "model.onnx"
DATA = f"{MODEL}.data"
HEAD: Final = "head.onnx"
TOKENIZER = "tokenizer.json"
QUERY_WEIGHTS = "query_weights.npy"
RANGES = "ranges.json"
LICENSE = "LICENSE"

NAME_PATTERN = r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*"
"""Names are also folders and may be part of a URL: no ``..``, no leading dot, no colon."""


Purpose = Literal["embed", "rerank", "classify", "sparse"]
"""What a model is exported for."""


Precision = Literal["int8", "float32"]

Exporter = Literal["native", "torch", "optimum"]
"""What writes a graph: ``native`` of the weights alone, the others of the model in PyTorch."""

TruncationSide = Literal["right", "left"]
"""Where a text that is too long is cut."""


class Source(Record, frozen=True, kw_only=True):
    """Where the checkpoint came from, and the sha256 of every file that was read.

    ``requested`` is the revision that models.txt named, perhaps a branch; ``revision`` is the commit.
    """

    repo: str
    requested: str | None = None
    revision: str | None = None
    license: str | None = None
    files: dict[str, str]


class Overrides(Record, frozen=True, kw_only=True):
    """What a line of models.txt says of a model in place of what its checkpoint says.

    ``prompts`` are added to those of the checkpoint or replace them; ``max_tokens`` and ``dimensions`` are
    lower limits than the model's; ``pooling`` is for plain models of transformers, which have none. ``task``
    is what a checkpoint is exported for that fits several.
    """

    prompts: dict[str, str] = msgspec.field(default_factory=dict)
    default_prompt: str | None = None
    max_tokens: Positive | None = None
    dimensions: Positive | None = None
    pooling: tuple[PoolingMode, ...] = ()
    task: Purpose | None = None


NO_OVERRIDES = Overrides()


class Calibration(Record, frozen=True, kw_only=True):
    """The sample texts of an export: how many, and the sha256 of them, joined by newlines."""

    texts: Positive
    sha256: str


class Quantization(Record, frozen=True, kw_only=True):
    """How int8 was made: symmetric weights, activations measured as they come.

    ``weight_pair_sum`` is the most that weights 2i and 2i + 1 of a channel sum to: where 255 times that fits
    16 signed bits, products are exact on every CPU. ``activation_bits`` are those of the file itself, which
    any runtime runs; ``kernel_activation_bits`` those of our native kernels, which take the place of its
    functions; ``no_kernel`` says why they cannot, and with ``kernel_products`` why they run only products and
    other parts of its graph. ``calibration`` is None where weights were rounded to the nearest. A table of
    embeddings alone has no weights of products and no activations.
    """

    weight_bits: int
    weight_scales: Literal["channel"] | None
    weight_pair_sum: int | None = None
    activation_bits: int | None
    kernel_activation_bits: int | None = None
    no_kernel: str | None = None
    kernel_products: bool = False
    activation_scales: Literal["token"] | None
    embedding_scales: Literal["row"]
    calibration: Calibration | None = None


class Module(Record, frozen=True):
    """A link of the chain from ids to vectors, and the file that runs it, or numpy; None: it does nothing.

    ``note`` is what a person should know of it.
    """

    text: str
    runs_in: Literal["model.onnx", "numpy", "head.onnx"] | None
    note: str = ""


PARITIES: dict[type[Output], str] = {
    Dense: "parity",
    Scores: "score_parity",
    Sparse: "sparse_parity",
    TokenVectors: "token_parity",
}
"""The field of ``Facts`` that is measured of each kind; that of the kernels has ``kernel_`` before it."""

Kind = TypeVar("Kind", Dense, Scores, Sparse, TokenVectors)


class Facts(Record, frozen=True, kw_only=True):
    """What an artifact is, which is all that running it takes.

    ``max_tokens`` counts special tokens, None is no limit; ``created`` is in Unix seconds.

    ``modules`` is the whole chain in order, and ``output`` what comes after model.onnx. ``static``: its
    states are rows of a table, whatever tokens are beside them.

    ``parity`` is that of standard operators; ``kernel_parity`` that of the native kernels, where they can run
    the model and the machine that exported it had them. Both are None until they are measured, and of models
    that make no vectors of their own: those that score have ``score_parity`` and ``kernel_score_parity``,
    sparse ones ``sparse_parity`` and ``kernel_sparse_parity``, those of token vectors ``token_parity`` and
    ``kernel_token_parity``.

    ``exporter`` is the name of the ``Exporter`` that wrote the graph, perhaps one of a later version.
    ``reference`` is what parity was measured against: "sentence-transformers" with its version, or "float32
    graph", the artifact's own float32 form. Both are None of artifacts before format 5.

    ``packed``: equal numbers in a row of the attention mask are one sequence, so that a row takes several.
    """

    format: int = FORMAT
    name: Annotated[str, msgspec.Meta(pattern=rf"\A{NAME_PATTERN}\Z")]
    created: int
    source: Source
    overrides: Overrides = NO_OVERRIDES
    recipe: int
    exporter: str | None = None
    reference: str | None = None
    output: Output
    max_tokens: Positive | None
    truncation_side: TruncationSide = "right"
    modules: tuple[Module, ...] = ()
    static: bool = False
    prompts: dict[str, str] = msgspec.field(default_factory=dict)
    default_prompt: str | None = None
    precision: Precision
    quantization: Quantization | None = None
    packed: bool = False
    parity: Parity | None = None
    kernel_parity: Parity | None = None
    score_parity: ScoreParity | None = None
    kernel_score_parity: ScoreParity | None = None
    sparse_parity: SparseParity | None = None
    kernel_sparse_parity: SparseParity | None = None
    token_parity: TokenParity | None = None
    kernel_token_parity: TokenParity | None = None
    float32_bytes: int

    def __post_init__(self) -> None:
        if self.default_prompt is not None and self.default_prompt not in self.prompts:
            raise ValueError(f"default_prompt {self.default_prompt!r} is not one of the prompts")

    @property
    def head(self) -> bool:
        """Whether there is a head.onnx."""
        return any(module.runs_in == HEAD for module in self.modules)

    @property
    def dense(self) -> Dense:
        """What comes out, of a model of vectors.

        Raises:
            TaskNotSupported: Something else comes out.
        """
        return self._of_kind(Dense)

    @property
    def scores(self) -> Scores:
        """What comes out, of a model that scores.

        Raises:
            TaskNotSupported: Something else comes out.
        """
        return self._of_kind(Scores)

    @property
    def sparse(self) -> Sparse:
        """What comes out, of a model of sparse vectors.

        Raises:
            TaskNotSupported: Something else comes out.
        """
        return self._of_kind(Sparse)

    @property
    def token_vectors(self) -> TokenVectors:
        """What comes out, of a model of token vectors.

        Raises:
            TaskNotSupported: Something else comes out.
        """
        return self._of_kind(TokenVectors)

    def measured(self, *, kernels: bool) -> Measured | None:
        """How far it is from its original, by standard operators or by kernels, where that was measured."""
        field: Measured | None = getattr(self, f"{'kernel_' * kernels}{PARITIES[type(self.output)]}")
        return field

    def _of_kind(self, kind: type[Kind]) -> Kind:
        if not isinstance(self.output, kind):
            raise TaskNotSupported(
                f"{self.name} {DOES[type(self.output)]}; name another model, one that {DOES[kind]}",
                param="model",
            )
        return self.output


class Manifest(Facts, frozen=True, kw_only=True):
    """The facts of a complete artifact, which was measured; ``sha256`` is of each of its files, by name."""

    sha256: dict[Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_][A-Za-z0-9._-]*\Z")], str]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.measured(kernels=False) is None:
            raise ValueError(f"{PARITIES[type(self.output)]} is missing")


_FLAT_FORMAT = 3
"""The last format whose manifests had the fields of ``Dense`` among their own: every model was dense."""

_UNSEALED = "?" * 64
"""Where a manifest's own sha256 will stand."""


class _Header(msgspec.Struct):
    """Read first, so that a newer folder is called newer and not malformed."""

    format: Positive


def sha256(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def model_bytes(folder: Path) -> int:
    """The size of an artifact's model, in all its files."""
    files = [folder / name for name in (MODEL, DATA, HEAD)]
    return sum(path.stat().st_size for path in files if path.exists())


def is_name(text: str) -> bool:
    """Whether ``text`` can name a model."""
    return re.fullmatch(NAME_PATTERN, text) is not None


def read(folder: Path) -> Manifest:
    """The manifest of an artifact folder; one of an older format is as it would be written now.

    Raises:
        ArtifactError: It is absent, malformed, or of a newer format.
    """
    path = folder / MANIFEST
    try:
        raw = path.read_bytes()
        number = msgspec.json.decode(raw, type=_Header).format
        if number > FORMAT:
            raise ArtifactError(
                f"{path} has format {number} and this version reads up to {FORMAT}; "
                "upgrade embed-onnx, or export the model again with this version"
            )
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        if number <= _FLAT_FORMAT:
            fields = _with_output(fields)
        return msgspec.convert({**fields, "format": FORMAT}, Manifest)
    except FileNotFoundError:
        raise ArtifactError(f"{folder} holds no {MANIFEST}; run `embed-onnx export` to make it") from None
    except (OSError, ValueError, RecursionError) as err:  # msgspec's errors are ValueErrors
        raise ArtifactError(f"{path} cannot be read: {err}; export the model again") from None


def _with_output(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a manifest of ``_FLAT_FORMAT`` or an older one, as they are now."""
    others = {name: value for name, value in fields.items() if name not in Dense.__struct_fields__}
    dense = {name: value for name, value in fields.items() if name in Dense.__struct_fields__}
    return {**others, "output": {"kind": "dense", **dense}}


def write(manifest: Manifest, folder: Path) -> None:
    """Write the manifest of an artifact folder, its own sha256 among those of the files."""
    unsealed = replace(manifest, sha256={**manifest.sha256, MANIFEST: _UNSEALED})
    raw = msgspec.json.format(msgspec.json.encode(unsealed), indent=2) + b"\n"
    (folder / MANIFEST).write_bytes(raw.replace(_UNSEALED.encode(), _seal(raw, _UNSEALED).encode()))


def _seal(raw: bytes, digest: str) -> str:
    """The sha256 of a manifest in which ``digest`` stands for its own."""
    return hashlib.sha256(raw.replace(digest.encode(), _UNSEALED.encode())).hexdigest()


def verify(manifest: Manifest, folder: Path) -> None:
    """Check every file of an artifact against its recorded sha256.

    Raises:
        ArtifactError: A file is absent or is not the one that was exported.
    """
    for name in (MODEL, TOKENIZER, *[HEAD] * manifest.head):
        if name not in manifest.sha256:
            raise ArtifactError(f"{folder / MANIFEST} has no sha256 of {name}; export the model again")
    for name, expected in manifest.sha256.items():
        path = folder / name
        try:
            actual = _seal(path.read_bytes(), expected) if name == MANIFEST else sha256(path)
        except OSError as err:
            raise ArtifactError(f"{path} cannot be read: {err.strerror}; export the model again") from None
        if actual != expected:
            raise ArtifactError(
                f"{path} is damaged: its sha256 is {actual[:12]}... and the manifest says "
                f"{expected[:12]}...; export the model again, or copy the folder again"
            )
