"""What a config requests of a transformer and the loaded class does not do.

Transformers keeps fields that a class does not know as attributes, and loads the model without them: it
computes something else, and says nothing.
"""

from collections.abc import Iterator
from inspect import signature
from pathlib import Path
from typing import Any

import msgspec
import torch
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from embed_onnx_export.checkpoint import module_files
from embed_onnx_export.checkpoint.sources import CONFIG
from embed_onnx_export.errors import ExportError

ROPE = ("rope_parameters", "rope_scaling")
"""How positions turn states: as transformers 5 writes it, and as transformers 4 does."""


class _Config(msgspec.Struct):
    """What is read of config.json before transformers reads all of it."""

    model_type: str | None = None
    transformers_version: str | None = None


def check_known(folder: Path, repo: str) -> None:
    """Refuse an architecture that the installed transformers does not know.

    Raises:
        ExportError: That is so.
    """
    config = module_files.decode(folder / CONFIG, _Config)
    if config.model_type is None or config.model_type in CONFIG_MAPPING:
        return
    saved_by = f" (its config.json was saved by {config.transformers_version})"
    raise ExportError(
        f"{repo} has the architecture {config.model_type}, which transformers {transformers.__version__} "
        f"does not know{saved_by if config.transformers_version else ''}; export it where a version is "
        "installed that does, or choose another model"
    )


def check(model: Any, repo: str) -> None:
    """Refuse a transformer that was loaded without something that its config has.

    Raises:
        ExportError: That is so; the sentence has the field.
    """
    for config in _configs(model.config):
        _check_rope(config, repo)
    flag = next(_bidirectional_flags(model.config), None)
    if flag is not None and not _looks_ahead(model):
        raise ExportError(
            f"{repo} has {flag} in its config.json, and {type(model).__name__} of transformers "
            f"{transformers.__version__} does not know it: there, tokens see only those before them; serve "
            "it with a version of transformers that does, or choose another model"
        )


def _configs(config: Any) -> Iterator[Any]:
    """A config and those within it."""
    yield config
    for name in getattr(config, "sub_configs", {}):
        within = getattr(config, name, None)
        if within is not None:
            yield within


def _check_rope(config: Any, repo: str) -> None:
    read = signature(type(config).__init__).parameters
    if "rope_parameters" in read:  # transformers 5 makes it of the older fields
        return
    names = ", ".join(name for name in read if "rope" in name)
    way_out = f"write what it says under the names that are read, {names}, and " if names else ""
    for name in ROPE:
        if getattr(config, name, None) and name not in read:
            raise ExportError(
                f"{repo} has {name} in its config.json, which {type(config).__name__} of transformers "
                f"{transformers.__version__} does not read, so that its positions would be others; "
                f"{way_out}remove {name}"
            )


def _bidirectional_flags(config: Any) -> Iterator[str]:
    """The fields by which tokens see those after them, as config.json has them."""
    for one in _configs(config):
        for name, value in vars(one).items():
            if name in {"is_causal", "causal"} and value is False:
                yield f"{name}: false"
            if "bidirectional" in name and value:
                yield f"{name}: {str(value).lower()}"


def _looks_ahead(model: Any) -> bool:
    """Whether the state of a first token depends on the second one."""
    ids = torch.tensor([[3, 4], [3, 5]])
    with torch.no_grad():
        first, other = (model(input_ids=pair[None]).last_hidden_state[0, 0] for pair in ids)
    return not torch.allclose(first, other, rtol=1e-5, atol=1e-6)
