"""Models of token vectors, ColBERT's kind: read of their files alone, in any of three layouts.

A ``MultiVectorEncoder`` of Sentence-Transformers, a ``ColBERT`` of PyLate, or a model of Stanford's ColBERT,
whose projection lies among the weights of its transformer.
"""

from pathlib import Path
from typing import Any

import msgspec
import tokenizers

from embed_onnx.artifact.manifest import HEAD, MODEL, Module, TruncationSide
from embed_onnx.artifact.outputs import Expansion, Similarity, TokenRole, TokenVectors
from embed_onnx_export.checkpoint import (
    description,
    module_files,
    modules,
    multi_vector_settings,
    tensors,
    tokenizer_file,
)
from embed_onnx_export.checkpoint.files import COMPARED
from embed_onnx_export.checkpoint.multi_vector_settings import KNOBS, Mask, MultiVectorSettings
from embed_onnx_export.checkpoint.sources import CONFIG, Checkpoint
from embed_onnx_export.checkpoint.tensors import Tensors
from embed_onnx_export.checkpoint.tokenizer_classes import UnknownTokenizer
from embed_onnx_export.checkpoint.tokenizer_file import DEFAULTS
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.head_graph import Dense, Normalize, Step
from embed_onnx_export.graph.modernbert.checkpoint import ModernBert

PROJECTION = "linear.weight"
"""Of Stanford's layout, in the file of the transformer."""
IDLE = ("Normalize", "MultiVectorMask", "Dropout")
"""What numpy does, or nobody, at the end of a chain."""
SIMILARITIES: tuple[Similarity, ...] = ("maxsim", "meanmaxsim")
OF_ONE_VECTOR = (None, "cosine", "dot", "euclidean", "manhattan")
"""Names that sentence-transformers passes over, for maxsim."""


class MultiVectorEncoder(msgspec.Struct, frozen=True, kw_only=True):
    """A model of token vectors, as it is served. ``modules`` are the chain for the manifest."""

    encoder: Encoder
    head: tuple[Step, ...]
    output: TokenVectors
    modules: tuple[Module, ...]
    tokenizer: tokenizers.Tokenizer
    max_tokens: int
    truncation_side: TruncationSide
    prompts: dict[str, str]
    default_prompt: str


def read(checkpoint: Checkpoint, *, strict: bool) -> MultiVectorEncoder:
    """The model that a checkpoint is; ``strict`` is that of ``encoders.read``.

    Raises:
        ExportError: It is not one that is served, or its parts do not fit together.
    """
    chain = modules.read_by_token(checkpoint)
    try:
        return _read(checkpoint, chain, strict=strict)
    except (UnknownFamily, UnknownTokenizer) as err:
        raise ExportError(
            f"{checkpoint.source.repo} cannot be exported as a model of token vectors: {err}; those whose "
            "transformer is of the BERT family or a ModernBERT are, with a tokenizer.json"
            + (COMPARED if strict else "")
        ) from None
    except msgspec.ValidationError as err:
        raise ExportError(
            f"the settings of {checkpoint.source.repo} for queries and documents are not known: {err}; serve "
            "it with sentence-transformers"
        ) from None


def _read(
    checkpoint: Checkpoint, chain: tuple[module_files.Module, ...], *, strict: bool
) -> MultiVectorEncoder:
    folder = checkpoint.folder / (chain[0].path if chain else "")
    config = module_files.decode(folder / CONFIG, dict[str, Any])
    name = encoders.class_name(config)  # before the weights are read
    settings = multi_vector_settings.read(checkpoint.folder, chain)
    own = tokenizer_file.read_own(folder, DEFAULTS, KNOBS)
    tokenizer, of_tokenizer = tokenizer_file.read(folder, own, config)
    for prefix in settings.prefixes.values():
        _make_token(tokenizer, prefix)
    arrays = tensors.read(folder)
    encoder = encoders.read(config, arrays, strict=strict)
    positions = encoders.max_positions(config, encoder)
    most = tokenizer_file.max_tokens(own, of_tokenizer, positions)
    width = encoder.words.shape[1]
    parts = _parts(checkpoint, chain, arrays, width)
    end = len(parts)
    while end and parts[end - 1].kind in IDLE:
        end -= 1
    query = _query(settings, tokenizer, folder, most=most, positions=positions)
    _check_window(query, encoder, checkpoint.source.repo)
    document = _role(settings.mask, "document", tokenizer, min(settings.document_length or most, positions))
    prompts = multi_vector_settings.prompts(settings, description.read_prompts(checkpoint.folder))
    return MultiVectorEncoder(
        encoder=encoder,
        head=tuple(part.step for part in parts[:end] if part.step is not None),
        output=TokenVectors(
            dimensions=parts[-1].gives if parts else width,
            normalize=settings.normalize or any(part.kind == "Normalize" for part in parts[end:]),
            query=query,
            document=document,
            similarity=_similarity(settings.similarity, checkpoint.source.repo),
        ),
        modules=(
            Module(f"Transformer ({name})", MODEL),
            *(Module(part.text, HEAD if place < end else "numpy") for place, part in enumerate(parts)),
        ),
        tokenizer=tokenizer,
        max_tokens=max(query.max_tokens, document.max_tokens),
        truncation_side=of_tokenizer.truncation_side
        or (tokenizer.truncation or {}).get("direction", "right"),
        prompts=prompts,
        default_prompt=modules.read_settings(checkpoint.folder).default_prompt_name or "document",
    )


