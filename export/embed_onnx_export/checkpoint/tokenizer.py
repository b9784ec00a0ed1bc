"""The tokenizer as sentence-transformers has set it up, and its limit of tokens."""

import re
from pathlib import Path
from typing import Any

import msgspec
import transformers

from embed_onnx import install
from embed_onnx_export.checkpoint import module_files
from embed_onnx_export.checkpoint.tokenizer_file import NO_LIMIT
from embed_onnx_export.errors import ExportError

NEWER_CLASS = "TokenizersBackend"
"""As which transformers 5 saves a tokenizer of no class of its own."""
POSITIONS = re.compile(
    r"(position_embeddings?|positions_embed|embed_positions|wpe|distance_embedding)\.weight"
)
"""Tables that end with the last position, by the names that transformers gives them."""


class _Config(msgspec.Struct):
    """What is read of tokenizer_config.json before transformers reads all of it."""

    tokenizer_class: str | None = None
    extra_special_tokens: Any = None


def check_readable(folder: Path) -> None:
    """Refuse a tokenizer that transformers 5 has saved where an earlier one is installed.

    Raises:
        ExportError: That is so.
    """
    path = folder / "tokenizer_config.json"
    if hasattr(transformers, NEWER_CLASS) or not path.is_file():
        return
    config = module_files.decode(path, _Config)
    if config.tokenizer_class == NEWER_CLASS or isinstance(config.extra_special_tokens, list):
        raise ExportError(
            f"{path} was saved by transformers 5, and transformers {transformers.__version__} cannot read "
            f"it; export the model where {install.requirement('export')} is installed, with another "
            "exporter than optimum"
        )


def check(module: Any) -> None:
    """Refuse what our runtime would tokenize otherwise than sentence-transformers' ``Transformer`` does.

    Raises:
        ExportError: There is no fast tokenizer, or the module has such a setting.
    """
    tokenizer = module.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ExportError(
            f"its tokenizer, {type(tokenizer).__name__}, has no fast form that could be saved as "
            "tokenizer.json; choose a model that has one"
        )
    special = tokenizer.num_special_tokens_to_add()
    if module.max_seq_length <= special:
        raise ExportError(
            f"its limit is {module.max_seq_length} tokens, and {special} special ones are put around a text, "
            "which leaves none for it; raise max_seq_length in sentence_bert_config.json"
        )
    if set(module.modality_config) != {"text"}:
        others = ", ".join(map(str, set(module.modality_config) - {"text"}))
        raise ExportError(f"it puts texts into the form of {others}; only plain texts are supported")
    if module.processing_kwargs or getattr(tokenizer, "split_special_tokens", False):
        what = "processing_kwargs" if module.processing_kwargs else "split_special_tokens"
        raise ExportError(f"it sets {what} for its tokenizer, which is not supported; take that out")


def check_ids(module: Any, repo: str) -> None:
    """Refuse a tokenizer of which a text may get an id that has no row in the table of embeddings.

    Raises:
        ExportError: That is so.
    """
    rows = module.auto_model.get_input_embeddings().weight.shape[0]
    ids = [*module.tokenizer.get_vocab().values(), *module.tokenizer("")["input_ids"]]
    beyond = sorted({token_id for token_id in ids if token_id >= rows})
    if beyond:
        words = module.tokenizer.convert_ids_to_tokens(beyond[:3])
        named = ", ".join(f"{word} ({token_id})" for word, token_id in zip(words, beyond, strict=False))
        raise ExportError(
            f"{repo} has a tokenizer with ids up to {beyond[-1]}, and a table of embeddings of {rows} rows, "
            f"which {len(beyond)} of them have none of: {named}; add rows with "
            "resize_token_embeddings(len(tokenizer)) and train them, or take these tokens out of its "
            "tokenizer, and save the two together"
        )


def max_tokens(module: Any) -> int:
    """The limit of sentence-transformers, or less where the position embeddings end before it.

    That is max_seq_length if the checkpoint has it, else the tokenizer's limit, cut at the config's
    max_position_embeddings.
    """
    declared = module.max_seq_length
    unlimited = declared is None or declared > 10**9  # transformers has 10**30 for no limit
    limit = NO_LIMIT if unlimited else int(declared)
    positions = _positions(module.auto_model)
    return limit if positions is None else min(limit, positions)


def _positions(model: Any) -> int | None:
    """How many tokens have a position embedding; None where positions are not a table.

    RoBERTa's positions start after the padding id, so that 514 of them take 512 tokens.
    """
    tables = [name for name, _ in model.named_parameters() if POSITIONS.search(name)]
    if not tables:
        return None
    table = model.get_submodule(tables[0].removesuffix(".weight"))
    positions = min(table.weight.shape[0], model.config.max_position_embeddings)
    padding_id = getattr(table, "padding_idx", None)
    return int(positions if padding_id is None else positions - padding_id - 1)
