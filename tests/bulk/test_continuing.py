"""What a run finds at its output: its own beginning, another's, or a finished one."""

import resource
from pathlib import Path
from typing import Any

import pytest
from bulk_runs import KINDS, Embed, leave_unfinished, refused, texts_of, vectors_in, write_lines

from embed_onnx.bulk import journal


@pytest.mark.parametrize(
    ("flags", "named"),
    [
        ({"dimensions": 8}, "dimensions was 32 and is 8"),
        ({"dtype": "int8"}, "dtype was 'float32' and is 'int8'"),
        ({"prompt_name": "query"}, "prompt was 'text: ' and is 'search for: '"),
        ({"truncate": False}, "truncate was True and is False"),
        ({"literal_special_tokens": True}, "literal_special_tokens was False and is True"),
    ],
)
def test_another_command_does_not_go_on(
    embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, Any], named: str
) -> None:
    """It says what is different and what to do; --restart begins again."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    leave_unfinished(embed, source, output, monkeypatch)

    sentence = refused(embed, source, output, **flags)

    assert named in sentence
    assert "--restart" in sentence
    assert not output.exists()
    assert 300 == embed(source, output, **flags, restart=True).rows


def test_another_input_does_not_go_on(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    other = write_lines(tmp_path / "other.txt", texts_of(300))
    leave_unfinished(embed, source, output, monkeypatch)

    assert f"the input {other} is new" in refused(embed, other, output)
    assert "the input" in refused(embed, [str(source), str(other)], output)
    with source.open("a") as file:
        file.write("one more\n")
    assert f"{source} has changed" in refused(embed, source, output)


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_disk_says_what_can_be_done(embed: Embed, tmp_path: Path, kind: str) -> None:
    """The output by name, the reason, and that the same command continues; which it does."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(2000)), tmp_path / f"out{kind}"
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
    try:
        sentence = refused(embed, source, output)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    assert (
        f"{output} cannot be written: File too large; make room, and the same command continues" == sentence
    )
    assert 2000 == embed(source, output).rows
    assert 2000 == len(vectors_in(output))


def test_a_finished_output_is_kept(embed: Embed, tmp_path: Path) -> None:
    """The same command finds nothing to do; another needs --force."""
    source, output = write_lines(tmp_path / "in.txt", texts_of(30)), tmp_path / "out.parquet"
    meta = embed(source, output)
    before = output.stat().st_mtime_ns

    assert meta == embed(source, output)
    assert before == output.stat().st_mtime_ns
    assert "--force" in refused(embed, source, output, dimensions=8)
    assert 8 == embed(source, output, dimensions=8, force=True).dimensions
    assert (30, 8) == vectors_in(output).shape


def test_an_output_that_is_not_ours_is_kept(embed: Embed, tmp_path: Path) -> None:
    source, output = write_lines(tmp_path / "in.txt", ["a"]), tmp_path / "out.npy"
    output.write_bytes(b"precious")

    assert "exists; --force overwrites it" in refused(embed, source, output)
    assert b"precious" == output.read_bytes()


def test_one_process_at_an_output(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(30)), tmp_path / "out.npy"

    with journal._locked(output):
        sentence = refused(embed, source, output)

    assert f"another process is writing {output}" in sentence


def test_a_damaged_journal_is_refused(embed: Embed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, output = write_lines(tmp_path / "in.txt", texts_of(300)), tmp_path / "out.npy"
    leave_unfinished(embed, source, output, monkeypatch)
    (tmp_path / "out.npy.partial/vectors.npy").write_bytes(b"")

    assert "is shorter than its journal says" in refused(embed, source, output)
    (tmp_path / "out.npy.partial/journal.json").write_bytes(b"{")
    assert "cannot be read" in refused(embed, source, output)
    assert 300 == embed(source, output, restart=True).rows
