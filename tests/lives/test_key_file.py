"""The file of API keys: how it is read and refused, and the commands that write it."""

import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness import run

from embed_onnx.errors import SetupError
from embed_onnx.http import keys
from embed_onnx.http.keys import Key, Keys
from embed_onnx.settings import Settings

A, B = "a" * 64, "b" * 64
"""Digests."""


def write(key_file: Path, text: str, mode: int = 0o600) -> Path:
    key_file.write_text(text)
    key_file.chmod(mode)
    return key_file


def refusal(attempt: Callable[..., Any], *arguments: Any, **options: Any) -> str:
    with pytest.raises(SetupError) as caught:
        attempt(*arguments, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(f"a sha256:{A}\nb sha256:{B}\n", [("a", False), ("b", False)], id="one-a-line"),
        pytest.param(f"a sha256:{A} admin", [("a", True)], id="admin-and-no-line-end"),
        pytest.param(f"# ours\r\n\r\n \ta  sha256:{A}\t# his\r\n", [("a", False)], id="comments-and-spaces"),
        pytest.param(f"a sha256:{A} # admin\n", [("a", False)], id="admin-in-a-comment"),
        pytest.param(f"\ufeffTeam.A_1-b sha256:{A.upper()}", [("Team.A_1-b", False)], id="mark-and-capitals"),
        pytest.param("# none yet\n", [], id="no-key"),
    ],
)
def test_a_file_has_a_key_a_line(key_file: Path, text: str, expected: list[tuple[str, bool]]) -> None:
    actual = keys.read(write(key_file, text))

    assert expected == [(key.name, key.admin) for key in actual]
    assert all(key.digest in (bytes.fromhex(A), bytes.fromhex(B)) for key in actual)


SECRET = keys.PREFIX + "mJ3vW-kUq0m1yYp2l4Hc9_ZtXr8sQnB7aEoGdVfKiTw"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(SECRET, "embed-onnx key new NAME --file", id="plain-key"),
        pytest.param("some plain secret", "embed-onnx key new NAME --file", id="plain-words"),
        pytest.param(f"b {SECRET}", "embed-onnx key new NAME --file", id="plain-key-with-a-name"),
        pytest.param(f"b sha256:{B[1:]}", "is not sha256: and 64 hex digits", id="short-hash"),
        pytest.param(f"b sha256:{B}0", "is not sha256: and 64 hex digits", id="long-hash"),
        pytest.param(f"b sha256:{'x' * 64}", "is not sha256: and 64 hex digits", id="no-hex"),
        pytest.param(f"b {B}", "is not sha256: and 64 hex digits", id="no-kind-of-hash"),
        pytest.param(f"b md5:{B[:32]}", "is not sha256: and 64 hex digits", id="other-hash"),
        pytest.param(f"{SECRET} sha256:{B}", "does not begin with eo_", id="key-as-name"),
        pytest.param(f"é sha256:{B}", "up to 64 letters", id="letter-outside-ascii"),
        pytest.param(f"{'n' * 65} sha256:{B}", "up to 64 letters", id="long-name"),
        pytest.param(f"b sha256:{B} root", "the word admin and nothing else", id="unknown-word"),
        pytest.param(f"b sha256:{B} admin admin", "the word admin and nothing else", id="too-many-words"),
        pytest.param(f"a sha256:{B}", "the same name as in line 1; remove one", id="name-twice"),
        pytest.param(f"b sha256:{A} admin", "the same key as in line 1; remove one", id="key-twice"),
    ],
)
def test_a_wrong_line_is_named_and_not_repeated(key_file: Path, line: str, reason: str) -> None:
    """The sentence says where and what to do, and shows nothing of a line that may be a key."""
    sentence = refusal(keys.read, write(key_file, f"a sha256:{A}\n\n{line}\n"))

    assert sentence.startswith(f"{key_file}, line 3: ")
    assert reason in sentence
    assert not any(word in sentence for word in line.split() if len(word) > 6)


