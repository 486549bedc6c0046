"""Options of `train`: types, defaults, bounds and descriptions."""

from __future__ import annotations

from typing import ClassVar, Literal, TypedDict

from pydantic import ConfigDict, Field, model_validator

from scbasset_zoo.options import Options
from scbasset_zoo.wording import option

# With batches, the penalty that mixes them more than no correction does on simulated data (docs/batch-correction.md). The loss is a
# mean over cells and the penalty a sum, so the same effect on each cell needs a penalty that falls with the number of cells.
L2_CELL_TIMES_CELLS = 0.004


class TrainingOptions(Options):
    """Options of :func:`scbasset_zoo.train`; the defaults are the paper's recipe."""

    model_config = ConfigDict(allow_inf_nan=False)
    earlier_names: ClassVar = {"bottleneck": "embedding_size"}

    embedding_size: int = Field(32, ge=1, le=65_536, description="Length of the peak and cell embeddings.")
    width: float = Field(1.0, gt=0, le=4, description="Factor on the number of filters of every convolution.")
    batch_key: str | None = Field(
        None, description="Column of .obs with the batch of each cell; trains the batch-corrected variant."
    )
    l2_cell: float | None = Field(
        None,
        ge=0,
        description="L2 penalty on the weights of the cells (lambda_1 in the paper). By default 0 without batches, and with them "
        f"{L2_CELL_TIMES_CELLS:g} divided by the number of cells.",
    )
    l2_batch: float = Field(0.0, ge=0, description="L2 penalty on the weights of the batches (lambda_2 in the paper).")
    epochs: int = Field(1000, ge=1, description="The largest number of epochs.")
    patience: int = Field(50, ge=1, description="Stop when the best training AUROC has not risen for this many epochs.")
    min_delta: float = Field(1e-6, ge=0, description="Smaller rises of the training AUROC do not count.")
    batch_size: int = Field(128, ge=2, description="Number of peaks in a training step.")
    accumulate: int | None = Field(
        None,
        ge=1,
        description="Compute each step in so many parts of its batch, one after another, and add up their gradients: a part needs "
        "less memory. Batch normalisation uses the statistics of each part. By default in as few parts as the free memory allows.",
    )
    cells_per_step: int | None = Field(
        None,
        ge=1,
        description="Compute each step on so many cells, drawn at random, for hundreds of thousands of cells and more. By default "
        "on all.",
    )
    strategy: Literal["auto", "none", "mirrored", "multiworker"] = Field(
        "auto",
        description="Devices that share each batch: one (none), all GPUs of this machine (mirrored), or those of all workers that "
        "TF_CONFIG or SLURM names (multiworker). auto chooses.",
    )
    learning_rate: float = Field(0.01, gt=0, description="Learning rate of Adam.")
    warmup: int = Field(
        0, ge=0, description="Raise the learning rate in equal parts over so many steps, from near 0. The paper does not."
    )
    beta_1: float = Field(0.95, ge=0, lt=1, description="Decay rate of Adam's mean gradient.")
    beta_2: float = Field(0.9995, ge=0, lt=1, description="Decay rate of Adam's mean squared gradient.")
    shift: int = Field(3, ge=0, description="Windows are shifted at random by up to this many bp.")
    reverse_complement: bool = Field(True, description="Reverse-complement half of the windows, drawn at random.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of the trunk; auto is bfloat16 where the hardware supports it, else float32."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of the weights, the order of peaks, the augmentation and dropout.")
    init_from: str | None = Field(
        None,
        description="Package that the training starts from: its trunk, and the weights of cells with the same barcode. Other cells "
        "start at random.",
    )
    freeze_trunk: bool = Field(False, description="Train the head only.")
    tensorboard: bool = Field(False, description="Also write TensorBoard logs to the folder tensorboard of the run.")

    @model_validator(mode="after")
    def _needed_options_are_given(self) -> TrainingOptions:
        if self.l2_batch and self.batch_key is None:
            raise ValueError(f"{option('l2_batch')} penalises the batch path: name the batches with {option('batch_key')}.")
        if self.freeze_trunk and self.init_from is None:
            raise ValueError(f"{option('freeze_trunk')} trains the head only: name the trunk's package with {option('init_from')}.")
        return self

    def for_cells(self, n_cells: int) -> TrainingOptions:
        """Return the options with a number for `l2_cell`: the given one, or the default for a number of cells."""
        if self.l2_cell is not None:
            return self
        default = 0.0 if self.batch_key is None else L2_CELL_TIMES_CELLS / n_cells
        return self.model_copy(update={"l2_cell": default})


class TrainingKeywords(TypedDict, total=False):
    """Options of `train` as keywords, for editors."""

    embedding_size: int
    width: float
    batch_key: str | None
    l2_cell: float | None
    l2_batch: float
    epochs: int
    patience: int
    min_delta: float
    batch_size: int
    accumulate: int | None
    cells_per_step: int | None
    strategy: Literal["auto", "none", "mirrored", "multiworker"]
    learning_rate: float
    warmup: int
    beta_1: float
    beta_2: float
    shift: int
    reverse_complement: bool
    precision: Literal["auto", "float32", "bfloat16"]
    seed: int
    init_from: str | None
    freeze_trunk: bool
    tensorboard: bool
