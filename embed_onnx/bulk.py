"""Embedding without a server: many texts to JSON lines or to a .npy file."""

import itertools
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from embed_onnx import registry
from embed_onnx.errors import SetupError
from embed_onnx.model import Embedded, Model, Options
from embed_onnx.settings import Settings

TEXTS_A_CHUNK = 256
"""Embedded between two steps of the progress bar."""


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which model, and how."""

    settings: Settings
    model: str | None = None
    prompt_name: str | None = None
    dimensions: int | None = None


def embed(texts: Sequence[str], output: Path | None, choice: Choice) -> None:
    """Embed texts in order and write them to ``output``, or as JSON lines to standard output.

    Raises:
        SetupError: There is no text, or the model's artifact is not there.
        InvalidRequest: A text or an option is wrong.
    """
    if not texts:
        raise SetupError("there is no text; give texts as arguments, with --file, or on standard input")
    for number, text in enumerate(texts, start=1):
        if not text:
            raise SetupError(f"text {number} is empty; leave it out")
    entries = registry.wanted(choice.settings)
    with registry.Registry(entries, choice.settings) as models:
        models.load()
        with models.use(choice.model) as (model, prompt_name):
            options = Options(
                prompt_name=prompt_name if choice.prompt_name is None else choice.prompt_name,
                dimensions=choice.dimensions,
                truncate=choice.settings.truncate,
            )
            _write(_chunks(model, texts, options), output)


def _write(chunks: Iterator[Embedded], output: Path | None) -> None:
    if output is not None and output.suffix == ".npy":
        np.save(output, np.concatenate([chunk.vectors for chunk in chunks]))
    else:
        _write_lines(chunks, output)


def _chunks(model: Model, texts: Sequence[str], options: Options) -> Iterator[Embedded]:
    columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=len(texts))
        for first in range(0, len(texts), TEXTS_A_CHUNK):
            chunk = texts[first : first + TEXTS_A_CHUNK]
            yield model.embed_now(chunk, options, first=first)
            progress.advance(task, len(chunk))


def _write_lines(chunks: Iterator[Embedded], output: Path | None) -> None:
    index = itertools.count()
    file = output.open("wb") if output else sys.stdout.buffer
    try:
        for chunk in chunks:
            for vector, tokens in zip(chunk.vectors, chunk.tokens, strict=True):
                line = {"index": next(index), "embedding": vector.tolist(), "num_tokens": tokens.num_tokens}
                file.write(msgspec.json.encode(line) + b"\n")
    finally:
        if output:
            file.close()
