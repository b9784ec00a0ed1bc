"""Bodies in: every bad body is an InvalidRequest that names the field, and odd ones are taken."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.errors import InvalidRequest
from embed_onnx.http.body import inputs as input_field
from embed_onnx.http.body import reading
from embed_onnx.http.openai import embeddings as wire

MIXED = "The request is not valid: Expected `{}`, got `{}` - at `$.input[{}]`"
DEEP = b"[" * 100_000 + b"]" * 100_000
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=12,
)


def decode(json: bytes) -> wire.EmbeddingRequest:
    """The request of a body."""
    return reading.read(json, wire.EmbeddingRequest)


def inputs(body: bytes, max_inputs: int = 3) -> input_field.Inputs:
    """The inputs of a body."""
    return input_field.parse(decode(body).input, max_inputs=max_inputs, max_characters=50)


def refuse(body: bytes) -> InvalidRequest:
    """What reading a bad body fails with."""
    with pytest.raises(InvalidRequest) as caught:
        inputs(body)
    return caught.value


def with_input(value: object) -> bytes:
    """A body with that input."""
    return json.dumps({"input": value}).encode()


def parse(value: object) -> input_field.Inputs | InvalidRequest:
    """The inputs of a JSON value, or why there are none."""
    try:
        return inputs(with_input(value))
    except InvalidRequest as err:
        return err


def test_a_body_becomes_its_request():
    body = b'{"input": ["a"], "model": "m", "encoding_format": "base64", "dimensions": 8, "truncate": false}'

    expected = wire.EmbeddingRequest(
        input=msgspec.Raw(b'["a"]'), model="m", encoding_format="base64", dimensions=8, truncate=False
    )
    assert expected == decode(body)
    assert ["a"] == inputs(body)


def test_null_is_the_same_as_leaving_a_field_out():
    optional = [
        "model",
        "encoding_format",
        "dimensions",
        "user",
        "prompt_name",
        "prompt",
        "input_type",
        "truncate",
    ]
    body = json.dumps({"input": "a", **dict.fromkeys(optional)}).encode()

    assert wire.EmbeddingRequest(input=msgspec.Raw(b'"a"')) == decode(body)


@pytest.mark.parametrize("value", ["1", '"x"', "[{}]", "1e999", "null"])
def test_unknown_fields_are_ignored(value):
    assert ["a"] == inputs(f'{{"extra": {value}, "input": "a"}}'.encode())


@pytest.mark.parametrize(
    ("body", "start"),
    [
        pytest.param(b"", "the body is empty; ", id="empty"),
        pytest.param(b'{"input": "a"', "The body is not valid JSON: ", id="cut-off"),
        pytest.param(b'{"input": "a"} b', "The body is not valid JSON: ", id="more-after-it"),
        pytest.param(b"{'input': 'a'}", "The body is not valid JSON: ", id="single-quotes"),
        pytest.param(b'{"input": NaN}', "The body is not valid JSON: ", id="nan"),
        pytest.param(b'{"input": "a\x00"}', "The body is not valid JSON: ", id="raw-nul"),
        pytest.param(rb'{"input": "\ud80"}', "The body is not valid JSON: ", id="half-an-escape"),
        pytest.param('{"input": "a"}'.encode("utf-16"), "The body is UTF-16 or UTF-32; ", id="utf-16"),
        pytest.param('{"input": "a"}'.encode("utf-16-le"), "The body is UTF-16 or", id="utf-16-no-mark"),
        pytest.param('{"input": "a"}'.encode("utf-16-be"), "The body is UTF-16 or", id="utf-16-be"),
        pytest.param('{"input": "a"}'.encode("utf-32"), "The body is UTF-16 or UTF-32; ", id="utf-32"),
        pytest.param(b'{"input": "\xff"}', "The body is not UTF-8: ", id="not-utf8"),
        pytest.param(b'{"input": "\xed\xa0\x80"}', "The body is not UTF-8: ", id="encoded-surrogate"),
        pytest.param(b"[]", "The request is not valid: ", id="array"),
        pytest.param(b"null", "The request is not valid: ", id="null"),
        pytest.param(b'{"input": ' + DEEP + b"}", "The body is nested too deeply", id="deep"),
        pytest.param(
            b'{"input": "a", "x": ' + DEEP + b"}", "The body is nested too deeply", id="deep-unknown"
        ),
    ],
)
def test_a_body_that_is_no_request_names_no_field(body, start):
    error = refuse(body)

    assert start == str(error)[: len(start)]
    assert error.param is None


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        pytest.param('"model": "m"', "input", id="no-input"),
        pytest.param('"input": null', "input", id="input-null"),
        pytest.param('"input": 5', "input", id="input-number"),
        pytest.param('"input": {}', "input", id="input-object"),
        pytest.param('"input": [true]', "input", id="input-boolean"),
        pytest.param('"input": [1.0]', "input", id="input-fraction"),
        pytest.param('"input": ["a", null]', "input", id="input-item-null"),
        pytest.param('"input": [["a"]]', "input", id="input-texts-in-a-list"),
        pytest.param('"input": [[1, [2]]]', "input", id="input-three-deep"),
        pytest.param(f'"input": [1{"0" * 5000}]', "input", id="input-huge-integer"),
        pytest.param('"input": "a", "model": 1', "model", id="model"),
        pytest.param('"input": "a", "dimensions": 0', "dimensions", id="dimensions-zero"),
        pytest.param('"input": "a", "dimensions": "8"', "dimensions", id="dimensions-text"),
        pytest.param('"input": "a", "dimensions": 1.5', "dimensions", id="dimensions-fraction"),
        pytest.param('"input": "a", "dimensions": true', "dimensions", id="dimensions-boolean"),
        pytest.param('"input": "a", "encoding_format": "int8"', "encoding_format", id="format-unknown"),
        pytest.param('"input": "a", "encoding_format": "$.user"', "encoding_format", id="format-like-a-path"),
        pytest.param('"input": "a", "encoding_format": 1', "encoding_format", id="format-number"),
        pytest.param('"input": "a", "prompt_name": []', "prompt_name", id="prompt-name"),
        pytest.param('"input": "a", "prompt": 1', "prompt", id="prompt"),
        pytest.param('"input": "a", "input_type": "image"', "input_type", id="input-type"),
        pytest.param('"input": "a", "truncate": "yes"', "truncate", id="truncate"),
        pytest.param('"input": "a", "user": 1e999', "user", id="user-beyond-floats"),
        pytest.param(f'"input": "a", "user": {DEEP.decode()}', None, id="user-very-deep"),
    ],
)
def test_a_wrong_field_is_named(fields, param):
    error = refuse(f"{{{fields}}}".encode())

    assert param == error.param
    starts = ("The request is not valid: ", "input is of the wrong type; send ", "The body is nested too")
    assert str(error).startswith(starts)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(r'"a\u0000b"', ["a\0b"], id="nul"),
        pytest.param(r'"\ud83d\ude00"', ["😀"], id="surrogate-pair"),
        pytest.param(r'"cut \ud83d"', ["cut \ufffd"], id="first-half"),
        pytest.param(r'"\uDE00 cut"', ["\ufffd cut"], id="second-half"),
        pytest.param(r'["\ude00\ud83d", "a"]', ["\ufffd\ufffd", "a"], id="halves-the-wrong-way-round"),
        pytest.param(r'"\ud83d\ud83d\ude00\ude00"', ["\ufffd😀\ufffd"], id="a-pair-between-halves"),
        pytest.param(r'"\\ud83d \\\ud83d"', ["\\ud83d \\\ufffd"], id="escaped-backslashes"),
        pytest.param(r'"\ud83d\u0041\n\""', ['\ufffdA\n"'], id="half-before-other-escapes"),
        pytest.param(r'"\ud83dude00"', ["\ufffdude00"], id="half-before-text"),
        pytest.param(f"[1{'0' * 30}]", [[10**30]], id="large-integer"),
        pytest.param("[-1]", [[-1]], id="negative-integer"),
        pytest.param(' [ \n\t"a" ]', ["a"], id="spaces"),
        pytest.param(" [ \r\n[1 ] ]", [[1]], id="spaces-before-ids"),
    ],
)
def test_odd_but_valid_input_is_taken(text, expected):
    """Whether an id is in the vocabulary is for the model to say."""
    assert expected == inputs(f'{{"input": {text}}}'.encode())


@given(
    escapes=st.lists(
        st.sampled_from(["\\ud83d", "\\uDE00", "\\\\", "\\n", "\\u0041", "a", "u", "d83d", '\\"', "é"]),
        min_size=1,
        max_size=12,
    )
)
def test_halves_are_replaced_and_nothing_else(escapes):
    """As Python reads it, which keeps halves as they are."""
    text = "".join(escapes)
    halves = json.loads(f'"{text}"')
    expected = halves.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    assert [expected] == inputs(f'{{"input": "{text}"}}'.encode())
    assert [expected] == inputs(f'{{"x": 1, "input": "{text}"}}'.encode())


def test_a_byte_order_mark_is_skipped():
    assert ["a"] == inputs(b'\xef\xbb\xbf{"input": "a"}')
    assert ["a"] == inputs(b'\xef\xbb\xbf {"x": 1, "input": "a"}')


def test_more_halves_than_anybody_sends_are_refused():
    """Each takes half a microsecond, in which nothing else runs."""
    with pytest.raises(InvalidRequest, match="The body is not valid JSON"):
        decode(b'{"input": "%s"}' % (rb"\ud83d" * 100_001))


@given(body=st.binary(max_size=40) | st.binary(max_size=20).map(lambda inner: b'{"input":"' + inner + b'"}'))
def test_any_bytes_are_a_request_or_an_invalid_one(body):
    try:
        actual = inputs(body)
    except InvalidRequest:
        return

    assert all(actual)


@given(value=JSON | st.lists(st.text() | st.integers() | st.lists(st.integers()), max_size=4))
def test_any_json_as_input_is_taken_or_refused_by_name(value):
    actual = parse(value)

    if isinstance(actual, InvalidRequest):
        assert actual.param == "input"
        return
    assert 1 <= len(actual) <= 3
    assert all(actual)
    assert {str} == {type(item) for item in actual} or all(
        {int} == {type(token_id) for token_id in item} for item in actual
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("a", ["a"], id="text"),
        pytest.param(["a", " "], ["a", " "], id="texts"),
        pytest.param([1, 2, 3], [[1, 2, 3]], id="ids-are-one-input"),
        pytest.param([[1], [2, 3]], [[1], [2, 3]], id="lists-of-ids"),
        pytest.param([0], [[0]], id="id-zero"),
    ],
)
def test_input_becomes_a_list_of_one_kind(value, expected):
    assert expected == inputs(with_input(value))


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        pytest.param([], "input is an empty list; send at least one text", id="no-items"),
        pytest.param("", "input[0] is empty; leave it out", id="empty-text"),
        pytest.param(["a", ""], "input[1] is empty; leave it out", id="empty-item"),
        pytest.param([[1], []], "input[1] is empty; leave it out", id="no-ids"),
        pytest.param(["a", 1], MIXED.format("str", "int", 1), id="text-id"),
        pytest.param([[1], "a"], MIXED.format("array", "str", 1), id="ids-text"),
        pytest.param([1, [2]], MIXED.format("int", "array", 1), id="id-ids"),
        pytest.param(
            ["a"] * 3, "input has 3 items and at most 2 are taken; send several requests", id="too-many"
        ),
        pytest.param(
            ["a", "b" * 51],
            "input[1] has 51 characters and at most 50 are taken; send it in parts",
            id="long-text",
        ),
        pytest.param(
            [1] * 51, "input[0] has 51 token ids and at most 50 are taken; send it in parts", id="many-ids"
        ),
    ],
)
def test_input_is_refused_with_a_sentence(value, sentence):
    with pytest.raises(InvalidRequest) as caught:
        inputs(with_input(value), max_inputs=2)

    assert (sentence, "input") == (str(caught.value), caught.value.param)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        pytest.param('""', "input has at least 100001 items and at most 3 are taken", id="texts"),
        pytest.param(r'"\\"', "input has at least 50000 items and at most 3 are taken", id="backslashes"),
        pytest.param(r'"a\""', "input has at least 100001 items and at most 3 are taken", id="quotes"),
        pytest.param("[]", "input has 100001 items and at most 3 are taken", id="lists"),
        pytest.param("7", "input has 100001 token ids and at most 50 are taken in one", id="ids"),
    ],
)
def test_many_items_are_refused_before_they_are_decoded(monkeypatch, item, sentence):
    """What is refused by counting brackets, quotes and commas is never made into objects."""
    monkeypatch.setattr(input_field, "DECODERS", dict.fromkeys(input_field.DECODERS))

    error = refuse(f'{{"input": [{",".join([item] * 100_001)}]}}'.encode())

    assert str(error).startswith(sentence)
    assert error.param == "input"


@pytest.mark.parametrize(
    "text", ['", "' * 20_000, "[[1],[2]," * 10_000, "\\" * 70_000, "1,2,3," * 20_000, '\\"' * 30_000]
)
def test_what_a_large_text_contains_is_not_counted(text):
    """Quotes, brackets and commas inside of texts are no items."""
    taken = input_field.parse(
        decode(with_input([text, "b", "c"])).input, max_inputs=3, max_characters=1_000_000
    )

    assert [text, "b", "c"] == taken


@given(texts=st.lists(st.text('"\\[],a', min_size=1), min_size=1, max_size=8))
def test_counting_refuses_no_list_that_fits(texts):
    """The bound on items is exact, whatever the texts are made of."""
    body = with_input([*texts, "x" * input_field.LARGE_BYTES])

    taken = input_field.parse(decode(body).input, max_inputs=len(texts) + 1, max_characters=1_000_000)

    assert texts == taken[:-1]


@pytest.mark.parametrize(
    ("item", "items"),
    [
        pytest.param("[" + "7," * 999 + "7]", 1049, id="long-lists"),
        pytest.param("[" + "7," * 511 + "7]", 2049, id="many-lists"),
    ],
)
def test_token_ids_of_all_inputs_together_are_bounded(monkeypatch, item, items):
    """Lists that are each short enough are refused before they are decoded if there are too many of them."""
    monkeypatch.setattr(input_field, "DECODERS", dict.fromkeys(input_field.DECODERS))
    raw = msgspec.Raw(f"[{','.join([item] * items)}]".encode())

    with pytest.raises(InvalidRequest, match="at most 1048576 are taken in one request; send it in parts"):
        input_field.parse(raw, max_inputs=5000, max_characters=1_000_000)


def test_a_list_as_large_as_openai_takes_of_full_inputs_is_taken():
    """2,048 inputs of 512 token ids, as many as a usual model reads."""
    raw = msgspec.Raw(msgspec.json.encode([[7] * 512] * 2048))

    assert [[7] * 512] * 2048 == input_field.parse(raw, max_inputs=2048, max_characters=1_000_000)


@pytest.mark.parametrize("sent", [b"", b" \r\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"], ids=repr)
def test_a_body_without_anything(sent: bytes) -> None:
    with pytest.raises(InvalidRequest, match="the body is empty; send a JSON object"):
        reading.read(sent, wire.EmbeddingRequest)
