"""Registries of models in this process."""

from embed_onnx import Model
from embed_onnx.models import registry
from embed_onnx.models.registry import Registry
from embed_onnx.settings import Settings


def use(models: Registry, name: str | None) -> tuple[Model, str | None]:
    with models.use(name) as result:
        return result


def opened(settings: Settings) -> Registry:
    return Registry(registry.entries_to_serve(settings), settings)
