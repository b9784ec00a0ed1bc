"""Which model can do what, by the kind of its output."""

import msgspec
import pytest
from native_model import MANIFEST

from embed_onnx.artifact.manifest import Output, Record
from embed_onnx.errors import InvalidRequest
from embed_onnx.models import tasks


class Unknown(Record, frozen=True, tag_field="kind", tag="unknown"):
    """A kind that no task takes."""


def test_every_kind_of_output_can_do_something():
    kinds = {kind for known in tasks.KINDS.values() for kind in known}

    assert {Output} == kinds


def test_a_dense_model_embeds():
    tasks.check("embed", MANIFEST)


def test_a_model_of_another_kind_is_named_with_what_it_is():
    other = msgspec.structs.replace(MANIFEST, output=Unknown())

    with pytest.raises(InvalidRequest) as refused:
        tasks.check("embed", other)

    expected = (
        "small is a model of kind unknown, which does not do embed, but nothing here; name another model"
    )
    assert (expected, "model") == (str(refused.value), refused.value.param)
