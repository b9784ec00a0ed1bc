"""What commands on files have in common: their options, the files that they name, and what a run came to."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from embed_onnx.cli.options import Command

if TYPE_CHECKING:
    from embed_onnx.bulk.inputs import Inputs
    from embed_onnx.bulk.writers import Meta

KINDS = ("txt", "jsonl", "csv", "tsv", "parquet")
OF_OUTPUT = ("force", "restart")
OF_FILES = ("kind", "id_", "keep", "delimiter", "encoding", "no_header")
REJECTED = 2
"""The exit code of a run that computed everything but some records."""


def of_files(command: Command) -> Command:
    """Options of how files are read, and of what the output keeps."""
    for option in (
        click.option(
            "--format", "kind", type=click.Choice(KINDS), help="What INPUT is, if its name does not say."
        ),
        click.option("--id", "id_", metavar="COLUMN", help="Field or column that becomes the output's id."),
        click.option(
            "--delimiter", help="What is between columns of CSV [default: a comma] or TSV [default: a tab]."
        ),
        click.option(
            "--encoding", help="Of lines, CSV and TSV: utf-8 (default), utf-16, latin-1, cp1252, ..."
        ),
        click.option(
            "--no-header", is_flag=True, help="CSV or TSV begins with a record; columns go by number."
        ),
        click.option(
            "--keep", default="", metavar="COLUMN,...", help="Fields or columns that the output keeps."
        ),
        click.option("--model", help="A name or alias [default: the first that can do it]."),
    )[::-1]:
        command = option(command)
    return command


def of_output(command: Command) -> Command:
    """Options of what becomes of an output, or of an unfinished run, that is there."""
    for option in (
        click.option("--force", is_flag=True, help="Overwrite an OUTPUT that exists."),
        click.option(
            "--restart", is_flag=True, help="Start again instead of continuing a run that was stopped."
        ),
    )[::-1]:
        command = option(command)
    return command


def names(columns: str) -> tuple[str, ...]:
    """Names with commas between."""
    return tuple(name.strip() for name in columns.split(",") if name.strip())


def find(paths: tuple[str, ...], output: Path, options: dict[str, Any], **fields: Any) -> "Inputs":
    """The files, and how they are read; ``fields`` are those of ``Inputs`` that say where texts are."""
    from embed_onnx.bulk import inputs

    columns = {"id": options["id_"], "keep": names(options["keep"]), "header": not options["no_header"]}
    if options["delimiter"] is not None:
        columns["delimiter"] = inputs.delimiter(options["delimiter"])
    if options["encoding"] is not None:
        columns["encoding"] = inputs.encoding(options["encoding"])
    return inputs.find(paths, options["kind"], output=output, **columns, **fields)


def report(output: Path, meta: "Meta", values: str, items: str) -> None:
    """Say what a run came to, and end with 2 if some records were rejected."""
    from embed_onnx.bulk.inputs import REJECTS
    from embed_onnx.bulk.writers import STDOUT

    place = "standard output" if output == STDOUT else output
    summary = f"{place} holds {meta.rows:,} {values} by {meta.model}"
    if meta.truncated:
        summary += f"; {meta.truncated:,} {items} were cut at the model's limit"
    if meta.rejected:
        where = "above" if output == STDOUT else f"{output}{REJECTS}"
        summary += f"; {meta.rejected:,} records were rejected, see {where}"
    click.echo(f"embed-onnx: {summary}", err=True)
    if meta.rejected:
        sys.exit(REJECTED)
