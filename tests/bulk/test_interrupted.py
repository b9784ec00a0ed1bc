"""What a signal says, wherever in a run it comes: once there is a journal, that the run can continue."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from embed_onnx.bulk import journal, writers
from embed_onnx.bulk.blocks import Position
from embed_onnx.bulk.embed import EmbedPlan
from embed_onnx.bulk.inputs import Inputs
from embed_onnx.bulk.writers import Values
from embed_onnx.system.signals import Interruption

CONTINUES = "stopped by SIGTERM; the same command continues from here"
INPUTS = Inputs(files=(), kind="txt")
PLAN = EmbedPlan(
    inputs=INPUTS,
    model="small",
    repo="owner/small",
    revision=None,
    artifact="0" * 64,
    manifest="1" * 64,
    precision="int8",
    runs_on="standard operators",
    prompt="",
    dimensions=32,
    dtype="float32",
    truncate=True,
)


def interrupt(*_: object) -> NoReturn:
    raise Interruption(signal.SIGTERM)


def run(output: Path, step: Callable[[], object] = lambda: None) -> str:
    """What an interruption of a run says, whose only work is one step."""
    writer = writers.writer(output, INPUTS, Values(name=writers.EMBEDDING, width=PLAN.dimensions))
    with pytest.raises(Interruption) as caught, journal.at(output, PLAN, writer, restart=False) as opened:
        opened.state.position = Position(0, 1, 1)
        opened.commit()
        step()
    return caught.value.sentence


def test_in_the_work(tmp_path: Path) -> None:
    assert CONTINUES == run(tmp_path / "out.npy", interrupt)


def test_while_a_run_is_opened_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its files are being cut to what counts of them."""
    run(tmp_path / "out.npy", interrupt)
    state = journal.read_state(tmp_path / "out.npy")
    monkeypatch.setattr(os, "truncate", interrupt)

    assert CONTINUES == run(tmp_path / "out.npy")
    assert state == journal.read_state(tmp_path / "out.npy")


def test_before_there_is_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan is being written: nothing is lost, and nothing is there to continue."""
    monkeypatch.setattr(os, "fsync", interrupt)

    assert "stopped by SIGTERM" == run(tmp_path / "out.npy")
    assert journal.read_state(tmp_path / "out.npy") is None
