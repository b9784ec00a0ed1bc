"""The small model, as the command runs it."""

from pathlib import Path
from typing import Any

import pytest
from bulk_runs import Embed
from harness import SMALL

from embed_onnx.bulk import inputs
from embed_onnx.bulk.embed import Choice, EmbedMeta, embed_files
from embed_onnx.bulk.run import Target
from embed_onnx.settings import Settings


@pytest.fixture
def embed(home: Path) -> Embed:
    """Embed files by the small model, in this process."""

    def embed(names: Path | list[str], output: Path, **flags: Any) -> EmbedMeta:
        columns = {name: flags.pop(name) for name in ("field", "id", "keep") if name in flags}
        places = {name: flags.pop(name) for name in ("force", "restart") if name in flags}
        knobs = {
            name: flags.pop(name)
            for name in ("truncate", "long_texts", "literal_special_tokens", "cache_bytes")
            if name in flags
        }
        selection = Settings(artifacts=home / "artifacts", models=home / "models.txt", **knobs)
        names = [str(names)] if isinstance(names, Path) else names
        result = inputs.find(names, flags.pop("kind", None), output=output, **columns)
        choice = Choice(settings=selection, **{"model": SMALL} | flags)
        return embed_files(result, Target(output=output, **places), choice)

    return embed
