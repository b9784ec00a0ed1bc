"""Embedding on Ray Data: a stage for datasets, and Parquet files in one call.

from embed_onnx.ray.data import embed_parquet

embed_parquet("s3://texts/", "s3://vectors/", artifact="/models/all-MiniLM-L6-v2", actors=8)
"""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.data import SaveMode

from embed_onnx.bulk import columns
from embed_onnx.bulk.blocks import fault
from embed_onnx.engine.vectors import Vector
from embed_onnx.errors import SetupError
from embed_onnx.models import isolate
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.ray import env

ROWS_A_BATCH = 256
"""Embedded in one go: enough to fill the cores of an actor, and little to lose with a node."""


class EmbedStage:
    """Adds a column of vectors to batches; an actor makes it once, and keeps the model loaded.

        dataset.map_batches(
            EmbedStage,
            fn_constructor_kwargs={"artifact": "/models/all-MiniLM-L6-v2", "column": "text"},
            compute=ray.data.ActorPoolStrategy(size=8),
            num_cpus=1,
            batch_format="pyarrow",
            batch_size=256,
        )

    ``artifact`` is a folder that every node has. The vectors go to ``output``, as Arrow's fixed-size lists of
    float32; a row whose text is null, empty or damaged, or cannot be embedded, has a null there. An actor
    uses the cores of its ``num_cpus``. ``literal_special_tokens`` is that of ``Model.load``.

    Raises:
        ArtifactError: The artifact is absent, damaged, or newer than this version.
        InvalidRequest: An option is wrong for this model.
    """

    def __init__(
        self,
        *,
        artifact: str | Path,
        column: str = "text",
        output: str = "embedding",
        prompt_name: str | None = None,
        dimensions: int | None = None,
        literal_special_tokens: bool = False,
    ) -> None:
        self._model = Model.load(artifact, threads=env.cores(), literal_special_tokens=literal_special_tokens)
        self._column = column
        self._output = output
        self._options = Options(prompt_name=prompt_name, dimensions=dimensions)
        self._width = dimensions or self._model.manifest.dense.dimensions
        self._model.embed_now(["a"], self._options)  # or they are refused here

    def __call__(self, batch: pa.Table) -> pa.Table:
        """The batch with its vectors, rows and other columns as they were.

        Raises:
            SetupError: There is no such column of texts, or one of the output's name.
            InferenceFailed: Every text fails.
        """
        texts = self._texts(batch)
        embedded = iter(self._vectors([text for text in texts if text is not None]))
        rows = [None if text is None else next(embedded) for text in texts]
        vectors = [row for row in rows if row is not None]
        values = pa.array(np.concatenate(vectors) if vectors else [], pa.float32())
        dense = pa.FixedSizeListArray.from_arrays(values, self._width)
        places = iter(range(len(vectors)))
        column = dense.take(pa.array([None if row is None else next(places) for row in rows], pa.int64()))
        return batch.append_column(pa.field(self._output, column.type, metadata=self._origin()), column)

    def _vectors(self, texts: list[str]) -> list[Vector | None]:
        """Of each text, [dimensions]; None for one that the model cannot take, which ends no job.

        Raises:
            InferenceFailed: The model fails on each of several.
        """
        isolated = isolate.embed(self._model, self._model.embed_now, texts, self._options)
        vectors = iter(isolated.outcome.vectors)
        return [None if place in isolated.failures else next(vectors) for place in range(len(texts))]

    def _texts(self, batch: pa.Table) -> list[str | None]:
        """Of each row; None where there is nothing to embed."""
        if self._column not in batch.column_names:
            raise SetupError(
                f"there is no column {self._column!r}; there are {', '.join(batch.column_names)}"
            )
        if self._output in batch.column_names:
            raise SetupError(f"there is a column {self._output!r} already; give another name to the output")
        kind = batch.schema.field(self._column).type
        if not (columns.is_text(kind) or pa.types.is_null(kind)):
            raise SetupError(f"the column {self._column!r} holds {kind}, and must hold strings")
        return [None if fault(text) else text for text in columns.texts(batch.column(self._column))]

    def _origin(self) -> dict[str, str]:
        """What made the vectors, for the schema of the output."""
        manifest = self._model.manifest
        return {
            "model": manifest.name,
            "revision": manifest.source.revision or "",
            "precision": manifest.precision,
        }


def embed_parquet(  # noqa: PLR0913 - each is a choice of its own
    source: str | list[str],
    target: str,
    *,
    artifact: str | Path,
    actors: int,
    cores: int = 1,
    column: str = "text",
    output: str = "embedding",
    prompt_name: str | None = None,
    dimensions: int | None = None,
    literal_special_tokens: bool = False,
    block_rows: int = 4096,
) -> None:
    """Embed Parquet files, or folders of them, to Parquet files in ``target``, a new folder; blocks.

    Paths are what Ray Data takes, and all nodes read and write them. ``actors`` of ``cores`` each keep the
    model loaded; leave a core for reading and writing. ``block_rows`` is how many rows go to an actor
    together, and are embedded again if its node is lost. Rows may come in another order: have a column that
    names them.

    Raises:
        ValueError: The target is there already.
        ray.exceptions.RayTaskError: A stage failed; the last line is ``EmbedStage``'s own sentence.
    """
    stage: dict[str, Any] = {
        "artifact": artifact,
        "column": column,
        "output": output,
        "prompt_name": prompt_name,
        "dimensions": dimensions,
        "literal_special_tokens": literal_special_tokens,
    }
    rows = ray.data.read_parquet(source).repartition(target_num_rows_per_block=block_rows)
    rows.map_batches(
        EmbedStage,
        fn_constructor_kwargs=stage,
        compute=ray.data.ActorPoolStrategy(size=actors),
        num_cpus=cores,
        batch_format="pyarrow",
        batch_size=ROWS_A_BATCH,
        udf_modifying_row_count=False,
    ).write_parquet(target, mode=SaveMode.ERROR)
