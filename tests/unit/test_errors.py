"""The failures that a client can meet, and the tree of them that the module's docstring draws."""

import re

import msgspec
import pytest

from embed_onnx import errors
from embed_onnx.errors import EmbedError, Overloaded, SetupError, TimedOut, Unavailable
from embed_onnx.http import answers

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type)]
ANSWERS = [kind for kind in CLASSES if issubclass(kind, EmbedError)]


def make(kind: type[EmbedError]) -> EmbedError:
    """An error of that class."""
    return kind("what happened", retry_after=2.5) if kind is Overloaded else kind("what happened")


def drawn() -> dict[str, tuple[str, str]]:
    """Each class in the docstring's tree, with its parent and what is said of it."""
    tree: dict[str, tuple[str, str]] = {}
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        result = re.fullmatch(r"    ([ │├└─]*)([A-Z]\w+):?(?: +(.*))?", line)
        if result:
            indent, name, remark = result.groups()
            path = [*path[: len(indent) // 4], name]
            tree[name] = (path[-2] if len(path) > 1 else "Exception", remark or "")
    return tree


def test_the_docstring_draws_every_class_below_its_parent():
    expected = {kind.__name__: kind.__base__.__name__ for kind in CLASSES}

    assert expected == {name: parent for name, (parent, _) in drawn().items()}


@pytest.mark.parametrize("kind", ANSWERS[1:])
def test_the_docstring_tells_the_status_type_and_code_of_every_class(kind):
    _, remark = drawn()[kind.__name__]

    if kind is errors.ClientGone:
        assert remark.startswith("499 ")
    else:
        assert [str(kind.status), kind.type, *filter(None, [kind.code])] == remark.split()


@pytest.mark.parametrize("kind", ANSWERS)
def test_every_error_has_the_fields_of_openai(kind):
    body = msgspec.to_builtins(answers.error_response(make(kind)))

    assert {
        "error": {"message": "what happened", "type": kind.type, "param": None, "code": kind.code}
    } == body


@pytest.mark.parametrize("kind", ANSWERS)
def test_the_type_follows_from_the_status(kind):
    """Clients tell by the type whether trying again may help."""
    expected = "server_error" if kind.status >= 500 else "invalid_request_error"

    assert ("rate_limit_error" if kind.status == 429 else expected) == kind.type


def test_an_invalid_request_names_the_field():
    answer = answers.error_response(errors.InvalidRequest("too many", param="input"))

    assert answer.error.param == "input"


@pytest.mark.parametrize("kind", [Overloaded, Unavailable, TimedOut])
@pytest.mark.parametrize(("seconds", "expected"), [(0, "1"), (1, "1"), (2.1, "3")], ids=["0", "1", "2.1"])
def test_retry_after_is_in_whole_seconds_rounded_up(kind, seconds, expected):
    assert {"Retry-After": expected} == kind("later", retry_after=seconds).headers


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        pytest.param(errors.InferenceFailed, {"x-should-retry": "false"}, id="a-bug-stays"),
        pytest.param(errors.InvalidApiKey, {"WWW-Authenticate": "Bearer"}, id="scheme-of-the-key"),
        pytest.param(errors.ModelNotFound, {}, id="none"),
    ],
)
def test_headers_tell_clients_what_to_do(kind, expected):
    assert expected == kind("what happened").headers


def test_failures_at_the_start_never_reach_a_client():
    assert not any(issubclass(kind, SetupError) for kind in ANSWERS)
