"""What can be asked of a training run."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class TrainingOptions(BaseModel):
    """Options of :func:`scbasset_zoo.train`; the defaults are the paper's recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bottleneck: int = Field(32, ge=1, description="Length of the peak and cell embeddings.")
    width: float = Field(1.0, gt=0, le=4, description="Factor on the number of filters of every convolution.")
    batch_key: str | None = Field(
        None, description="Column of .obs with the batch of each cell; trains the batch-corrected variant."
    )
    l2_cell: float = Field(0.0, ge=0, description="L2 penalty on the weights from bottleneck to cells (lambda_1).")
    l2_batch: float = Field(0.0, ge=0, description="L2 penalty on the weights from bottleneck to batches (lambda_2).")
    epochs: int = Field(1000, ge=1, description="The most epochs.")
    patience: int = Field(50, ge=1, description="Stop when the best training AUROC is this many epochs old.")
    min_delta: float = Field(1e-6, ge=0, description="A smaller rise of the training AUROC does not count.")
    batch_size: int = Field(128, ge=2, description="Peaks in a training step.")
    learning_rate: float = Field(0.01, gt=0, description="Learning rate of Adam.")
    beta_1: float = Field(0.95, ge=0, lt=1, description="Adam's decay of the mean gradient.")
    beta_2: float = Field(0.9995, ge=0, lt=1, description="Adam's decay of the mean squared gradient.")
    shift: int = Field(3, ge=0, description="Windows are shifted at random by up to this many bp.")
    reverse_complement: bool = Field(True, description="Take the opposite strand of half of the windows, at random.")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="Precision of the trunk; auto takes bfloat16 where the hardware computes in it."
    )
    seed: int = Field(0, ge=0, lt=2**31, description="Seed of weights, order, augmentation and dropout.")
    init_from: str | None = Field(None, description="Package whose trunk to start from; the head starts anew.")
    freeze_trunk: bool = Field(False, description="Train only the head.")
    tensorboard: bool = Field(False, description="Also write TensorBoard logs to OUT/tensorboard.")
