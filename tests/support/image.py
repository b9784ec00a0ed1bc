"""The Dockerfile of deploy/, read."""

import dockerfile
from harness import ROOT

INSTRUCTIONS = dockerfile.parse_file(str(ROOT / "deploy" / "Dockerfile"))


def stages() -> dict[str, list[dockerfile.Command]]:
    """The instructions of each stage by its name; the last one's name is empty."""
    result: dict[str, list[dockerfile.Command]] = {}
    for instruction in INSTRUCTIONS[_first_stage() :]:
        if instruction.cmd == "FROM":
            result[name := instruction.value[2] if len(instruction.value) > 1 else ""] = []
        result[name].append(instruction)
    return result


def _first_stage() -> int:
    """Before it are arguments of all stages."""
    return next(at for at, instruction in enumerate(INSTRUCTIONS) if instruction.cmd == "FROM")


def instructions(stage: str, cmd: str) -> list[dockerfile.Command]:
    """The instructions of one kind in a stage."""
    return [instruction for instruction in stages()[stage] if instruction.cmd == cmd]