@pytest.mark.parametrize("text", ["", "\n \n", "# no key yet\n"], ids=["empty", "blank", "comment"])
def test_a_file_without_a_key_does_not_open_the_server_to_all(key_file: Path, text: str) -> None:
    """Not even where keys are given otherwise: the file was meant to hold some."""
    settings = Settings(api_keys=("a",), api_keys_file=write(key_file, text))

    expected = f"{key_file} holds no key; make one with `embed-onnx key new NAME --file {key_file}`"
    assert expected == refusal(keys.load, settings)


@pytest.mark.parametrize("content", [None, b"\xff"], ids=["missing", "not-utf8"])
def test_a_file_that_cannot_be_read(key_file: Path, content: bytes | None) -> None:
    if content is not None:
        key_file.write_bytes(content)

    assert refusal(keys.read, key_file).startswith(f"the key file {key_file} ")


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_can_write_is_refused(key_file: Path, mode: int) -> None:
    """Anyone who can write to it can add a key, as an admin too."""
    sentence = refusal(keys.read, write(key_file, f"a sha256:{A}\n", mode))

    assert f"(mode {mode:04o})" in sentence
    assert sentence.endswith(f"run `chmod go-w {key_file}`")


@pytest.mark.parametrize(("mode", "warned"), [(0o644, True), (0o640, False), (0o400, False)])
def test_a_file_that_everybody_can_read_is_warned_of(
    key_file: Path, mode: int, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Hashes open no door, so that a warning will do; a group may be meant to read them."""
    keys.read(write(key_file, f"a sha256:{A}\n", mode))

    assert warned == (
        f"everybody can read the key file {key_file} (mode 0644); run `chmod o-r" in caplog.text
    )


def test_plain_keys_of_the_setting_have_numbers_and_no_rights(key_file: Path) -> None:
    """They are joined by those of the file."""
    key = keys.add(key_file, "boss", admin=True)

    actual = keys.load(Settings(api_keys=("one", "zwölf"), api_keys_file=key_file))

    named = [actual.find(value) for value in ("one", "zwölf", key, "three", "")]
    assert [("key-1", False), ("key-2", False), ("boss", True), None, None] == [
        key and (key.name, key.admin) for key in named
    ]
    assert (3, True) == (len(actual), actual.has_admin)


def test_a_name_of_the_file_that_a_plain_key_has(key_file: Path) -> None:
    settings = Settings(api_keys=("one",), api_keys_file=write(key_file, f"key-1 sha256:{A}\n"))

    assert "names a key 'key-1'" in refusal(keys.load, settings)


def test_without_keys_there_is_nobody_to_find() -> None:
    actual = keys.load(Settings())

    assert (0, False, None) == (len(actual), actual.has_admin, actual.find(""))


@pytest.mark.parametrize("secret", ["first", "last", "none"])
def test_every_key_is_compared_in_constant_time(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the key stands, all digests are compared, by the function that is made for it."""
    compared: list[tuple[bytes, bytes]] = []
    real = keys.hmac.compare_digest

    def watched(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return real(one, other)

    digests = [hashlib.sha256(name.encode()).digest() for name in ("first", "second", "last")]
    monkeypatch.setattr(keys.hmac, "compare_digest", watched)

    actual = Keys(Key(f"k{place}", digest) for place, digest in enumerate(digests)).find(secret)

    assert {"first": "k0", "last": "k2"}.get(secret) == (actual and actual.name)
    assert [(hashlib.sha256(secret.encode()).digest(), digest) for digest in digests] == compared


def test_key_new_prints_the_key_once_and_stores_its_hash(key_file: Path, tmp_path: Path) -> None:
    """What is on standard output opens the door; what is in the file does not."""
    done = run("key", "new", "alice", "--file", str(key_file), cwd=tmp_path)
    boss = run("key", "new", "boss", "--admin", "--file", str(key_file), cwd=tmp_path)

    key = done.stdout.strip()
    assert (0, 0, "", "") == (done.returncode, boss.returncode, done.stderr, boss.stderr)
    assert re.fullmatch(r"eo_[A-Za-z0-9_-]{43}", key)
    assert 0o600 == stat.S_IMODE(key_file.stat().st_mode)
    assert [key_file] == list(tmp_path.iterdir())
    assert key not in key_file.read_text()
    assert key[len(keys.PREFIX) :] not in key_file.read_text()
    assert hashlib.sha256(key.encode()).hexdigest() in key_file.read_text()
    actual = keys.load(Settings(api_keys_file=key_file))
    names = [actual.find(value) for value in (key, boss.stdout.strip(), key_file.read_text().split()[1])]
    assert [("alice", False), ("boss", True), None] == [one and (one.name, one.admin) for one in names]


def test_key_list_and_remove(key_file: Path, tmp_path: Path) -> None:
    """The file is found by the server's own variable; comments and other keys stay as they are."""
    write(key_file, f"# ours\na sha256:{A}  # his\nab sha256:{B} admin")
    environment = {"EMBED_ONNX_API_KEYS_FILE": str(key_file)}

    listed = run("key", "list", cwd=tmp_path, environment=environment)
    removed = run("key", "remove", "a", cwd=tmp_path, environment=environment)
    again = run("key", "remove", "a", cwd=tmp_path, environment=environment)

    assert "a\nab admin\n" == listed.stdout
    assert (0, f"# ours\nab sha256:{B} admin") == (removed.returncode, key_file.read_text())
    assert (1, f"embed-onnx: {key_file} has no key 'a'; it has ab\n") == (again.returncode, again.stderr)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        pytest.param("a", "has a key 'a'; choose another name, or remove it with", id="taken"),
        pytest.param("", "'' cannot name a key; a name is up to 64", id="empty"),
        pytest.param("two words", "cannot name a key", id="space"),
        pytest.param("a#b", "cannot name a key", id="comment"),
        pytest.param("a\nb", "cannot name a key", id="line-end"),
        pytest.param("eo_a", "does not begin with eo_", id="prefix"),
    ],
)
def test_a_name_that_is_taken_or_malformed(key_file: Path, name: str, reason: str) -> None:
    """Nothing is written then."""
    write(key_file, f"a sha256:{A}\n")

    assert reason in refusal(keys.add, key_file, name)
    assert f"a sha256:{A}\n" == key_file.read_text()


