"""Attention in blocks of queries gives what PyTorch computes, in memory that grows with the text."""

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import kept
import numpy as np
import onnx
import pytest
import small_models
from onnx import helper, numpy_helper
from sentence_transformers import SentenceTransformer
from stacks import edit

from embed_onnx.artifact import manifest
from embed_onnx.artifact.models_txt import Entry
from embed_onnx.cli import export
from embed_onnx_export.graph import compare, onnx_file, quantize, states
from embed_onnx_export.graph.attention import operators
from embed_onnx_export.graph.attention.functions import MOST_TOKENS, UNLIMITED
from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.exporters import torch_export
from embed_onnx_export.graph.long_texts import attention, axes, windows
from embed_onnx_export.graph.long_texts.blocks import Graph
from embed_onnx_export.graph.long_texts.branches import ROWS, SHORT
from embed_onnx_export.graph.long_texts.windows import Window
from embed_onnx_export.run import export_all

LIMIT = 1100
"""Tokens: more than four blocks of a window."""
LENGTHS = (
    1, 2, SHORT - 1, SHORT, SHORT + 1, 5 * ROWS - 1, 5 * ROWS, 5 * ROWS + 1, 1023, 1024, LIMIT - 1, LIMIT
)  # fmt: skip
"""Around the shortest text that is cut, around whole blocks, and a prime or two beside them."""
CLOSE = 1e-4
"""Of the largest state; sums in float32, in another order."""
WINDOWS = {
    "albert": [Window(), Window()],
    "gemma2": [Window(31, 0), Window(None, 0)],
    "gemma3_text": [Window(16, 16), Window()],
    "gpt2": [Window(None, 0), Window(None, 0)],
    "llama": [Window(None, 0), Window(None, 0)],
    "mistral": [Window(31, 0), Window(31, 0)],
    "modernbert": [Window(), Window(16, 16), Window(16, 16)],
    "nystromformer": [Window(), Window()],
    "opt": [Window(None, 0), Window(None, 0)],
    "phi3": [Window(None, 0), Window(None, 0)],
    "qwen2": [Window(None, 0), Window(31, 0)],
    "roformer": [Window(), Window()],
    "t5": [Window(), Window()],
    "umt5": [Window(), Window()],
}
"""What each layer of these small models sees before and after a token."""
QUADRATIC = ("deberta", "deberta-v2")
WITHOUT_OPERATOR = {
    "gemma2": "it bounds its scores",
    "t5": "its scores have a bias by distance",
    "umt5": "its scores have a bias by distance",
}
"""Whose attention stays the exporter's nodes, and why."""
POSITIONS = {"gpt2": "n_positions", "t5": None, "umt5": None}
"""Where the config has another field than most for the number of positions, or none."""
pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning"),
]
architectures = pytest.mark.parametrize("name", WINDOWS)


def module(folder: Path, name: str, limit: int, **changes: Any) -> Any:
    """The transformer of a small model with that limit of tokens, as sentence-transformers loads it."""
    field = POSITIONS.get(name, "max_position_embeddings")
    positions = {field: limit} if field else {}
    small_models.save(folder / name, name, **positions, **changes)
    edit(folder / name / "sentence_bert_config.json", max_seq_length=limit)
    return load(folder / name)


def load(folder: Path) -> Any:
    eager = {"attn_implementation": "eager"}
    return SentenceTransformer(str(folder), device="cpu", model_kwargs=eager)[0]


def write(original: Any, path: Path, limit: int) -> None:
    """The graph that the exporter writes, which it has compared with PyTorch."""
    states.write(original, path, max_tokens=limit)


def graphs(folder: Path) -> None:
    for name in (*WINDOWS, *QUADRATIC):
        torch_export.write(module(folder, name, LIMIT), folder / f"{name}.onnx")


@pytest.fixture(scope="module")
def plain() -> dict[str, tuple[Any, Path]]:
    """Models in PyTorch, and their float32 graphs as the exporter writes them, not rewritten."""
    folder = kept.folder(graphs)
    return {
        name: (load(folder / name).auto_model, folder / f"{name}.onnx") for name in (*WINDOWS, *QUADRATIC)
    }


