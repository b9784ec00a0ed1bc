"""What GitHub will run: it cannot run here, so all that it names is checked to be there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from harness import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
BUILT = (".venv", "artifacts", "build", "dist", "edge")
"""Folders that runs make."""
PINNED = re.compile(r"[\w-]+/[\w-]+@(v\d+|[0-9a-f]{40})")

workflows = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    """A YAML file; `on` is true there, as YAML 1.1 has it."""
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {"on" if key is True else key: value for key, value in content.items()}


def steps(path: Path) -> Iterator[dict[str, Any]]:
    for job in read(path)["jobs"].values():
        yield from job.get("steps", ())


def commands(path: Path) -> Iterator[list[str]]:
    """Each line that a workflow runs, in words."""
    for step in steps(path):
        for line in step.get("run", "").splitlines():
            yield line.split()


def filters(content: Any) -> Iterator[str]:
    """The paths whose changes start a workflow."""
    for event in content["on"].values():
        yield from event.get("paths", ()) if isinstance(event, dict) else ()


def there(name: str) -> bool:
    """Whether something of the repository has that name, which may be a pattern."""
    return any(ROOT.glob(name.removesuffix("/**"))) or name.partition("/")[0] in BUILT


def targets() -> set[str]:
    """Of the Makefile; `test-%` stands for a target a folder of tests."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    folders = [path.name for path in (ROOT / "tests").iterdir() if path.is_dir()]
    return named | ({f"test-{name}" for name in folders} if "\ntest-%:" in makefile else set())


def test_there_are_workflows() -> None:
    expected = {"check", "quick", "kernels", "export", "wheels", "nightly", "release", "site"}

    assert expected == {path.stem for path in WORKFLOWS} == {read(path)["name"] for path in WORKFLOWS}


@workflows
def test_targets_are_in_the_makefile(path: Path) -> None:
    called = [words for words in commands(path) if words and words[0] == "make"]
    verbs = {word for words in called for word in words[1:] if "=" not in word}

    assert called
    assert set() == verbs - targets()


@workflows
def test_paths_are_there(path: Path) -> None:
    """Those that start a workflow, and those of the repository in its commands."""
    top = {entry.name for entry in ROOT.iterdir()} | set(BUILT)
    words = {
        word for line in commands(path) for word in line if word.partition("/")[0] in top and "/" in word
    }

    assert [] == [name for name in (*filters(read(path)), *words) if not there(name)]


@workflows
def test_a_run_may_only_read_and_ends(path: Path) -> None:
    content = read(path)

    assert {"contents": "read"} == content["permissions"]
    assert all("uses" in job or job["timeout-minutes"] <= 120 for job in content["jobs"].values())
    assert path.stem == "release" or all("permissions" not in job for job in content["jobs"].values())


@workflows
def test_actions_are_pinned(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]

    assert [] == [name for name in used if not PINNED.fullmatch(name)]


def test_quick_runs_on_every_python_that_is_supported() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tried = read(ROOT / ".github" / "workflows" / "quick.yml")["jobs"]["quick"]["strategy"]["matrix"][
        "python"
    ]

    assert project["requires-python"] == f">={tried[0]}"
    assert [f"3.{minor}" for minor in range(11, 11 + len(tried))] == tried


def test_hooks_are_tools_of_the_environment() -> None:
    """Nothing is fetched for them, and each is one that `make check` runs."""
    repos = read(ROOT / ".pre-commit-config.yaml")["repos"]
    hooks = [hook for repo in repos for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    checked = re.findall(r"^\t\$\(BIN\)/(ruff \w+|mypy)", makefile, re.MULTILINE)

    assert ["local"] == [repo["repo"] for repo in repos]
    assert {"system"} == {hook["language"] for hook in hooks}
    assert checked == [hook["entry"].removeprefix(".venv/bin/").split(" --")[0] for hook in hooks]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_forms_for_issues(path: Path) -> None:
    """Each field has a name and a label of its own, and asks for what somebody needs."""
    content = read(path)
    if path.stem == "config":
        assert {"blank_issues_enabled"} == set(content)
        return
    fields = [field for field in content["body"] if field["type"] != "markdown"]

    assert {"name", "description", "body"} <= set(content)
    assert len(fields) == len({field["id"] for field in fields})
    assert any(field.get("validations", {}).get("required") for field in fields)
