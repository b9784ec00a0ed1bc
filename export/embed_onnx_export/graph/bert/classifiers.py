"""What BERT and its relatives score texts with: the layers between the first token's state and the logits."""

from typing import Any

from numpy.typing import NDArray

from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.head_graph import Dense

TWO_LAYERS = (("classifier.dense", "Tanh"), ("classifier.out_proj", "Identity"))
"""Of RoBERTa and those that follow it."""
LAYERS: dict[str, tuple[tuple[str, str], ...]] = {
    "bert": (("bert.pooler.dense", "Tanh"), ("classifier", "Identity")),
    "camembert": TWO_LAYERS,
    "distilbert": (("pre_classifier", "ReLU"), ("classifier", "Identity")),
    "electra": (("classifier.dense", "GELU"), ("classifier.out_proj", "Identity")),
    "mpnet": TWO_LAYERS,
    "roberta": TWO_LAYERS,
    "xlm-roberta": TWO_LAYERS,
}
"""By ``model_type``, the names of a classifier's layers, and what each ends with."""


def read(config: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> tuple[Dense, ...]:
    """The layers of a model whose family is known, in their order.

    Raises:
        UnknownFamily: A parameter is missing, or is of another shape than its layer.
    """
    width, steps = None, []
    for name, activation in LAYERS[config["model_type"]]:
        try:
            weight, bias = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
        except KeyError as err:
            raise UnknownFamily(f"it has no {err.args[0]}") from None
        if weight.ndim != 2 or bias.shape != weight.shape[:1] or width not in (None, weight.shape[1]):
            raise UnknownFamily(
                f"its {name} is of the shape {weight.shape}, which does not fit its classifier"
            )
        steps.append(Dense(weight=weight, bias=bias, activation=activation))
        width = len(weight)
    return tuple(steps)
