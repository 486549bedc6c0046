"""The options of a prediction, and the names of outputs and devices. Imports no numerical library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from pydantic import Field, SkipValidation

from scbasset_zoo.options import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

DeviceName = Literal["auto", "cpu", "cuda", "openvino", "tensorrt"]
Precision = Literal["float32", "bfloat16", "float16", "tf32"]
OutputName = Literal["accessibility", "logits", "peak_embedding"]


class PredictOptions(Options):
    """Options of :meth:`scbasset_zoo.Model.predict`, :func:`scbasset_zoo.predict` and `scbasset-zoo predict`."""

    output: OutputName = Field(
        "accessibility", description="Probability that a peak is open, its logits, or the embedding of the peaks."
    )
    # The model checks the cells: it has their barcodes, and takes arrays too.
    cells: SkipValidation[Sequence[str | int] | None] = Field(
        None, description="Only these cells, in this order: barcodes. In Python also positions, or a boolean for each cell."
    )
    group_by: str | None = Field(
        None, description="Column of the cells. The result has one row for each group: the mean of the output over its cells."
    )
    average_strands: bool = Field(False, description="Predict both strands and return the mean of their outputs.")
    batch_effects: bool = Field(False, description="Add the effect of each cell's batch. Only a batch-corrected model can do this.")
    batch_size: int | None = Field(
        None,
        ge=1,
        description="Sequences that run at once; if not given, 32 on processors and 256 on GPUs. The result does not depend on it.",
    )
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    strict: bool = Field(False, description="Refuse peaks that the genome does not have, instead of leaving them out.")


class PredictKeywords(TypedDict, total=False):
    """The fields of :class:`PredictOptions`, for editors and type checkers."""

    output: OutputName
    cells: Sequence[str | int] | NDArray[Any] | None
    group_by: str | None
    average_strands: bool
    batch_effects: bool
    batch_size: int | None
    force: bool
    strict: bool
