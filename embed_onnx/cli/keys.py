"""``embed-onnx key new | list | remove``: the API keys of a file."""

from pathlib import Path

import rich_click as click

from embed_onnx import setting_words

FILE = click.option(
    "--file",
    "file",
    callback=lambda _context, _option, word: setting_words.from_words({"api_keys_file": word}).api_keys_file,
    required=True,
    envvar="EMBED_ONNX_API_KEYS_FILE",
    show_envvar=True,
    help="The file that serve gets as --api-keys-file.",
)


@click.group()
def key() -> None:
    """Make, list and remove the API keys of a file."""


@key.command("new")
@click.argument("name")
@click.option("--admin", is_flag=True, help="A key for the routes of administrators, too.")
@FILE
def new_key(name: str, admin: bool, file: Path) -> None:
    """Make a key, print it this once, and add its hash to the file."""
    from embed_onnx.http import keys

    click.echo(keys.add(file, name, admin=admin))


@key.command("list")
@FILE
def list_keys(file: Path) -> None:
    """Show the names of the keys, and which are of administrators."""
    from embed_onnx.http import keys

    for item in keys.read(file):
        click.echo(f"{item.name} admin" if item.admin else item.name)


@key.command("remove")
@click.argument("name")
@FILE
def remove_key(name: str, file: Path) -> None:
    """Take a key out of the file."""
    from embed_onnx.http import keys

    keys.remove(file, name)
