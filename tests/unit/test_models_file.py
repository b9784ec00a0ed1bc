"""models.txt: its grammar, and a sentence for everything that is wrong with a line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embed_onnx.artifact import models_txt
from embed_onnx.artifact.manifest import Overrides
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.errors import ModelsFileError

WORDS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,6}", fullmatch=True)
NOT_A_SOURCE = "is neither NAME, OWNER/NAME, OWNER/NAME@REVISION nor ./FOLDER"
NOT_A_NAME = "cannot name a model; use letters, digits, '.', '_', '-' and '/', with name="
NOT_AN_ALIAS = "cannot be an alias; use letters, digits, '.', '_', '-' and '/', and one ':' before a tag"
NOT_AN_OPTION = (
    "is not an option; options are alias=, name=, precision=, exporter=, default_prompt=, max_tokens=, "
    "dimensions=, pooling=, task=, prompt.NAME= each with a value, and a value or a folder with a space in "
    "it stands in double quotes"
)


def read(folder: Path, text: str | bytes) -> list[Entry]:
    """The entries of a models file with that text."""
    path = folder / "models.txt"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return models_txt.read(path)


def write(entry: Entry) -> str:
    """An entry as its line."""
    source = entry.repo if entry.revision is None else f"{entry.repo}@{entry.revision}"
    alias = f"alias={','.join(entry.aliases)}" if entry.aliases else ""
    return f" {source}\tname={entry.name} {alias} precision={entry.precision}  # {entry.name}"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "all-MiniLM-L6-v2",
            Entry(name="all-MiniLM-L6-v2", repo="sentence-transformers/all-MiniLM-L6-v2"),
            id="bare-name",
        ),
        pytest.param("BAAI/bge", Entry(name="BAAI/bge", repo="BAAI/bge"), id="owner-and-name"),
        pytest.param(
            "BAAI/bge@5c38ec7", Entry(name="BAAI/bge", repo="BAAI/bge", revision="5c38ec7"), id="revision"
        ),
        pytest.param(
            "e5@refs/pr/1",
            Entry(name="e5", repo="sentence-transformers/e5", revision="refs/pr/1"),
            id="revision-of-a-bare-name",
        ),
        pytest.param(
            "o/m alias=a,b name=n precision=float32",
            Entry(name="n", repo="o/m", aliases=("a", "b"), precision="float32"),
            id="options",
        ),
        pytest.param("o/m exporter=torch", Entry(name="o/m", repo="o/m", exporter="torch"), id="exporter"),
        pytest.param(
            "o/m alias=a:v1.5,hf.co/o/m:Q8_0",
            Entry(name="o/m", repo="o/m", aliases=("a:v1.5", "hf.co/o/m:Q8_0")),
            id="aliases-with-a-tag",
        ),
        pytest.param("\to/m   name=n\t", Entry(name="n", repo="o/m"), id="any-white-space"),
        pytest.param("o/m name=n # alias=a", Entry(name="n", repo="o/m"), id="comment"),
        pytest.param("o/m #alias=a", Entry(name="o/m", repo="o/m"), id="comment-without-a-space"),
    ],
)
def test_a_line_means_an_entry(tmp_path, line, expected):
    assert [expected] == read(tmp_path, line)


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        pytest.param("./tuned", "{base}/tuned", id="beside-the-models-file"),
        pytest.param("../tuned", "{base}/../tuned", id="above-the-models-file"),
        pytest.param("./a/../tuned", "{base}/tuned", id="dots-inside"),
        pytest.param("/models/tuned", "/models/tuned", id="absolute"),
        pytest.param("~/tuned", "{home}/tuned", id="home"),
    ],
)
def test_a_path_is_a_folder_named_after_its_last_part(tmp_path, source, folder):
    expected = Path(folder.format(base=tmp_path, home=Path.home())).resolve()

    (entry,) = read(tmp_path, source)

    assert Entry(name="tuned", repo=source, folder=expected) == entry


def test_a_folder_may_contain_a_hash_sign(tmp_path):
    (entry,) = read(tmp_path, "./run#3 name=third")

    assert tmp_path / "run#3" == entry.folder


@pytest.mark.parametrize(
    ("line", "folder"),
    [
        pytest.param('"./my model" name=m', "my model", id="a-space"),
        pytest.param('"./my model"\tname=m # "as it is"', "my model", id="a-comment-with-quotes"),
        pytest.param('"./a # b" name=m', "a # b", id="a-hash-sign"),
        pytest.param("./it's name=m # isn't it", "it's", id="an-apostrophe"),
        pytest.param(r"./a\b name=m", r"a\b", id="a-backslash"),
        pytest.param('./a"b name=m', 'a"b', id="a-quote-inside"),
        pytest.param('"./a" "name=m"', "a", id="quotes-without-need"),
    ],
)
def test_a_folder_in_quotes_may_contain_spaces(tmp_path, line, folder):
    (entry,) = read(tmp_path, line)

    assert ("m", tmp_path / folder) == (entry.name, entry.folder)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param('prompt.query="query: "', {"prompts": {"query": "query: "}}, id="a-space-at-the-end"),
        pytest.param("prompt.query=query:", {"prompts": {"query": "query:"}}, id="without-quotes"),
        pytest.param(
            r'prompt.query="Instruct: find\nQuery: \"" prompt.document=""',
            {"prompts": {"query": 'Instruct: find\nQuery: "', "document": ""}},
            id="a-line-end-a-quote-and-nothing",
        ),
        pytest.param(
            'prompt.a.b-c="x # y" # a comment', {"prompts": {"a.b-c": "x # y"}}, id="a-hash-sign-in-quotes"
        ),
        pytest.param('prompt.q="é 検索 "', {"prompts": {"q": "é 検索 "}}, id="any-characters"),
        pytest.param("prompt.q=a=b", {"prompts": {"q": "a=b"}}, id="an-equals-sign"),
        pytest.param("default_prompt=query", {"default_prompt": "query"}, id="default-prompt"),
        pytest.param("max_tokens=128", {"max_tokens": 128}, id="max-tokens"),
        pytest.param("dimensions=256", {"dimensions": 256}, id="dimensions"),
        pytest.param('dimensions="256"', {"dimensions": 256}, id="a-number-in-quotes"),
        pytest.param("pooling=cls", {"pooling": ("cls",)}, id="pooling"),
        pytest.param("pooling=max,mean", {"pooling": ("max", "mean")}, id="two-poolings"),
    ],
)
def test_options_that_stand_in_place_of_what_the_checkpoint_says(tmp_path, options, expected):
    (entry,) = read(tmp_path, f"o/m {options}")

    assert Entry(name="o/m", repo="o/m", overrides=Overrides(**expected)) == entry


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n   # yet\n"], ids=["empty", "blank", "comments"])
def test_a_file_may_list_nothing(tmp_path, text):
    assert read(tmp_path, text) == []


@pytest.mark.parametrize("end", ["\n", "\r\n"], ids=["unix", "windows"])
def test_entries_keep_the_order_of_their_lines(tmp_path, end):
    entries = read(tmp_path, end.join(["b", "", "a", "# c", "d/e"]))

    assert [entry.name for entry in entries] == ["b", "a", "d/e"]


def test_names_are_the_name_the_repository_and_the_aliases_each_once():
    on_the_hub = Entry(name="n", repo="o/m", aliases=("a", "n", "a"))
    saved = Entry(name="n", repo="./m", folder=Path("/m"), aliases=("a",))

    assert on_the_hub.names() == ("n", "o/m", "a")
    assert saved.names() == ("n", "a")


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        pytest.param("a:b", f"'a:b' {NOT_A_SOURCE}", id="colon"),
        pytest.param("a/../b", f"'a/../b' {NOT_A_SOURCE}", id="dots-in-a-repository"),
        pytest.param("a//b", f"'a//b' {NOT_A_SOURCE}", id="empty-part"),
        pytest.param("a/", f"'a/' {NOT_A_SOURCE}", id="slash-at-the-end"),
        pytest.param("-a", f"'-a' {NOT_A_SOURCE}", id="leading-dash"),
        pytest.param("é", f"'é' {NOT_A_SOURCE}", id="not-ascii"),
        pytest.param("a@", f"'a@' {NOT_A_SOURCE}", id="empty-revision"),
        pytest.param("@a", f"'@a' {NOT_A_SOURCE}", id="only-a-revision"),
        pytest.param("m name=..", f"'..' {NOT_A_NAME}", id="name-above"),
        pytest.param("m name=.a", f"'.a' {NOT_A_NAME}", id="hidden-name"),
        pytest.param("m name=/a", f"'/a' {NOT_A_NAME}", id="absolute-name"),
        pytest.param("m name=b:c", f"'b:c' {NOT_A_NAME}", id="name-with-a-tag"),
        pytest.param("m alias=a,b::c", f"'b::c' {NOT_AN_ALIAS}", id="empty-tag-part"),
        pytest.param("m alias=b:", f"'b:' {NOT_AN_ALIAS}", id="empty-tag"),
        pytest.param("m alias=:b", f"':b' {NOT_AN_ALIAS}", id="only-a-tag"),
        pytest.param("m alias=a:b:c", f"'a:b:c' {NOT_AN_ALIAS}", id="two-tags"),
        pytest.param("m alias=a:b/c", f"'a:b/c' {NOT_AN_ALIAS}", id="slash-in-a-tag"),
        pytest.param("m alias=a,é", f"'é' {NOT_AN_ALIAS}", id="bad-alias"),
        pytest.param("./run#3", f"'run#3' {NOT_A_NAME}", id="folder-that-needs-a-name"),
        pytest.param("/", f"'' {NOT_A_NAME}", id="root-folder"),
        pytest.param("m n", f"'n' {NOT_AN_OPTION}", id="second-word"),
        pytest.param("./my model name=m", f"'model' {NOT_AN_OPTION}", id="a-space"),
        pytest.param('"./my model" name=', f"'name=' {NOT_AN_OPTION}", id="quotes-and-a-wrong-option"),
        pytest.param('"./my model"', f"'my model' {NOT_A_NAME}", id="quotes-without-a-name"),
        pytest.param('"./my model', f"'model' {NOT_AN_OPTION}", id="half-quoted"),
        pytest.param('"" name=m', f"'' {NOT_A_SOURCE}", id="nothing-in-quotes"),
        pytest.param("m name=", f"'name=' {NOT_AN_OPTION}", id="option-without-a-value"),
        pytest.param("m bits=8", f"'bits=8' {NOT_AN_OPTION}", id="unknown-option"),
        pytest.param(
            "m exporter=onnx",
            "exporter=onnx is unknown; known are native, torch, optimum",
            id="exporter",
        ),
        pytest.param(
            "m precision=fp16", "precision=fp16 is unknown; known are int8, float32", id="precision"
        ),
        pytest.param("m prompt.q=", f"'prompt.q=' {NOT_AN_OPTION}", id="prompt-without-a-value"),
        pytest.param("m prompt.=a", f"'prompt.=a' {NOT_AN_OPTION}", id="prompt-without-a-name"),
        pytest.param('m name=""', f"'name=\"\"' {NOT_AN_OPTION}", id="a-name-of-nothing"),
        pytest.param("m max_tokens", f"'max_tokens' {NOT_AN_OPTION}", id="a-key-alone"),
        pytest.param(
            r'm prompt.q="\d"',
            r'"\d" has a backslash that means nothing in JSON; write \\ for one, and \n for a line end',
            id="backslash",
        ),
        pytest.param(
            "m max_tokens=0", "max_tokens=0 is not a whole number from 1 to 999999999", id="no-tokens"
        ),
        pytest.param(
            "m dimensions=1e3",
            "dimensions=1e3 is not a whole number from 1 to 999999999",
            id="not-a-whole-number",
        ),
        pytest.param(
            "m pooling=cls,first",
            "pooling=first is unknown; known are mean, cls, max, lasttoken, mean_sqrt_len_tokens, "
            "weightedmean",
            id="pooling",
        ),
        pytest.param(
            "m prompt.q=a prompt.q=b", "prompt.q= stands twice; take one of them away", id="a-prompt-twice"
        ),
        pytest.param(
            "m alias=a alias=b", "alias= stands twice; for several aliases write alias=ONE,TWO", id="twice"
        ),
    ],
)
def test_a_wrong_line_is_one_sentence_with_its_number(tmp_path, line, sentence):
    with pytest.raises(ModelsFileError) as caught:
        read(tmp_path, f"# models\n{line}\n")

    assert f"{tmp_path / 'models.txt'}, line 2: {sentence}" == str(caught.value)


@pytest.mark.parametrize(
    ("lines", "name"),
    [
        pytest.param("a\na", "a", id="the-same-line"),
        pytest.param("o/a\n./b name=o/a", "o/a", id="repository-and-name"),
        pytest.param("a alias=x\nb alias=x", "x", id="aliases"),
    ],
)
def test_a_name_stands_once(tmp_path, lines, name):
    with pytest.raises(ModelsFileError) as caught:
        read(tmp_path, lines)

    expected = f"line 2: the name {name!r} is taken by line 1; give one of them another with name= or alias="
    assert f"{tmp_path / 'models.txt'}, {expected}" == str(caught.value)


def test_one_checkpoint_may_be_listed_under_two_names(tmp_path):
    """As the sentence about a taken name says: give one of them another."""
    entries = read(tmp_path, "m name=small precision=int8\nm name=exact precision=float32")

    assert [entry.name for entry in entries] == ["small", "exact"]


def test_a_missing_file_names_the_way_out(tmp_path):
    path = tmp_path / "models.txt"

    with pytest.raises(ModelsFileError) as caught:
        models_txt.read(path)

    expected = f"{path} cannot be read: No such file or directory; name another with --models"
    assert expected == str(caught.value)


def test_a_file_that_is_not_utf8_names_the_byte(tmp_path):
    with pytest.raises(ModelsFileError) as caught:
        read(tmp_path, b"a\n\xff")

    assert f"{tmp_path / 'models.txt'} is not UTF-8 (byte 2); save it as UTF-8" == str(caught.value)


@pytest.mark.parametrize(
    "source", ["~nobody-of-that-name/m", "./loop", "./a\0b"], ids=["home", "loop", "nul"]
)
def test_a_folder_that_cannot_be_is_a_wrong_line(tmp_path, source):
    (tmp_path / "loop").symlink_to("loop")

    with pytest.raises(ModelsFileError, match="line 1: "):
        read(tmp_path, source)


@given(
    text=st.text() | st.text('ab./~@=#, \n:"') | st.lists(WORDS | st.just("name="), max_size=6).map(" ".join)
)
def test_any_text_is_entries_or_a_models_file_error(tmp_path_factory, text):
    try:
        entries = read(tmp_path_factory.getbasetemp(), text)
    except ModelsFileError:
        return

    assert all(isinstance(entry, Entry) for entry in entries)


@st.composite
def unrelated_entries(draw):
    """Entries whose names differ, as each starts with its number."""
    entries = []
    for number in range(draw(st.integers(0, 4))):
        name = f"{number}{draw(WORDS)}"
        on_the_hub = draw(st.booleans())
        entries.append(
            Entry(
                name=name,
                repo=f"{draw(WORDS)}/{name}" if on_the_hub else f"/{name}",
                revision=draw(st.none() | WORDS) if on_the_hub else None,
                folder=None if on_the_hub else Path(f"/{name}"),
                aliases=tuple(f"{number}a{draw(WORDS)}" for _ in range(draw(st.integers(0, 2)))),
                precision=draw(st.sampled_from(["int8", "float32"])),
            )
        )
    return entries


@given(entries=unrelated_entries())
def test_entries_written_as_lines_are_read_back(tmp_path_factory, entries):
    text = "\n".join(write(entry) for entry in entries)

    assert entries == read(tmp_path_factory.getbasetemp(), text)


def test_lines_of_a_command_line():
    """The grammar is that of the file; folders are relative to the working folder."""
    entries = models_txt.of_command_line(['o/m name=a prompt.query="query: "', "./tuned precision=float32"])

    query = Overrides(prompts={"query": "query: "})
    assert [
        Entry(name="a", repo="o/m", overrides=query),
        Entry(name="tuned", repo="./tuned", folder=Path("tuned").resolve(), precision="float32"),
    ] == entries


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        pytest.param(["a b"], "the model 'a b': 'b' is not an option", id="a-wrong-one"),
        pytest.param([" # a"], "the model ' # a' has no name; give NAME, OWNER/NAME or ./FOLDER", id="blank"),
        pytest.param(["a", "o/a name=a"], "the name 'a' is taken by the model 'a'; give one", id="twice"),
    ],
)
def test_a_wrong_line_of_a_command_line(texts, sentence):
    with pytest.raises(ModelsFileError) as caught:
        models_txt.of_command_line(texts)

    assert sentence in str(caught.value)


def test_names_are_folders_and_do_not_lie_inside_each_other(tmp_path):
    (tmp_path / "models.txt").write_text("owner/model\n./x name=owner\n")

    with pytest.raises(
        ModelsFileError, match="'owner/model' and 'owner' would be one folder inside the other"
    ):
        models_txt.read(tmp_path / "models.txt")