def _parts(
    checkpoint: Checkpoint, chain: tuple[module_files.Module, ...], arrays: Tensors, width: int
) -> list[description.Part]:
    """The modules after the transformer, with those that older layouts leave out."""
    parts: list[description.Part] = []
    if not chain:
        parts.append(_projection(arrays, checkpoint.source.repo))
    for module in chain[1:]:
        before = parts[-1].gives if parts else width
        if module.kind == "Dense":
            parts.append(description.dense(checkpoint.folder / module.path))
        else:
            step = Normalize() if module.kind == "Normalize" else None
            parts.append(
                description.Part(kind=module.kind, takes=None, gives=before, text=module.kind, step=step)
            )
    for before, part in zip([width, *(part.gives for part in parts)], parts, strict=False):
        if part.takes not in (None, before):
            raise ExportError(
                f"{checkpoint.source.repo} does not fit together: its {part.kind} takes {part.takes} "
                f"numbers, and what is before it gives {before}; correct the config.json of one of them"
            )
    return parts


def _projection(arrays: Tensors, repo: str) -> description.Part:
    """The Dense of Stanford's layout."""
    weight = arrays.get(PROJECTION)
    if weight is None:
        raise ExportError(f"{repo} is a model of Stanford's ColBERT without {PROJECTION}; get it again")
    dimensions, width = weight.shape
    return description.Part(
        kind="Dense",
        takes=width,
        gives=dimensions,
        text=f"Dense ({width} -> {dimensions}, Identity)",
        step=Dense(weight=weight, bias=None, activation="Identity"),
    )


def _query(
    settings: MultiVectorSettings, tokenizer: tokenizers.Tokenizer, folder: Path, *, most: int, positions: int
) -> TokenRole:
    expansion = settings.query_expansion
    if expansion is None:
        return _role(settings.mask, "query", tokenizer, min(settings.query_length or most, positions))
    if settings.mask is None:
        raise ExportError(
            "it expands queries and has no MultiVectorMask, without which the tokens of the expansion do not "
            "count; save it with one after its Transformer"
        )
    if expansion.length > positions:
        raise ExportError(
            f"its query_expansion has the length {expansion.length}, and its transformer takes {positions} "
            "tokens; correct one of them"
        )
    token = expansion.token or _fill_token(folder, tokenizer)
    token_id = tokenizer.token_to_id(token)
    if token_id is None:
        raise ExportError(
            f"its query_expansion has the token {token!r}, which its vocabulary lacks; correct it"
        )
    limit = expansion.length
    if expansion.strategy == "min":
        limit = max(limit, min(settings.query_length or most, positions))
    return msgspec.structs.replace(
        _role(settings.mask, "query", tokenizer, limit),
        expansion=Expansion(token_id=token_id, length=expansion.length, attended=expansion.attend),
    )


def _role(mask: Mask | None, role: str, tokenizer: tokenizers.Tokenizer, max_tokens: int) -> TokenRole:
    """How texts of a role are read without expansion."""
    if mask is None:
        return TokenRole(max_tokens=max_tokens)
    words = mask.skiplist_words or [] if mask.skips(role) else []
    # A word without a token of its own would skip all that are unknown.
    ids = [token_id for word in words if (token_id := tokenizer.token_to_id(word)) is not None]
    kept = mask.keep_only_token_ids if role == "document" else None
    return TokenRole(
        max_tokens=max_tokens,
        skipped_ids=tuple(sorted(set(ids))),
        kept_ids=tuple(sorted(set(kept))) if kept else None,
    )


def _fill_token(folder: Path, tokenizer: tokenizers.Tokenizer) -> str:
    """What queries are expanded with unless it is named: the mask, or where there is none, the end."""
    named = [tokenizer_file.special_token(folder, name) for name in ("mask_token", "eos_token")]
    candidates = [named[0], "[MASK]", "<mask>", named[1]]
    return next(
        (token for token in candidates if token and tokenizer.token_to_id(token) is not None), "mask_token"
    )


def _make_token(tokenizer: tokenizers.Tokenizer, prefix: str) -> None:
    """Have a prefix of an older layout be one token, if the vocabulary has it: so the model was trained."""
    for word in (prefix, prefix.split(None, 1)[0]) if prefix.split() else ():
        if tokenizer.token_to_id(word) is None:
            continue
        if tokenizer.encode(word, add_special_tokens=False).tokens != [word]:
            tokenizer.add_special_tokens([tokenizers.AddedToken(word, normalized=False, special=True)])
        return


def _check_window(query: TokenRole, encoder: Encoder, repo: str) -> None:
    """Refuse an expansion that may lie outside the windows in which a ModernBERT's tokens see each other."""
    if query.expansion is None or query.expansion.attended or not isinstance(encoder, ModernBert):
        return
    window = min(layer.window for layer in encoder.layers)
    if query.expansion.length > window:
        raise ExportError(
            f"{repo} expands queries to {query.expansion.length} tokens that are not attended to, and its "
            f"tokens see no more than {window} before them; have at most that, or attend to them"
        )


def _similarity(name: str | None, repo: str) -> Similarity:
    if name in OF_ONE_VECTOR:
        return "maxsim"
    for known in SIMILARITIES:
        if name == known:
            return known
    raise ExportError(
        f"{repo} has the similarity {name}, which is not served, as a score would depend on other documents; "
        f"save it with similarity_fn_name {' or '.join(SIMILARITIES)}"
    )
