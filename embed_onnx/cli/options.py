"""Settings as options of commands."""

from collections.abc import Callable
from typing import Any

import rich_click as click
from click.types import StringParamType
from rich_click.utils import OptionGroupDict

from embed_onnx import settings


class _Lines(StringParamType):
    """A text; a variable has one a line."""

    envvar_list_splitter = "\n"


Command = Callable[..., None]


def of_settings(*names: str) -> Callable[[Command], Command]:
    """Options of a command from the settings of those names, or from all of them."""

    def decorate(command: Command) -> Command:
        for knob in reversed(settings.knobs()):
            if names and knob.name not in names:
                continue
            flag = f"{knob.flag}/--no-{knob.flag[2:]}" if isinstance(knob.default, bool) else knob.flag
            text = f"{knob.help} [default: {knob.default_text}]" if knob.default_text else knob.help
            more: dict[str, Any] = {"metavar": knob.value} if knob.value else {}
            if knob.name == "model":
                more |= {"multiple": True, "type": _Lines(), "callback": _none_if_absent}
            option = click.option(
                flag, default=None, envvar=knob.variable, show_envvar=True, help=text, **more
            )
            command = option(command)
        return command

    return decorate


def groups() -> list[OptionGroupDict]:
    """The settings of ``serve --help``, by what they are about."""
    flags = {knob.name: knob.flag for knob in settings.knobs()}
    return [
        {"name": title, "options": [flags[name] for name in names]}
        for title, names in settings.GROUPS.items()
    ]


def _none_if_absent(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> Any:
    """None where an option does not stand on the command line, as those that stand once have it."""
    return values or None
