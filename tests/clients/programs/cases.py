"""What the programs of this folder share: a case is a call of a client, and its answer or error is printed.

A program is started as ``PROGRAM URL KEY MODEL TEXT ...`` and prints JSON.
"""

import asyncio
import contextlib
import inspect
import ipaddress
import json
import sys
from collections.abc import Callable
from typing import Any

URL, KEY, MODEL, *TEXTS = sys.argv[1:]
TOO_LONG = "word " * 3000


def run(*cases: Callable[[], Any]) -> None:
    """Run every case, whatever becomes of the others, and print what each gave."""
    sys.addaudithook(_stay_inside)
    with contextlib.redirect_stdout(sys.stderr):  # some clients print
        outcomes = {case.__name__: _outcome(case) for case in cases}
    json.dump(outcomes, sys.stdout, default=float)


def _outcome(case: Callable[[], Any]) -> dict[str, Any]:
    try:
        answer = asyncio.run(case()) if inspect.iscoroutinefunction(case) else case()
    except Exception as err:
        kinds = [kind.__name__ for kind in type(err).__mro__]
        return {"kinds": kinds, "message": str(err), "code": str(getattr(err, "code", ""))}
    return {"answer": answer}


def _stay_inside(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse every address but loopback's, by name or number; sockets of files have none."""
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    name = host.decode() if isinstance(host, bytes) else str(host)
    if not _is_loopback(name):
        raise ConnectionRefusedError(f"{name} is not this machine")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"
