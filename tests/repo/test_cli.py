"""The commands as a person types them."""

import json
import os
import platform
from pathlib import Path

import numpy as np
import pytest
from harness import MINILM, SMALL, WITHOUT_PYTORCH, Server, embed, run

from embed_onnx import Model, __version__, settings
from embed_onnx.artifact import manifest


def test_version(tmp_path: Path) -> None:
    assert f"embed-onnx, version {__version__}\n" == run("--version", cwd=tmp_path).stdout


@pytest.mark.parametrize("command", ["serve", "export", "report", "models", "embed"])
def test_every_command_has_help(tmp_path: Path, command: str) -> None:
    done = run(command, "--help", cwd=tmp_path)

    assert 0 == done.returncode
    assert "EMBED_ONNX_ARTIFACTS" in done.stdout.replace("\n", "").replace(" ", "").replace("│", "")


def test_models_shows_what_is_there(home: Path) -> None:
    """Names, aliases, sizes and parity; what is not exported says so."""
    extended = home / "more.txt"
    extended.write_text((home / "models.txt").read_text() + "somebody/absent\n")

    table = run("models", "--models", str(extended), cwd=home).stdout

    for word in (MINILM, "text-embedding-3-small", SMALL, "384", "256", "int8", "0.99", "not exported"):
        assert word in table


def test_embed_texts(home: Path, minilm: Model) -> None:
    """Texts of the command line come back as JSON lines, in order."""
    done = run("embed", "--text", "first text", "--text", "second", cwd=home)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [0, 1] == [line["index"] for line in lines]
    assert [4, 3] == [line["num_tokens"] for line in lines]
    vectors = np.array([line["embedding"] for line in lines], np.float32)
    assert np.array_equal(minilm.encode(["first text", "second"]), vectors)


def test_embed_lines_of_standard_input_to_numpy(home: Path, tmp_path: Path, small: Model) -> None:
    """Lines in, rows out, with the model, prompt and dimensions asked for."""
    texts = [f"line number {number}" for number in range(600)]
    output = tmp_path / "out.npy"

    flags = ["--model", SMALL, "--prompt-name", "query", "--dimensions", "16", "-o", str(output)]
    done = run("embed", "-", *flags, cwd=home, stdin="\n".join(texts) + "\n")

    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert np.array_equal(small.encode(texts, prompt_name="query", dimensions=16), np.load(output))


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["embed", "--text", "x", "--model", "nope"], "'nope' is not served here", id="model"),
        pytest.param(["embed", "-", "-o", "out.csv"], "must end in .npy, .jsonl, .parquet", id="output"),
        pytest.param(["embed"], "give files to embed, or - for standard input", id="no-text"),
        pytest.param(["embed", "-", "--text", "a"], "give files to embed, or - for", id="texts-and-files"),
        pytest.param(["embed", "-"], "--output is missing", id="no-output"),
        pytest.param(["embed", "a text"], "to embed a text itself, use --text", id="a-text-as-a-file"),
        pytest.param(["embed", "--text", "a", "--force"], "leave out --output", id="text-and-force"),
        pytest.param(
            ["embed", "--text", "a", "--text", ""], "text 2: the text is empty; leave it out", id="empty-text"
        ),
        pytest.param(["embed", "--text", "a", "--dtype", "int8"], "int8 takes ranges", id="int8-of-a-text"),
        pytest.param(["embed", "--text", "x", "--dimensions", "999"], "takes 1 to 384", id="dimensions"),
        pytest.param(["export", "nope"], "does not list nope", id="export-name"),
        pytest.param(["export", "--models", "none.txt"], "none.txt cannot be read", id="models-file"),
        pytest.param(["serve", "--threads", "-1"], "--threads '-1': Expected `int` >= 0", id="threads"),
        pytest.param(["serve", "--port", "http"], "--port 'http'", id="port"),
        pytest.param(["serve", "--host", "not.a.host.invalid"], "choose another --host", id="host"),
        pytest.param(["serve", "--api-keys-file", "none"], "the key file none cannot be read", id="keys"),
    ],
)
def test_a_mistake_is_one_sentence(home: Path, arguments: list[str], sentence: str) -> None:
    """Exit code 1, the reason on standard error, no traceback."""
    done = run(*arguments, cwd=home)

    assert 1 == done.returncode
    assert sentence in done.stderr
    assert done.stderr.startswith("embed-onnx: ")
    assert "Traceback" not in done.stderr


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder whose models.txt lists a checkpoint that would fail as soon as it is loaded."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text("{}")
    (tmp_path / "models.txt").write_text("./m\n")
    return tmp_path


