"""The Dockerfile of deploy/, read."""

import dockerfile
from harness import ROOT

INSTRUCTIONS = dockerfile.parse_file(str(ROOT / "deploy" / "Dockerfile"))


def stages() -> dict[str, list[dockerfile.Command]]:
    """The instructions of each stage by its name; the last one's name is empty."""
    found: dict[str, list[dockerfile.Command]] = {}
    for instruction in INSTRUCTIONS:
        if instruction.cmd == "FROM":
            found[name := instruction.value[2] if len(instruction.value) > 1 else ""] = []
        found[name].append(instruction)
    return found


def instructions(stage: str, cmd: str) -> list[dockerfile.Command]:
    """The instructions of one kind in a stage."""
    return [instruction for instruction in stages()[stage] if instruction.cmd == cmd]
