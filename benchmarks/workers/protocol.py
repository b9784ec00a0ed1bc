"""The other end of ``benchmarks.engines.Worker``: JSON lines over standard input and output.

A worker is a script run by the interpreter of its peer's environment, with one argument: a JSON object of
options. It loads its engine, says which versions it runs, and answers a line a request:

    {"texts": [...], "seconds": 1.0}     times the engine until so many seconds have passed, at least once
    {"texts": [...], "save": "a.npy"}    writes what it gives, float32: vectors [texts, dimensions], or scores

An engine that ranks scores the first text with each of the others.
"""

import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Encode = Callable[[list[str]], Any]


def serve(load: Callable[..., Encode], packages: Sequence[str], **more: str) -> None:
    """Load by the options of the command line and answer until standard input ends.

    Versions are those of the packages, and whatever else belongs in the results.
    """
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not mix with answers
    encode = load(**json.loads(sys.argv[1]))
    versions = {name: importlib.metadata.version(name) for name in packages} | more
    print(json.dumps({"versions": versions}), file=answers)
    for line in sys.stdin:
        print(json.dumps(_answer(encode, json.loads(line))), file=answers)


def _answer(encode: Encode, request: dict[str, Any]) -> dict[str, Any]:
    if "save" in request:
        np.save(request["save"], np.asarray(encode(request["texts"]), dtype=np.float32))
        return {}
    return {"seconds": _time(encode, request["texts"], request["seconds"])}


def _time(encode: Encode, texts: list[str], seconds: float) -> list[float]:
    times: list[float] = []
    while sum(times) < seconds or not times:
        started = time.perf_counter()
        encode(texts)
        times.append(time.perf_counter() - started)
    return times
