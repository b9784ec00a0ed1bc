"""Which of the extras is installed: the light one for BERT's relatives, or one with PyTorch for all."""

from importlib.util import find_spec

PYTORCH = ("torch", "transformers", "sentence_transformers")
"""What the extras ``export`` and ``optimum`` have and the extra ``convert`` has not."""


def have_pytorch() -> bool:
    """Whether models can be loaded in PyTorch here, for other architectures and for comparisons."""
    return not absent()


def absent() -> list[str]:
    """The packages that loading a model in PyTorch lacks."""
    return [name for name in PYTORCH if find_spec(name) is None]
