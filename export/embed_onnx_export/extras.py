"""Which of the two extras is installed: the light one for BERT's relatives, or that with PyTorch for all."""

from importlib.util import find_spec

PYTORCH = ("torch", "transformers", "sentence_transformers")
"""What the extra ``export`` has and the extra ``convert`` has not."""


def have_pytorch() -> bool:
    """Whether models can be loaded in PyTorch here, for other architectures and for comparisons."""
    return all(find_spec(name) is not None for name in PYTORCH)
