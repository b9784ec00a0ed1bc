"""Settings as options of commands."""

from collections.abc import Callable

import rich_click as click

from embed_onnx import settings

Command = Callable[..., None]


def of_settings(*names: str) -> Callable[[Command], Command]:
    """Options of a command from the settings of those names, or from all of them."""

    def decorate(command: Command) -> Command:
        for knob in reversed(settings.knobs()):
            if names and knob.name not in names:
                continue
            flag = f"{knob.flag}/--no-{knob.flag[2:]}" if isinstance(knob.default, bool) else knob.flag
            text = f"{knob.help} [default: {knob.default_text}]" if knob.default_text else knob.help
            option = click.option(flag, default=None, envvar=knob.variable, show_envvar=True, help=text)
            command = option(command)
        return command

    return decorate
