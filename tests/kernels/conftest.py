"""What tests of the kernels share."""

from collections.abc import Callable, Iterator

import pytest
from native_model import KERNELS


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Lets a caller have helpers until the end of the test."""
    yield KERNELS.set_threads
    KERNELS.set_threads(1)
