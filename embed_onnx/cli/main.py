"""The command line: ``embed-onnx serve``, ``export``, ``report`` and so on.

A command a file. Commands import what they use inside their functions, so that ``--help`` is instant.
"""

import sys

import rich_click as click

from embed_onnx import __version__
from embed_onnx.cli import options
from embed_onnx.cli.embed import embed
from embed_onnx.cli.export import export, report
from embed_onnx.cli.health import health
from embed_onnx.cli.keys import key
from embed_onnx.cli.models import models
from embed_onnx.cli.score import score
from embed_onnx.cli.serve import serve
from embed_onnx.cli.transfer import pull, push
from embed_onnx.errors import EmbedError, SetupError
from embed_onnx.system import signals
from embed_onnx.system.signals import Interruption


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="embed-onnx")
def cli() -> None:
    """Sentence-Transformers as int8 ONNX on CPUs, served over OpenAI's embeddings API."""


click.rich_click.OPTION_GROUPS = {"embed-onnx serve": options.groups()}
click.rich_click.COMMAND_GROUPS = {
    "embed-onnx": [
        {"name": "Models", "commands": ["export", "models", "report", "push", "pull"]},
        {"name": "A server", "commands": ["serve", "health", "key"]},
        {"name": "Files and texts, without a server", "commands": ["embed", "score"]},
    ]
}

for command in (serve, export, report, models, pull, push, embed, score, health, key):
    cli.add_command(command)


def main() -> None:
    """Run a command; a failure that was foreseen is one sentence and exit code 1."""
    signals.handle()
    click.UsageError.exit_code = 1  # 2 says that records were rejected
    try:
        cli(prog_name="embed-onnx")
    except (SetupError, EmbedError, OSError, UnicodeError) as err:
        click.echo(f"embed-onnx: {err}", err=True)
        sys.exit(1)
    except Interruption as interruption:
        click.echo(f"embed-onnx: {interruption.sentence}", err=True)
        sys.exit(interruption.exit_code)
