"""Other projects' clients, each in an environment of its own, which ``make clients`` makes.

A program of ``clients/programs`` calls one of them in the ways its users do; what it got is compared with the
vectors of the model in process.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from harness import ROOT

PROGRAMS = Path(__file__).parents[1] / "clients" / "programs"
ENVIRONMENTS = Path(__file__).parents[2] / ".venv" / "clients"
OPENAI_VOCABULARY = "litellm/lib/*/site-packages/litellm/litellm_core_utils/tokenizers"
"""Where LiteLLM's package has the tables of OpenAI's ids, named as in tiktoken's cache."""
TEXTS = ["Hello", "a second, somewhat longer text", "naïve café, 東京", "third " * 40]
"""What the programs send."""
MONEY = "Interest rates rose again."
"""What the snippets of the guides find for money and banks."""
SNIPPET_TEXTS = ["The cat sleeps on the sofa.", MONEY, "The soup needs more salt."]
"""What they put into databases."""


class Outcome(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a call of a client gave: its answer, or the exception's classes, message and ``code``."""

    answer: Any = None
    kinds: tuple[str, ...] = ()
    message: str = ""
    code: str = ""

    @property
    def vectors(self) -> np.ndarray:
        """The answer as an array of float32, of whatever shape."""
        assert not self.kinds, self
        return np.array(self.answer, np.float32)


Outcomes = dict[str, Outcome]
"""By the name of the case."""
Drive = Callable[[str, str], Outcomes]
"""Runs a program, the second, in the environment of the first's name."""


def run(environment: str, program: str, arguments: list[str], home: Path) -> Outcomes:
    """Run a program in an environment."""
    output = python(environment, [str(PROGRAMS / program), *arguments, *TEXTS], home)
    return msgspec.json.decode(output, type=Outcomes)


def python(environment: str, arguments: list[str], home: Path) -> str:
    """What Python prints in an environment, with an empty home; skip the test if there is no environment."""
    folder = ENVIRONMENTS / environment
    if not (folder / ".made").exists():
        pytest.skip(f"no environment {environment}: {why_not(environment)}")
    done = subprocess.run(
        [folder / "bin" / "python", *arguments],
        cwd=home,
        env={"HOME": str(home), "PATH": "/usr/bin:/bin", **offline()},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def why_not(environment: str) -> str:
    """Why there is no such environment."""
    log = ENVIRONMENTS / f"{environment}.log"
    lines = log.read_text().splitlines() if log.exists() else []
    return lines[-1] if lines else "`make clients` makes it"


def offline() -> dict[str, str]:
    """What keeps clients from asking the internet; besides, programs refuse all addresses but loopback."""
    return {
        "ANONYMIZED_TELEMETRY": "False",
        "DO_NOT_TRACK": "1",
        "HAYSTACK_TELEMETRY_ENABLED": "False",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "LANGSMITH_TRACING": "false",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "MEM0_TELEMETRY": "False",
        "TIKTOKEN_CACHE_DIR": str(next(ENVIRONMENTS.glob(OPENAI_VOCABULARY), "")),
    }


def snippets(path: str, package: str) -> list[str]:
    """The blocks of Python in a document that import from a package."""
    blocks = re.findall(r"^```python\n(.*?)^```$", (ROOT / path).read_text(), re.DOTALL | re.MULTILINE)
    return [block for block in blocks if f"from {package} import" in block]
