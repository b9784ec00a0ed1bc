"""What the exporters share that trace a model of transformers: its inputs, and what no comparison would find.

The graph takes what sentence-transformers gives the model: ``input_ids``, ``attention_mask``, and
``token_type_ids`` where the tokenizer makes them. All else, such as positions, the model derives itself, in
the graph as in PyTorch. So one description of inputs does for every architecture.
"""

import inspect
from collections.abc import Iterator
from typing import Any

import transformers

INPUTS = ("input_ids", "attention_mask", "token_type_ids")
OUTPUT = "last_hidden_state"
FIELDS_OF_5 = ("rope_parameters", "layer_types", "is_causal", "use_bidirectional_attention")
"""Fields of a config that change vectors, which transformers 5 writes and 4 may ignore."""


def inputs(module: Any) -> list[str]:
    """What sentence-transformers' ``Transformer`` gives its model: int64 [batch, tokens] each."""
    parameters = inspect.signature(module.auto_model.forward).parameters
    return [name for name in INPUTS if name in parameters and name in module.tokenizer.model_input_names]


def refusal(module: Any, max_tokens: int) -> str | None:
    """Why a module cannot be exported for texts of so many tokens, by its config; None if it may be.

    Only what no comparison would find: texts too long to compare, or what depends on earlier texts.
    """
    config = module.auto_model.config
    newer = _newer(config)
    if newer is not None:
        return newer
    if getattr(config, "attention_type", None) == "block_sparse":
        return (
            "its attention_type is block_sparse, which PyTorch gives up for good at the first short text; "
            'set it to "original_full" in config.json, which is the same attention without the gaps'
        )
    for name, rope in _ropes(config):
        kind = rope.get("rope_type", rope.get("type"))
        if kind not in ("dynamic", "longrope"):
            continue
        original = (
            rope.get("original_max_position_embeddings")
            or getattr(config, "original_max_position_embeddings", None)
            or config.max_position_embeddings
        )
        if max_tokens > original:
            return (
                f"the rope_type in its {name} is {kind}, which changes with the length of a text beyond "
                f"{original} tokens, and its limit is {max_tokens}; set max_seq_length to {original} in "
                "sentence_bert_config.json"
            )
    return None


def _newer(config: Any) -> str | None:
    """Why the installed transformers may read a config otherwise than the later one that saved it."""
    saved_by = getattr(config, "transformers_version", None) or "0"
    if _major(saved_by) <= _major(transformers.__version__):
        return None
    fields = [name for name in FIELDS_OF_5 if getattr(config, name, None) is not None]
    if _major(saved_by) == 5 and not fields:
        return None
    what = f" and has {', '.join(fields)}" if fields else ""
    return (
        f"its config.json was saved by transformers {saved_by}{what}, and transformers "
        f"{transformers.__version__} is installed, which may ignore what it says; export it where a version "
        "is installed that is not older"
    )


def _major(version: str) -> int:
    return int(version.partition(".")[0])


def first_line(err: BaseException) -> str:
    """What an exception of a library says first, as a part of a sentence."""
    return str(err).strip().split("\n")[0].rstrip(".")[:200]


def _ropes(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """How positions turn states, by the field's name; there may be one for each kind of layer."""
    for name in ("rope_parameters", "rope_scaling"):
        rope = getattr(config, name, None) or {}
        for one in [rope, *rope.values()]:
            if isinstance(one, dict):
                yield name, one
