"""The same bits by every instruction set that this processor has, and those that others have."""

import kernel_cases
import kernel_golden
import numpy as np
import pytest
from kernel_sessions import ENGINES, run_case
from native_model import KERNELS

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)

CASES = (
    kernel_cases.every_case()
    | kernel_cases.vocabulary_cases()
    | kernel_cases.linear_cases()
    | kernel_cases.attention_cases()
    | kernel_cases.random_cases(60)
)
GOLDEN = kernel_golden.cases()


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", GOLDEN)
def test_the_bits_are_those_of_all_processors(name: str, engine: str) -> None:
    """Digests that one instruction set has written hold for all: the driver's tests have Arm's."""
    assert kernel_golden.digests()[name] == kernel_golden.digest(run_case(GOLDEN[name], engine))


@pytest.mark.parametrize("engine", ENGINES[1:])
@pytest.mark.parametrize("name", CASES)
def test_instruction_sets_agree(name: str, engine: str) -> None:
    np.testing.assert_array_equal(run_case(CASES[name], ENGINES[0]), run_case(CASES[name], engine))


def test_a_digest_tells_two_results_apart() -> None:
    """The least change of one number gives another digest."""
    states = run_case(GOLDEN["relu"])
    before = kernel_golden.digest(states)
    states[0, 3, 5] = np.nextafter(states[0, 3, 5], np.float32(9))

    assert before != kernel_golden.digest(states)