def test_packages_that_do_not_go_together(listed: Path) -> None:
    """As importing them says; here, one that wants another version of its neighbour."""
    package = listed / "packages" / "transformers"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('tokenizers>=9 is required')\n")
    path = os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])

    done = run("export", cwd=listed, environment={"PYTHONPATH": path})

    assert 1 == done.returncode
    assert "do not go together: tokenizers>=9 is required; install those that do with" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["export", "report m", "serve --port 0"])
def test_kernels_that_are_not_here_are_told_before_an_export(listed: Path, command: str) -> None:
    foreign = "avx2" if platform.machine() == "aarch64" else "neon"

    done = run(*command.split(), cwd=listed, environment={"EMBED_ONNX_KERNELS": foreign})

    assert 1 == done.returncode
    assert f"the kernels '{foreign}' cannot be used" in done.stderr
    assert "finding" not in done.stderr


@pytest.mark.parametrize("name", ["EMBED_ONNX_API_KEYS", "EMBED_ONNX_API_KEYS_FILE"])
def test_a_blank_variable_does_not_open_the_server(home: Path, name: str) -> None:
    """Keys that were meant to be set and are blank stop the start."""
    done = run("serve", "--port", "0", cwd=home, environment={name: ""})

    assert (1, f"embed-onnx: {name} is set and blank") == (done.returncode, done.stderr.split(";")[0])


