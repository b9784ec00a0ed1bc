"""``embed-onnx score``: files of pairs of texts, or of documents for one query, without a server."""

from pathlib import Path
from typing import Any

import rich_click as click

from embed_onnx import setting_words
from embed_onnx.cli import bulk_options, options
from embed_onnx.errors import SetupError

OF_MODEL = ("model", "query", "raw_scores")
PAIR = ("text1", "text2")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="A .npy, .jsonl or .parquet file, or - for standard output.",
)
@click.option(
    "--pair", metavar="COLUMN,COLUMN", help="Fields or columns of the texts [default: text1,text2]."
)
@click.option("--query", help="Score each text as a document for this query, instead of pairs.")
@click.option("--field", help="Field or column of texts that are no pairs [default with --query: text].")
@bulk_options.of_files
@click.option("--raw-scores", is_flag=True, help="Logits in place of scores from 0 to 1.")
@bulk_options.of_output
@options.of_settings(
    *("artifacts", "models", "threads", "kernels", "truncate", "literal_special_tokens", "cache_bytes")
)
def score(inputs: tuple[str, ...], output: Path, pair: str | None, field: str | None, **words: Any) -> None:
    """Score pairs of texts without a server: JSON lines, CSV or Parquet, plain or .gz, or - for stdin.

    With --query, each text of a column, or each line of a text file, is scored for that query; with --field
    alone, or of text files, a classifier scores single texts.

    Quoted globs are expanded. The same command continues a run that was stopped. Records that cannot be
    scored are listed in OUTPUT.rejects.jsonl, and make the exit code 2.
    """
    of_model, of_output, of_files = (
        {name: words.pop(name) for name in names}
        for names in (OF_MODEL, bulk_options.OF_OUTPUT, bulk_options.OF_FILES)
    )
    configuration = setting_words.from_words(words)
    if pair is not None and (field is not None or of_model["query"] is not None):
        raise SetupError("--pair is for files of pairs of texts; leave it out, or --query and --field")
    from embed_onnx.bulk.run import Target
    from embed_onnx.bulk.score import Choice, score_files

    places = _places(pair, field, alone=field is not None or of_model["query"] is not None)
    files = bulk_options.find(inputs, output, of_files, **places)
    choice = Choice(settings=configuration, **of_model)
    meta = score_files(files, Target(output=output, **of_output), choice)
    values = "logits" if meta.raw_scores else "scores"
    bulk_options.report(
        output, meta, values if len(meta.labels) == 1 else f"rows of {len(meta.labels)} {values}", "items"
    )


def _places(pair: str | None, field: str | None, *, alone: bool) -> dict[str, str]:
    """Where the texts are, as fields of ``Inputs``."""
    from embed_onnx.bulk.inputs import FIELD

    if alone:
        return {"field": field or FIELD}
    columns = PAIR if pair is None else bulk_options.names(pair)
    if len(columns) != 2 or len(set(columns)) != 2:
        raise SetupError(f"--pair {pair}: give two columns, such as --pair question,answer")
    return {"field": columns[0], "second": columns[1]}
