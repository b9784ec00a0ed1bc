"""Models before and after real forks, and in other processes: the same vectors, and nobody waits for ever."""

import copy
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import MINILM, SMALL, clean_environment

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.errors import ArtifactError

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no forks here")

TEXTS = ["a text", "another one", *[f"number {number} " * number for number in range(40)]]
HANG_SECONDS = 120
"""A child that waits for ever is a failure; none of these takes long."""

BEGINNING = """
import asyncio, multiprocessing, os, sys, threading, time
import numpy as np
from embed_onnx import Model; from embed_onnx.system import forks

folder, texts = sys.argv[1], ["a text", "another one", *[f"number {n} " * n for n in range(40)]]

def child(work):
    "Run work in a forked child, which ends as programs do; whether it ended well."
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    work()
    sys.exit(0)

def check(vectors):
    assert (vectors == expected).all(), "other vectors"

"""


@pytest.fixture
def program(artifacts: Path) -> Callable[..., str]:
    """Run a program with ``model``, on a real artifact, after its vectors of ``texts``; what it prints."""

    def run(code: str, *, used: bool = True, name: str = SMALL, kernels: str = "auto") -> str:
        loading = "model = Model.load(folder, threads=2)\n"
        before = "expected = model.encode(texts)\n" if used else ""
        done = subprocess.run(
            [sys.executable, "-c", BEGINNING + loading + before + code, str(artifacts / name)],
            env=clean_environment() | {"EMBED_ONNX_KERNELS": kernels},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    return run


@pytest.mark.parametrize("kernels", ["auto", "off"])
@pytest.mark.parametrize("name", [SMALL, MINILM])
def test_a_forked_child_embeds(program, name: str, kernels: str) -> None:
    """So do its parent, which goes on, and its own child; a text alone has all cores in each."""
    program(
        """
def grandchild():
    check(model.encode(texts))
    assert child(lambda: check(model.encode(texts))) == 0

assert child(grandchild) == 0
assert child(lambda: [model.encode(texts[-1]) for _ in range(50)]) == 0
check(model.encode(texts))
assert child(lambda: check(model.encode(texts))) == 0
model.close()
""",
        name=name,
        kernels=kernels,
    )


def test_a_model_that_nobody_has_used_before_the_fork(program) -> None:
    program(
        """
assert child(lambda: model.encode(texts)) == 0
model.encode(texts)
""",
        used=False,
    )


@pytest.mark.parametrize("loading", ["model", "Model.load(folder)"], ids=["inherited", "of-the-childs-own"])
def test_an_event_loop_in_the_child(program, loading: str) -> None:
    """Long lists too, which are tokenized in threads, of which the parent has some by then."""
    program(
        f"""
async def embed(model):
    return await model.encode_async(texts)

check(asyncio.run(embed(model)))
assert child(lambda: check(asyncio.run(embed({loading})))) == 0
check(asyncio.run(embed(model)))
"""
    )


def test_forks_while_other_threads_embed(program) -> None:
    """At whatever instant: between packs, in the middle of tokenizing, while something waits."""
    program(
        """
stop = threading.Event()
wrong = []

def work():
    while not stop.is_set():
        if not (model.encode(texts) == expected).all():
            wrong.append(1)

async def work_in_loop():
    while not stop.is_set():
        if not (await model.encode_async(texts) == expected).all():
            wrong.append(1)

threads = [threading.Thread(target=work) for _ in range(3)]
threads.append(threading.Thread(target=lambda: asyncio.run(work_in_loop())))
for thread in threads:
    thread.start()
codes = []
for number in range(15):
    time.sleep(0.003 * number)
    codes.append(child(lambda: check(model.encode(texts))))
stop.set()
for thread in threads:
    thread.join()
assert codes == [0] * 15, codes
assert wrong == []
"""
    )


def test_forks_from_several_threads(program) -> None:
    program(
        """
codes = []

def work():
    for _ in range(4):
        pid = os.fork()
        if not pid:
            try:
                check(model.encode(texts))
            except BaseException:
                os._exit(1)
            os._exit(0)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))

threads = [threading.Thread(target=work) for _ in range(3)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert codes == [0] * 12, codes
"""
    )


def test_a_fork_while_a_lane_hangs(program) -> None:
    """The child says at once what to do, and can do it; the parent goes on."""
    log = program(
        """
from embed_onnx.engine.inference import Inference

forks.SECONDS = 0.2
whole, gate = Inference.run, threading.Event()

def run(self, sequences):
    if threading.current_thread().name != "lane-quick":
        gate.wait()
    return whole(self, sequences)

Inference.run = run
waiting = threading.Thread(target=lambda: check(model.encode(texts)))
waiting.start()
time.sleep(0.5)

def tell():
    try:
        model.encode(texts)
    except Exception as err:
        print(err, flush=True)

def work():
    tell()
    assert child(tell) == 0
    tell()
    Inference.run = whole
    check(Model.load(folder).encode(texts))

assert child(work) == 0
gate.set()
waiting.join()
check(model.encode(texts))
"""
    )

    assert 3 == log.count("load the model in this process")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing(program, method: str) -> None:
    """A pool is given the model, as an argument and, by fork, as what was there before."""
    program(
        f"""
context = multiprocessing.get_context({method!r})
with context.Pool(2) as pool:
    vectors = pool.map(model.encode, texts, chunksize=21)
check(np.stack(vectors))
"""
    )


def test_an_app_that_was_loaded_before_the_fork(program) -> None:
    """As servers do that load an app once and fork workers; each of them answers."""
    program(
        """
from pathlib import Path
from litestar.testing import TestClient
from embed_onnx.models import registry
from embed_onnx.http.app import compose
from embed_onnx.settings import Settings

settings = Settings(artifacts=Path(folder).parent, models=Path("none"))
service = compose(registry.entries_to_serve(settings), settings)
service.registry.load()
app = service.app

def work():
    with TestClient(app) as client:
        answer = client.post("/embeddings", json={"input": texts[1], "model": Path(folder).name})
        assert answer.status_code == 200, answer.text
        assert np.allclose(answer.json()["data"][0]["embedding"], expected[1], atol=1e-6)

assert [child(work), child(work)] == [0, 0]
"""
    )


def test_workers_of_a_data_loader(program) -> None:
    """torch forks them."""
    program(
        """
import torch.utils.data

class Vectors(torch.utils.data.Dataset):
    def __len__(self):
        return len(texts)

    def __getitem__(self, index):
        return model.encode(texts[index])

loader = torch.utils.data.DataLoader(Vectors(), batch_size=7, num_workers=2)
check(np.concatenate([batch.numpy() for batch in loader]))
"""
    )


@pytest.mark.parametrize("backend", ["loky", "multiprocessing", "threading"])
def test_workers_of_joblib(program, backend: str) -> None:
    program(
        f"""
import joblib

vectors = joblib.Parallel(2, backend={backend!r})(joblib.delayed(model.encode)(text) for text in texts)
check(np.stack(vectors))
"""
    )


@pytest.mark.parametrize(
    "copied_by",
    [lambda model: pickle.loads(pickle.dumps(model)), copy.deepcopy, copy.copy],
    ids=["pickle", "deepcopy", "copy"],
)
def test_a_copy_has_lanes_of_its_own(artifacts: Path, small: Model, copied_by) -> None:
    """What was asked for at loading included; closing it leaves the other as it is."""
    selection = {"threads": 1, "lane_timeout": 7, "literal_special_tokens": True}
    with Model.load(artifacts / SMALL, **selection) as model:
        with copied_by(model) as other:
            vectors = other.encode(TEXTS)
            scheduler = other._scheduler
            options = scheduler.lanes, scheduler.lane_timeout, other.files.literal_special_tokens
        assert (model.encode(TEXTS) == small.encode(TEXTS)).all()

    assert (vectors == small.encode(TEXTS)).all()
    assert tuple(selection.values()) == options


def test_a_pickled_model_whose_artifact_has_changed(copied: Path) -> None:
    """Its vectors could be others; the sentence names the folder."""
    folder = copied / "artifacts" / SMALL
    with Model.load(folder) as model:
        pickled = pickle.dumps(model)
        changed = manifest.read(folder)
    changed.prompts["new"] = "other: "
    manifest.write(changed, folder)

    with pytest.raises(ArtifactError, match="was exported again after this model was pickled"):
        pickle.loads(pickled)
    shutil.rmtree(folder)
    with pytest.raises(ArtifactError, match=str(folder)):
        pickle.loads(pickled)
