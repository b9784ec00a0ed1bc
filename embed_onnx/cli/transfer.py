"""``embed-onnx pull`` and ``push``: artifacts from and to other machines."""

import contextlib
from collections.abc import Iterator
from typing import Any

import rich_click as click

from embed_onnx import install, setting_words
from embed_onnx.cli import options
from embed_onnx.errors import SetupError


@click.command()
@click.argument("source")
@click.option("--name", help="The name to serve it under [default: its own].")
@options.of_settings("artifacts")
def pull(source: str, name: str | None, **words: Any) -> None:
    """Copy a prebuilt artifact into the folder of artifacts; nothing is exported.

    SOURCE is OWNER/NAME or OWNER/NAME@REVISION on a model hub, ./FOLDER, or https://HOST/FILE.tar#sha256=HEX.
    Every file is checked against the manifest before the artifact takes its place.
    """
    from embed_onnx.artifact import manifest, transfer

    configuration = setting_words.from_words(words)
    if name is not None and not manifest.is_name(name):
        raise SetupError(f"--name {name!r} cannot name a model; use letters, digits, '.', '_', '-' and '/'")
    with _packages():
        click.echo(transfer.pull(source, configuration.artifacts, name))


@click.command()
@click.argument("name")
@click.argument("destination")
@options.of_settings("artifacts")
def push(name: str, destination: str, **words: Any) -> None:
    """Copy the artifact NAME to where other machines can pull it, and print from where.

    DESTINATION is ./FILE.tar, which a web server may then serve, ./FOLDER, or OWNER/NAME or OWNER/NAME@BRANCH
    on a model hub, which is created, private, where it is absent.
    """
    from embed_onnx.artifact import transfer

    configuration = setting_words.from_words(words)
    with _packages():
        click.echo(transfer.push(name, destination, configuration.artifacts))


@contextlib.contextmanager
def _packages() -> Iterator[None]:
    """Turn the absence of the hub's client into a sentence.

    Raises:
        SetupError: It is not installed.
    """
    try:
        yield
    except ImportError as err:
        raise SetupError(
            f"a repository on a model hub needs huggingface_hub ({err}); install it with "
            f"`{install.command('hub')}`, or use a folder or an https address"
        ) from None
