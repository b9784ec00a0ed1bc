"""``embed-onnx embed``: files or texts, without a server."""

from pathlib import Path
from typing import Any

import rich_click as click

from embed_onnx import settings
from embed_onnx.cli import bulk_options, options
from embed_onnx.errors import SetupError

DTYPES = ("float32", "float16", "int8", "uint8", "binary", "ubinary")
RANGED = ("int8", "uint8")
OF_MODEL = ("model", "prompt_name", "dimensions", "dtype", "ranges")
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
@click.option("--dtype", type=click.Choice(DTYPES), default="float32", show_default=True, help="Of a number.")
@click.option(
    "--ranges",
    type=click.Choice(("rows", "model")),
    default="rows",
    show_default=True,
    help="Of int8 and uint8: those of the first rows, or the model's own, as a server has them.",
)
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
    of_model, of_output, of_files = (
        {name: words.pop(name) for name in names} for names in (OF_MODEL, bulk_options.OF_OUTPUT, OF_FILES)
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
    from embed_onnx.bulk.embed import Choice, embed_files, embed_texts
    from embed_onnx.bulk.inputs import FIELD
    from embed_onnx.bulk.run import Target
    from embed_onnx.bulk.writers import STDOUT

    choice = Choice(settings=configuration, **of_model)
    if output is None:
        embed_texts(texts, choice)
        return
    if output == STDOUT and choice.dtype in RANGED and choice.ranges == "rows":
        raise SetupError(
            f"{choice.dtype} is stored with its ranges; name a file with --output, or choose --ranges model "
            "or another --dtype"
        )
    files = bulk_options.find(inputs, output, of_files, field=of_files["field"] or FIELD)
    meta = embed_files(files, Target(output=output, **of_output), choice)
    bulk_options.report(output, meta, f"vectors of {meta.dimensions} dimensions", "texts")