@pytest.fixture(scope="module")
def exported(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """The same, rewritten."""
    folder = tmp_path_factory.mktemp("exported")
    for name in WINDOWS:
        shutil.copy(plain[name][1], folder)
        assert attention.rewrite(folder / f"{name}.onnx", LIMIT) is None
    return {name: (plain[name][0], folder / f"{name}.onnx") for name in WINDOWS}


@pytest.fixture(scope="module")
def with_operators(plain: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """The same, with nodes ``Attention`` where there can be some."""
    folder = tmp_path_factory.mktemp("operators")
    for name in WINDOWS:
        operators.rewrite(Path(shutil.copy(plain[name][1], folder)), LIMIT)
    return {name: (plain[name][0], folder / f"{name}.onnx") for name in WINDOWS}


def ids_of(length: int, rows: int = 1) -> np.ndarray:
    """Token ids, none of them special, [rows, length]."""
    return np.random.default_rng(length).integers(5, 60, (rows, length))


@architectures
def test_states_are_those_of_pytorch_at_every_length(exported: Any, name: str) -> None:
    model, path = exported[name]
    session = onnx_file.session(path)

    for length in LENGTHS:
        ids = ids_of(length)
        expected = compare.of_pytorch(model)(ids, np.ones_like(ids))
        actual = onnx_file.states(session, ids, np.ones_like(ids))

        assert np.abs(expected - actual).max() <= CLOSE * np.abs(expected).max(), length


@pytest.mark.parametrize("name", [name for name in WINDOWS if name not in WITHOUT_OPERATOR])
def test_attention_becomes_an_operator(with_operators: Any, name: str) -> None:
    """With the window of its mask, and nothing left that grows with the square of the text."""
    model, path = with_operators[name]
    nodes = [node for node in onnx.load(path).graph.node if node.op_type == "Attention"]
    reaches = [[helper.get_node_attr_value(node, side) for side in ("before", "after")] for node in nodes]
    sides = [(window.before, window.after) for window in WINDOWS[name]]

    assert [[UNLIMITED if side is None else side for side in window] for window in sides] == reaches
    assert not any(tensor.quadratic for tensor in axes.read(path).values())
    session = onnx_file.session(path)
    for length in LENGTHS:
        ids = ids_of(length)
        expected = compare.of_pytorch(model)(ids, np.ones_like(ids))
        actual = onnx_file.states(session, ids, np.ones_like(ids))
        assert np.abs(expected - actual).max() <= CLOSE * np.abs(expected).max(), length


@pytest.mark.parametrize("name", ["gemma3_text", "llama", "modernbert", "phi3", "qwen2"])
def test_rotations_become_operators(with_operators: Any, name: str) -> None:
    """Of queries and of keys; with no transposition left."""
    kinds = Counter(node.op_type for node in onnx.load(with_operators[name][1]).graph.node)

    assert 2 * kinds["Attention"] == kinds["RotateHeads"] > 0
    assert not kinds["Transpose"] + kinds["Expand"] + kinds["Softmax"]


@pytest.mark.parametrize("name", [*WITHOUT_OPERATOR, *QUADRATIC])
def test_other_attention_stays_as_it_is(plain: Any, tmp_path: Path, name: str) -> None:
    path = Path(shutil.copy(plain[name][1], tmp_path))
    before = path.read_bytes()

    operators.rewrite(path, LIMIT)

    assert before == path.read_bytes()


def test_texts_may_be_longer_than_the_kernel_takes(plain: Any, tmp_path: Path) -> None:
    path = Path(shutil.copy(plain["llama"][1], tmp_path))
    before = path.read_bytes()

    operators.rewrite(path, MOST_TOKENS + 1)

    assert before == path.read_bytes()


@pytest.mark.parametrize("kind", ["Add", "Mul"])
def test_a_mask_that_is_another_is_no_window(plain: Any, tmp_path: Path, kind: str) -> None:
    """One is added to all of it; or it is hidden a little and no more."""
    model = onnx.load(plain["llama"][1])
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    sum_ = next(node for node in model.graph.node if softmax.input[0] in node.output)
    mask = sum_.input[1]
    model.graph.initializer.append(
        numpy_helper.from_array(np.float32(1 if kind == "Add" else 1e-38), "number")
    )
    at = list(model.graph.node).index(sum_)
    model.graph.node.insert(at, helper.make_node(kind, [mask, "number"], ["another"]))
    for node in model.graph.node:
        if node.op_type == "Add" and node.input[1] == mask and node.output[0] != "another":
            node.input[1] = "another"
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    before = path.read_bytes()

    operators.rewrite(path, LIMIT)

    assert before == path.read_bytes()


@architectures
def test_what_a_layer_sees_is_read_from_its_masks(exported: Any, name: str) -> None:
    """Windows by each architecture's own rules: half of local_attention, or sliding_window with the token."""
    _, path = exported[name]

    branches = [
        attribute.g
        for node in onnx.load(path).graph.node
        for attribute in node.attribute
        if attribute.name == "then_branch"
    ]
    loops = [node for branch in branches for node in branch.node if node.op_type == "Loop"]

    assert len(WINDOWS[name]) == len(loops)
    for window, loop in zip(WINDOWS[name], loops, strict=True):
        body = loop.attribute[0].g
        cut = any(output.endswith("keys.start") for node in body.node for output in node.output)
        assert cut == (window != Window())


@architectures
def test_windows_are_exact(plain: Any, name: str) -> None:
    """As numbers, from the graph before it is rewritten."""
    _, path = plain[name]
    model = onnx.load(path)
    tensors = axes.read(path)
    nodes = [new for node in model.graph.node for new in attention._without_shapes(node, tensors)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    graph = Graph(model.graph, tensors)

    masks = windows.Masks(model, graph, (LIMIT, LIMIT // 2, SHORT + 1))
    actual = [masks.window(one.nodes) for one in attention._attentions(graph)]

    assert WINDOWS[name] == actual


@pytest.mark.parametrize("form", ["exported", "with_operators"])
@pytest.mark.parametrize("name", ["albert", "modernbert", "roformer"])
def test_padding_is_seen_by_nobody_in_plain_onnxruntime(
    request: pytest.FixtureRequest, form: str, name: str
) -> None:
    """A batch with a mask of ones and zeros: each text is what it is alone."""
    session = onnx_file.session(request.getfixturevalue(form)[name][1])
    lengths = (300, SHORT + 1, 900)
    ids = ids_of(max(lengths), rows=len(lengths))
    mask = (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)

    together = onnx_file.states(session, ids, mask)

    for row, length in enumerate(lengths):
        alone = onnx_file.states(session, ids[row : row + 1, :length], mask[row : row + 1, :length])
        assert np.abs(alone[0] - together[row, :length]).max() <= CLOSE * np.abs(alone).max()


def test_the_same_bits_in_every_run_and_with_any_number_of_threads(exported: Any) -> None:
    import onnxruntime

    ids = ids_of(LIMIT)
    path = exported["modernbert"][1]
    sessions = []
    for threads in (1, 2):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        sessions.append(onnxruntime.InferenceSession(str(path), options))

    first, *others = [onnx_file.states(session, ids, np.ones_like(ids)) for session in sessions * 2]

    assert all(np.array_equal(first, other) for other in others)


def test_int8_is_rewritten_too_and_needs_nothing_but_standard_operators(
    exported: Any, tmp_path: Path
) -> None:
    quantize.quantize(exported["modernbert"][1], tmp_path / "int8.onnx")

    model = onnx.load(tmp_path / "int8.onnx")
    onnx.checker.check_model(model, full_check=False)
    domains = {node.domain for function in model.functions for node in function.node}

    assert {"", functions.DOMAIN} == {opset.domain for opset in model.opset_import}
    assert domains <= {"", functions.DOMAIN}
    assert any(node.op_type == "If" for node in model.graph.node)


def test_up_to_the_shortest_limit_nothing_changes(plain: Any, tmp_path: Path) -> None:
    path = Path(shutil.copy(plain["modernbert"][1], tmp_path))
    before = path.read_bytes()

    assert attention.rewrite(path, SHORT) is None
    assert before == path.read_bytes()


@pytest.mark.parametrize("name", QUADRATIC)
def test_what_cannot_be_cut_is_left_as_it_is(plain: Any, tmp_path: Path, name: str) -> None:
    """Masks and biases in forms that no block has: these stay quadratic, and right."""
    path = Path(shutil.copy(plain[name][1], tmp_path))
    before = path.read_bytes()

    assert attention.rewrite(path, LIMIT)
    assert before == path.read_bytes()


@pytest.mark.parametrize(
    ("name", "limit", "reason"),
    [
        ("deberta", SHORT + 1, "GatherElements is not computed in blocks"),
        ("deberta", SHORT, None),
        ("opt", SHORT + 1, None),
        ("electra", SHORT + 1, None),
    ],
)
def test_an_export_says_what_stays_quadratic(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, limit: int, reason: str | None
) -> None:
    """In one line, where texts may be long enough for it to matter; it is kept in the manifest."""
    module(tmp_path, name, limit, num_hidden_layers=1)
    entry = Entry(name="small", repo=name, folder=tmp_path / name)

    export.show(export_all([entry], tmp_path / "artifacts", force=False))

    lines = [line for line in capsys.readouterr().out.splitlines() if "square" in line]
    note = f"attention needs memory in proportion to the square of a text's tokens, as {reason}"
    assert ([f"small: {note}"] if reason else []) == lines
    assert (note if reason else "") == manifest.read(tmp_path / "artifacts" / "small").modules[0].note


MEMORY = """
import sys
import numpy, onnxruntime
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options)
def most():  # getrusage would count that of the parent before exec
    (line,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000
shrinking = onnxruntime.RunOptions()
shrinking.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
def run(tokens):
    ids = numpy.full((1, tokens), 7)
    feeds = {"input_ids": ids, "attention_mask": numpy.ones_like(ids)}
    session.run(None, {name.name: feeds[name.name] for name in session.get_inputs()}, shrinking)
    return most()
run(8)
before = most()
print(*(run(int(tokens)) - before for tokens in sys.argv[2:]))
"""


@pytest.mark.parametrize("name", ["gemma3_text", "llama", "modernbert", "t5"])
def test_memory_grows_with_the_tokens(tmp_path: Path, name: str) -> None:
    """Megabytes beyond those of a short text; one [tokens, tokens] of float32 alone has 268 of 8,192."""
    limit = 8192
    path = tmp_path / "model.onnx"
    original = module(tmp_path, name, limit)
    write(original, path, limit)

    command = [sys.executable, "-c", MEMORY, str(path), "2048", "4096", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    short, middle, long = map(float, done.stdout.split())
    assert long < 100, (short, middle, long)
    assert long <= 6 * max(short, 5.0)
    assert middle <= long
