"""``embed-onnx embed``: files or texts, without a server."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import rich_click as click

from embed_onnx import setting_words
from embed_onnx.cli import bulk_options, options
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from embed_onnx.bulk.inputs import Inputs
    from embed_onnx.bulk.run import Target
    from embed_onnx.settings import Settings

DTYPES = ("float32", "float16", "int8", "uint8", "binary", "ubinary")
RANGED = ("int8", "uint8")
FLOATS = ("float16", "float32")
"""What token vectors may be."""
OF_MODEL = ("model", "prompt_name", "dimensions", "dtype", "ranges")
OF_KIND = ("sparse", "max_active_dims", "token_vectors")
DEFAULTS = {"dimensions": None, "dtype": None, "ranges": "rows"}
"""Of the options that not all kinds of vectors have."""
OF_FILES = (*bulk_options.OF_FILES, "field")


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="A .npy, .jsonl or .parquet file, or - for standard output.",
)
@click.option("--text", "texts", multiple=True, help="A text to embed, instead of files; may be repeated.")
@click.option("--field", help="Field or column of the texts [default: text].")
@bulk_options.of_files
@click.option("--prompt-name", help="One of the model's prompts, put before each text.")
@click.option("--dimensions", type=int, help="Cut vectors to this length and normalise again.")
@click.option(
    "--dtype",
    type=click.Choice(DTYPES),
    help="Of a number [default: float32; float16 with --token-vectors, which takes these two].",
)
@click.option(
    "--ranges",
    type=click.Choice(("rows", "model")),
    default="rows",
    show_default=True,
    help="Of int8 and uint8: those of the first rows, or the model's own, as a server has them.",
)
@click.option("--sparse", is_flag=True, help="Sparse vectors, by a sparse model.")
@click.option("--max-active-dims", type=int, help="With --sparse: so many of a text's greatest weights.")
@click.option("--token-vectors", is_flag=True, help="A vector for each token, by a model such as ColBERT.")
@bulk_options.of_output
@options.of_settings(
    *("artifacts", "models", "threads", "kernels"),
    *("truncate", "long_texts", "literal_special_tokens", "cache_bytes"),
)
def embed(inputs: tuple[str, ...], texts: tuple[str, ...], output: Path | None, **words: Any) -> None:
    """Embed files without a server: text lines, JSON lines, CSV or Parquet, plain or .gz, or - for stdin.

    Quoted globs are expanded. The same command continues a run that was stopped. Records that cannot be
    embedded are listed in OUTPUT.rejects.jsonl, and make the exit code 2.

    With --text, JSON lines go to standard output.
    """
    of_model, of_kind, of_output, of_files = (
        {name: words.pop(name) for name in names}
        for names in (OF_MODEL, OF_KIND, bulk_options.OF_OUTPUT, OF_FILES)
    )
    configuration = setting_words.from_words(words)
    if bool(inputs) == bool(texts):
        raise SetupError("give files to embed, or - for standard input, or texts with --text")
    if texts and (output or any(of_output.values()) or any(of_files.values())):
        raise SetupError("--text prints to standard output; leave out --output and what is for files")
    if inputs and output is None:
        raise SetupError(
            "--output is missing; give a file whose name ends in .npy, .jsonl or .parquet "
            "(to embed a text itself, use --text)"
        )
    place = None if output is None else _Place(inputs, output, of_output, of_files)
    if of_kind["max_active_dims"] is not None and not of_kind["sparse"]:
        raise SetupError("--max-active-dims is for sparse vectors; give --sparse with it, or leave it out")
    if of_kind["sparse"] and of_kind["token_vectors"]:
        raise SetupError("--sparse and --token-vectors are for two kinds of model; give one of them")
    if of_kind["sparse"]:
        _embed_sparse(texts, place, configuration, of_model, of_kind["max_active_dims"])
    elif of_kind["token_vectors"]:
        _embed_tokens(texts, place, configuration, of_model)
    else:
        _embed_dense(texts, place, configuration, of_model)


class _Place(NamedTuple):
    """The files of a run, and where the result goes."""

    inputs: tuple[str, ...]
    output: Path
    of_output: dict[str, Any]
    of_files: dict[str, Any]

    def open(self) -> "tuple[Inputs, Target]":
        """The files as they are read, and the target."""
        from embed_onnx.bulk.inputs import FIELD
        from embed_onnx.bulk.run import Target

        field = self.of_files["field"] or FIELD
        files = bulk_options.find(self.inputs, self.output, self.of_files, field=field)
        return files, Target(output=self.output, **self.of_output)


def _embed_dense(
    texts: tuple[str, ...], place: _Place | None, configuration: "Settings", of_model: dict[str, Any]
) -> None:
    from embed_onnx.bulk.embed import Choice, embed_files, embed_texts
    from embed_onnx.bulk.writers import STDOUT

    choice = Choice(settings=configuration, **of_model | {"dtype": of_model["dtype"] or "float32"})
    if place is None:
        embed_texts(texts, choice)
        return
    if place.output == STDOUT and choice.dtype in RANGED and choice.ranges == "rows":
        raise SetupError(
            f"{choice.dtype} is stored with its ranges; name a file with --output, or choose --ranges model "
            "or another --dtype"
        )
    meta = embed_files(*place.open(), choice)
    bulk_options.report(place.output, meta, f"vectors of {meta.dimensions} dimensions", "texts")


def _embed_sparse(
    texts: tuple[str, ...],
    place: _Place | None,
    configuration: "Settings",
    of_model: dict[str, Any],
    max_active_dims: int | None,
) -> None:
    from embed_onnx.bulk import listed, sparse

    others = _without(of_model, tuple(DEFAULTS), "--sparse")
    choice = sparse.Choice(settings=configuration, max_active_dims=max_active_dims, **others)
    if place is None:
        listed.embed_texts(texts, sparse.opened(choice))
        return
    meta = listed.embed_files(*place.open(), sparse.opened(choice), sparse.SparseMeta)
    bulk_options.report(place.output, meta, f"sparse vectors over {meta.entries:,} entries", "texts")


def _embed_tokens(
    texts: tuple[str, ...], place: _Place | None, configuration: "Settings", of_model: dict[str, Any]
) -> None:
    from embed_onnx.bulk import listed, token_vectors

    others = _without(of_model, ("dimensions", "ranges"), "--token-vectors")
    others["dtype"] = others["dtype"] or "float16"
    if others["dtype"] not in FLOATS:
        raise SetupError(f"--dtype {others['dtype']} is for dense vectors; choose {' or '.join(FLOATS)}")
    choice = token_vectors.Choice(settings=configuration, **others)
    if place is None:
        listed.embed_texts(texts, token_vectors.opened(choice))
        return
    meta = listed.embed_files(*place.open(), token_vectors.opened(choice), token_vectors.TokensMeta)
    bulk_options.report(place.output, meta, f"texts' token vectors of {meta.dimensions} dimensions", "texts")


def _without(of_model: dict[str, Any], names: tuple[str, ...], kind: str) -> dict[str, Any]:
    """The options of a model but for those that a kind of vectors does not have.

    Raises:
        SetupError: One of these is not its default.
    """
    for name in names:
        if of_model[name] != DEFAULTS[name]:
            raise SetupError(f"--{name} is for dense vectors; leave it out, or {kind}")
    return {name: value for name, value in of_model.items() if name not in names}
