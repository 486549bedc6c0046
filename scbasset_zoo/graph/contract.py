"""The contract of model.onnx: the names of its input and outputs, and the sizes that its card states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

INPUT_NAME = "sequence"
OUTPUT_NAMES = ("accessibility", "logits", "peak_embedding")
BATCH_OUTPUT = "batch_logits"


@dataclass(frozen=True)
class Contract:
    """What the card of a package requires of its model.onnx.

    Attributes
    ----------
    sequence_length : int
        In bp.
    n_cells, embedding_size : int
    n_batches : int or None
        None for a model without the output `batch_logits`.
    opset : int
    has_gauge : bool
        Whether the model has the mean and the covariance of its peak embeddings, see :mod:`scbasset_zoo.graph.gauge`.
    metadata : mapping of str to str
        The `metadata_props` that model.onnx must have. They show if files of two packages were mixed.
    """

    sequence_length: int
    n_cells: int
    embedding_size: int
    n_batches: int | None
    opset: int
    has_gauge: bool
    metadata: Mapping[str, str]

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs, in order."""
        return OUTPUT_NAMES if self.n_batches is None else (*OUTPUT_NAMES, BATCH_OUTPUT)