def test_a_model_that_fails_ends_no_other(tmp_path: Path) -> None:
    """Those that can be exported are; the others are listed at the end, and the exit code is 1."""
    import stacks

    for name in ("one", "two"):
        stacks.save(tmp_path / name, [stacks.static()])
    (tmp_path / "bad").mkdir()
    (tmp_path / "models.txt").write_text("./one\n./bad\n./absent\n./two\n")

    done = run("export", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 1 == done.returncode
    assert ["one", "two"] == sorted(path.name for path in (tmp_path / "artifacts").iterdir())
    first, *sentences = done.stderr[done.stderr.index("embed-onnx: ") :].splitlines()
    assert "embed-onnx: 2 of 4 models were not exported, the others are:" == first
    assert ["  bad: ", "  absent: "] == [line[: line.index(": ") + 2] for line in sentences]
    assert "Traceback" not in done.stderr

    served = run("serve", "--port", "0", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert 1 == served.returncode
    assert "artifacts lacks bad, absent; exporting" in served.stderr
    assert "nothing is served, as models could not be exported, see above" in served.stderr


def test_models_of_the_command_line(tmp_path: Path) -> None:
    """Without a models.txt; the flag, the variable and the arguments of export have one grammar."""
    import stacks

    stacks.save(tmp_path / "a model", [stacks.static()])
    line = '"./a model" name=first prompt.query="find: " precision=float32'

    exported = run("export", line, cwd=tmp_path, environment=WITHOUT_PYTORCH)
    again = run("export", "first", "--model", line, cwd=tmp_path, environment=WITHOUT_PYTORCH)
    table = run("models", cwd=tmp_path, environment={"EMBED_ONNX_MODEL": f"{line}\n./absent alias=other\n"})
    wrong = run("export", "./a b", cwd=tmp_path, environment=WITHOUT_PYTORCH)

    assert (0, 0) == (exported.returncode, again.returncode), exported.stderr + again.stderr
    assert "up to date" in again.stdout
    assert "find: " == manifest.read(tmp_path / "artifacts" / "first").prompts["query"]
    for word in ("first", "float32", "absent", "other", "not exported"):
        assert word in table.stdout
    assert (1, "embed-onnx: the model './a b': 'b' is not an option") == (
        wrong.returncode,
        wrong.stderr.split(";")[0],
    )


def test_serving_a_model_of_the_command_line(tmp_path: Path) -> None:
    """It is exported where it is missing."""
    import stacks

    stacks.save(tmp_path / "tiny", [stacks.static()])

    with Server(["--model", "./tiny alias=t"], WITHOUT_PYTORCH, tmp_path) as server:
        server.wait_ready()
        answer = embed(server.url, "a text", model="t")

    assert 200 == answer.status_code


def test_models_as_json_and_as_columns(home: Path) -> None:
    """JSON has what a program needs; behind a pipe, lines have tabs between columns."""
    described = json.loads(run("models", "--json", cwd=home).stdout)
    titles, *lines = (line.split("\t") for line in run("models", cwd=home).stdout.splitlines())

    first = described[0]
    assert (MINILM, True, 384, ["embed"]) == tuple(
        first[name] for name in ("name", "exported", "dimensions", "tasks")
    )
    assert 0.99 < first["parity"]["cosine_mean"] <= 1
    assert {len(titles)} == {len(line) for line in lines}
    assert [model["name"] for model in described] == [line[titles.index("name")] for line in lines]


def test_export_as_json(home: Path) -> None:
    """What is up to date took no seconds."""
    exports = json.loads(run("export", MINILM, "--json", cwd=home).stdout)

    assert [(MINILM, None)] == [(item["name"], item["seconds"]) for item in exports]
    assert exports[0]["bytes"] < exports[0]["float32_bytes"]


def test_every_setting_is_in_a_group_of_the_help() -> None:
    grouped = [name for names in settings.GROUPS.values() for name in names]

    assert sorted(grouped) == sorted(knob.name for knob in settings.knobs())


def test_the_help_says_what_a_setting_takes(tmp_path: Path) -> None:
    text = run("serve", "--help", cwd=tmp_path).stdout

    for word in (
        "NUMBER",
        "SECONDS",
        "FOLDER",
        "ADDRESS",
        "debug|info|warning|error",
        "Where it listens",
        "Keys",
    ):
        assert word in text


def test_completion(tmp_path: Path) -> None:
    """As the pages say that shells take it."""
    done = run("", cwd=tmp_path, environment={"_EMBED_ONNX_COMPLETE": "bash_source"})

    assert "_EMBED_ONNX_COMPLETE=bash_complete" in done.stdout


def test_embed_to_standard_output(home: Path, minilm: Model) -> None:
    """The rows of a file as JSON lines, with what is kept of it; what is rejected is said besides."""
    records = [{"text": "first text", "id": "a"}, {"text": ""}, {"text": "second", "id": "b"}]
    stdin = "".join(json.dumps(record) + "\n" for record in records)

    done = run("embed", "-", "-o", "-", "--format", "jsonl", "--id", "id", cwd=home, stdin=stdin)

    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert (2, ["a", "b"]) == (done.returncode, [line["id"] for line in lines])
    vectors = np.array([line["embedding"] for line in lines], np.float32)
    assert np.array_equal(minilm.encode(["first text", "second"]), vectors)
    assert "-, line 2: " in done.stderr
    assert "standard output holds 2 vectors of 384 dimensions" in done.stderr


@pytest.mark.parametrize("flags", [["--restart"], ["--dtype", "int8"]])
def test_what_standard_output_does_not_take(home: Path, flags: list[str]) -> None:
    done = run("embed", "-", "-o", "-", *flags, cwd=home, stdin="a text\n")

    assert (1, "") == (done.returncode, done.stdout)
    assert "--output" in done.stderr