def test_a_key_is_not_added_to_a_file_that_is_wrong(key_file: Path) -> None:
    write(key_file, f"a sha256:{A}\nplain\n")

    assert f"{key_file}, line 2: " in refusal(keys.add, key_file, "b")
    assert f"a sha256:{A}\nplain\n" == key_file.read_text()


def test_a_key_file_in_a_folder_that_is_absent(tmp_path: Path) -> None:
    sentence = refusal(keys.add, tmp_path / "none" / "keys", "a")

    assert f"{tmp_path / 'none' / 'keys'} cannot be written: No such file or directory; " in sentence


def test_a_key_file_whose_links_go_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "keys").symlink_to("keys")

    sentence = refusal(keys.add, tmp_path / "keys", "a")

    assert "Too many levels of symbolic links" in sentence
    assert (tmp_path / "keys").is_symlink()


def test_a_failed_write_leaves_the_old_file(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs no key, and leaves nothing beside the file."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    write(key_file, f"a sha256:{A}\n")
    monkeypatch.setattr(os, "fsync", full)

    assert "cannot be written: No space left on device" in refusal(keys.add, key_file, "b")
    assert f"a sha256:{A}\n" == key_file.read_text()
    assert [key_file] == list(key_file.parent.iterdir())


def test_a_file_keeps_its_mode_its_last_line_and_its_link(key_file: Path, tmp_path: Path) -> None:
    """A server that reads the file through a group or a link goes on reading it."""
    write(key_file, f"a sha256:{A}", mode=0o640)
    (tmp_path / "link").symlink_to(key_file)

    keys.add(tmp_path / "link", "b")

    assert (tmp_path / "link").is_symlink()
    assert 0o640 == stat.S_IMODE(key_file.stat().st_mode)
    assert ["a", "b"] == [key.name for key in keys.read(key_file)]


def test_keys_that_are_made_at_the_same_time_are_all_kept(key_file: Path) -> None:
    names = [f"k{number}" for number in range(16)]
    threads = [threading.Thread(target=keys.add, args=(key_file, name)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(names) == sorted(key.name for key in keys.read(key_file))
