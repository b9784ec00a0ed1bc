"""``embed-onnx embed``: files or texts, without a server."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx import settings
from embed_onnx.cli import options
from embed_onnx.errors import SetupError

if TYPE_CHECKING:
    from embed_onnx.bulk.inputs import Inputs
    from embed_onnx.bulk.writers import Meta

KINDS = ("txt", "jsonl", "csv", "tsv", "parquet")
DTYPES = ("float32", "float16", "int8", "ubinary")
OF_MODEL = ("model", "prompt_name", "dimensions", "dtype")
OF_OUTPUT = ("force", "restart")
OF_FILES = ("kind", "field", "id_", "keep", "delimiter", "encoding", "no_header")
REJECTED = 2
"""The exit code of a run that embedded everything but some records."""


@click.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="A .npy, .jsonl or .parquet file.")
@click.option("--text", "texts", multiple=True, help="A text to embed, instead of files; may be repeated.")
@click.option("--format", "kind", type=click.Choice(KINDS), help="What INPUT is, if its name does not say.")
@click.option("--field", help="Field or column of the texts [default: text].")
@click.option("--id", "id_", metavar="COLUMN", help="Field or column that becomes the output's id.")
@click.option(
    "--delimiter", help="What is between columns of CSV [default: a comma] or TSV [default: a tab]."
)
@click.option("--encoding", help="Of lines, CSV and TSV: utf-8 (default), utf-16, latin-1, cp1252, ...")
@click.option("--no-header", is_flag=True, help="CSV or TSV begins with a record; columns go by number.")
@click.option("--keep", default="", metavar="COLUMN,...", help="Fields or columns that the output keeps.")
@click.option("--model", help="A name or alias [default: the first].")
@click.option("--prompt-name", help="One of the model's prompts, put before each text.")
@click.option("--dimensions", type=int, help="Cut vectors to this length and normalise again.")
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of a number.")
@click.option("--force", is_flag=True, help="Overwrite an OUTPUT that exists.")
@click.option("--restart", is_flag=True, help="Start again instead of continuing a run that was stopped.")
@options.of_settings("artifacts", "models", "threads", "kernels", "truncate", "literal_special_tokens")
def embed(inputs: tuple[str, ...], texts: tuple[str, ...], output: Path | None, **words: Any) -> None:
    """Embed files without a server: text lines, JSON lines, CSV or Parquet, plain or .gz, or - for stdin.

    Quoted globs are expanded. The same command continues a run that was stopped. Records that cannot be
    embedded are listed in OUTPUT.rejects.jsonl, and make the exit code 2.

    With --text, JSON lines go to standard output.
    """
    of_model, of_output, of_files = (
        {name: words.pop(name) for name in names} for names in (OF_MODEL, OF_OUTPUT, OF_FILES)
    )
    configuration = settings.from_words(words)
    if bool(inputs) == bool(texts):
        raise SetupError("give files to embed, or - for standard input, or texts with --text")
    if texts and (output or any(of_output.values()) or any(of_files.values())):
        raise SetupError("--text prints to standard output; leave out --output and what is for files")
    if inputs and output is None:
        raise SetupError(
            "--output is missing; give a file whose name ends in .npy, .jsonl or .parquet "
            "(to embed a text itself, use --text)"
        )
    from embed_onnx.bulk.run import Choice, Target, embed_files, embed_texts

    choice = Choice(settings=configuration, **of_model)
    if output is None:
        embed_texts(texts, choice)
        return
    meta = embed_files(_inputs(inputs, output, **of_files), Target(output=output, **of_output), choice)
    click.echo(f"embed-onnx: {_summary(output, meta)}", err=True)
    if meta.rejected:
        sys.exit(REJECTED)


def _inputs(names: tuple[str, ...], output: Path, **options: Any) -> "Inputs":
    """The files, and how they are read."""
    from embed_onnx.bulk import inputs

    columns = {
        "field": options["field"] or inputs.FIELD,
        "id": options["id_"],
        "keep": tuple(name.strip() for name in options["keep"].split(",") if name.strip()),
        "header": not options["no_header"],
    }
    if options["delimiter"] is not None:
        columns["delimiter"] = inputs.delimiter(options["delimiter"])
    if options["encoding"] is not None:
        columns["encoding"] = inputs.encoding(options["encoding"])
    return inputs.find(names, options["kind"], output=output, **columns)


def _summary(output: Path, meta: "Meta") -> str:
    from embed_onnx.bulk.inputs import REJECTS

    summary = f"{output} holds {meta.rows:,} vectors of {meta.dimensions} dimensions by {meta.model}"
    if meta.truncated:
        summary += f"; {meta.truncated:,} texts were cut at the model's limit"
    if meta.rejected:
        summary += f"; {meta.rejected:,} records were rejected, see {output}{REJECTS}"
    return summary
