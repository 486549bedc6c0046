"""The model card, card.yaml: its fields, their types and their checks."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, Strict, ValidationError, ValidationInfo, field_validator

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT, OUTPUT_NAMES, Contract
from scbasset_zoo.package import card_versions, plain_yaml
from scbasset_zoo.package.card_fields import (
    Count,
    Doi,
    License,
    ModelId,
    NotNegative,
    Number,
    Orcid,
    Positive,
    Probability,
    RelativePath,
    Sha256,
    Tag,
    Text,
    Tolerance,
    Url,
    Value,
    Version,
)
from scbasset_zoo.validation import field_problems

UNKNOWN_ASSEMBLY = "unknown"
# What the gauge of a model is computed from, unless its user names other peaks.
TRAINING_PEAKS = "the training peaks: those of peaks.parquet with split train"
SPLITS = ("train", "validation", "test")
REQUIRED_FILES = ("model.onnx", "cells.parquet", "tests/sequences.txt", "tests/expected.npz", "README.md")
MAX_BYTES = 4 * 2**20
MAX_TEST_SEQUENCES = 100


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Author(_Section):
    """A person or group who made the model."""

    name: Text
    affiliation: Text | None = None
    orcid: Orcid | None = None


class Citation(_Section):
    """A work to cite: its text, and its DOI or URL if it has one."""

    text: Text
    doi: Doi | None = None
    url: Url | None = None


class Data(_Section):
    """The cells x peaks that the model was fitted to; `license` is NOASSERTION if the data come without a licence."""

    description: Text
    license: License
    citation: Annotated[tuple[Citation, ...], Strict(False), Field(min_length=1)]
    accessions: Annotated[tuple[Text, ...], Strict(False)] = ()


class InputContract(_Section):
    """The input of the network: one-hot sequences, float32 (N, length, 4)."""

    name: Literal["sequence"]
    length: Annotated[int, Field(ge=1, le=1_000_000)]
    alphabet: Literal["ACGT"]
    n_policy: Literal["0.25 in each channel"]
    window: Text


class Output(_Section):
    """An output of the network, and what its values mean."""

    name: Literal["accessibility", "logits", "peak_embedding", "batch_logits"]
    meaning: Text


class Architecture(_Section):
    """The network, and the software that wrote model.onnx."""

    name: Text
    embedding_size: Annotated[int, Field(ge=1, le=65_536)]
    n_parameters: Positive | None = None
    opset: Positive
    producer: Text
    software: dict[Text, Text] = {}


class GenomeReference(_Section):
    """The assembly whose sequence the model was fitted to, with the sizes of its chromosomes in bp.

    Only the assembly "unknown" may come without sizes.
    """

    assembly: Text
    naming: Literal["ucsc", "ensembl", "other"]
    chromosome_sizes: dict[Text, Positive]

    @field_validator("chromosome_sizes")
    @classmethod
    def _has_sizes(cls, value: dict[str, int], info: ValidationInfo) -> dict[str, int]:
        if not value and info.data.get("assembly", UNKNOWN_ASSEMBLY) != UNKNOWN_ASSEMBLY:
            raise ValueError(f"must list the chromosomes of {info.data['assembly']} with their lengths")
        return value


class Cells(_Section):
    """The cells of the model, in the order of its outputs and of the rows of cells.parquet."""

    n_cells: Annotated[int, Field(ge=1, le=16_000_000)]
    order_sha256: Sha256
    columns: dict[Text, Text]
    default_group: Text | None = None

    @field_validator("default_group")
    @classmethod
    def _is_a_column(cls, value: str | None, info: ValidationInfo) -> str | None:
        columns = info.data.get("columns")
        if value is not None and columns is not None and value not in columns:
            raise ValueError(f"{value!r} is none of the cells' columns ({', '.join(columns) or 'there are none'})")
        return value


class Peaks(_Section):
    """The training peaks, in the order of the rows of peaks.parquet."""

    n_peaks: Positive
    order_sha256: Sha256
    columns: dict[Text, Text]


class Gauge(_Section):
    """The peaks that mean and covariance of the peak embeddings in model.onnx are computed from.

    With them, the depth of a cell and the distance between two cells have units, the same for every fit.
    """

    n_peaks: Annotated[int, Field(ge=2, lt=2**53)]
    peaks: Text


class BatchCorrection(_Section):
    """The batches of a batch-corrected model (scBasset-BC), with the L2 penalties on its cell path and its batch path.

    Only the output `batch_logits`, if there is one, includes the effects of the batches.
    """

    column: Text
    n_batches: Positive
    l2_cell: NotNegative | None = None
    l2_batch: NotNegative | None = None


class Parent(_Section):
    """A package, by its id, its version and the SHA-256 of its card.yaml."""

    id: ModelId
    version: Version
    card_sha256: Sha256


class Lineage(_Section):
    """The package that this one was made from: its trunk as it is, with new cells after its own cells, or in place of them.

    `method` says how the weights of the new cells were found, and `settings` with which numbers. The new cells are the last
    `n_new_cells`.
    """

    parent: Parent
    method: Text
    settings: dict[Text, Value] = {}
    n_new_cells: Positive


class Source(_Section):
    """A file that the model was fitted to."""

    name: Text
    bytes: Count | None = None
    sha256: Sha256 | None = None
    url: Url | None = None


class Split(_Section):
    """How peaks were held out, and how many peaks are in each part."""

    method: Text
    train: Count
    validation: Count
    test: Count


class Training(_Section):
    """How the model was fitted; the wall time is in seconds."""

    sources: Annotated[tuple[Source, ...], Strict(False)] = ()
    split: Split | None = None
    seed: int | None = None
    hyperparameters: dict[Text, Value] = {}
    epochs: Positive | None = None
    stopped_because: Text | None = None
    hardware: Text | None = None
    wall_time: NotNegative | None = None


class Evaluation(_Section):
    """One measurement of how well the model predicts; `n` is the number of cells or peaks that it is computed from.

    `baselines` are the values that the metric has without the model: by chance, by the depth of the cells alone, and so on.
    """

    metric: Text
    split: Text
    value: Number
    n: Positive
    baselines: dict[Text, Number] = {}
    note: Text | None = None


class Verdict(_Section):
    """What the model learnt, in words. The p-values are those of permutation tests on held-out peaks.

    They test whether the model ranks the peaks of a cell better than chance (`p_sequence`), the cells of a peak better than
    chance (`p_cells`), and, without its intercept, better than if cells of the same depth are exchanged (`p_depth`).
    """

    learnt: Literal["sequence", "depth", "nothing"]
    split: Text
    p_sequence: Probability
    p_cells: Probability
    p_depth: Probability
    statement: Text


class TestVectors(_Section):
    """The test sequences in tests/, and how closely a machine must reproduce their expected outputs."""

    n_sequences: Annotated[int, Field(ge=1, le=MAX_TEST_SEQUENCES)]
    rtol: Tolerance
    atol: Tolerance


class FileEntry(_Section):
    """Size and SHA-256 of one file of the package."""

    bytes: Count
    sha256: Sha256


class Card(_Section):
    """A model card, the file card.yaml of a package."""

    schema_version: Literal["1.4"]
    id: ModelId
    version: Version
    created: date
    description: Text
    tags: Annotated[tuple[Tag, ...], Strict(False)] = ()
    authors: Annotated[tuple[Author, ...], Strict(False), Field(min_length=1)]
    license: License
    citation: Annotated[tuple[Citation, ...], Strict(False), Field(min_length=1)]
    data: Data
    input: InputContract
    outputs: Annotated[tuple[Output, ...], Strict(False)]
    architecture: Architecture
    genome: GenomeReference
    cells: Cells
    peaks: Peaks | None = None
    gauge: Gauge | None = None
    batch_correction: Annotated[BatchCorrection | None, Field(validate_default=True)] = None
    lineage: Lineage | None = None
    training: Training | None = None
    evaluation: Annotated[tuple[Evaluation, ...], Strict(False)] = ()
    verdict: Verdict | None = None
    intended_use: Text
    limits: Text
    tests: TestVectors
    files: dict[RelativePath, FileEntry]

    def __repr__(self) -> str:
        return f"Card({self.id} {self.version}, {self.cells.n_cells:,} cells, schema {self.schema_version})"

    __str__ = __repr__

    @field_validator("outputs")
    @classmethod
    def _are_in_order(cls, value: tuple[Output, ...]) -> tuple[Output, ...]:
        names = tuple(output.name for output in value)
        if names not in (OUTPUT_NAMES, (*OUTPUT_NAMES, BATCH_OUTPUT)):
            raise ValueError(f"the outputs must be {', '.join(OUTPUT_NAMES)}, in this order; found {', '.join(names) or 'none'}")
        return value

    @field_validator("batch_correction")
    @classmethod
    def _is_given_for_batch_logits(cls, value: BatchCorrection | None, info: ValidationInfo) -> BatchCorrection | None:
        if value is None and any(output.name == BATCH_OUTPUT for output in info.data.get("outputs", ())):
            raise ValueError(f"must be given, since there is an output {BATCH_OUTPUT}")
        return value

    @field_validator("lineage")
    @classmethod
    def _has_at_most_all_cells(cls, value: Lineage | None, info: ValidationInfo) -> Lineage | None:
        cells = info.data.get("cells")
        if value is not None and cells is not None and value.n_new_cells > cells.n_cells:
            raise ValueError(f"has {value.n_new_cells:,} new cells, more than the {cells.n_cells:,} cells of the model")
        return value

    @field_validator("files")
    @classmethod
    def _are_complete(cls, value: dict[str, FileEntry], info: ValidationInfo) -> dict[str, FileEntry]:
        missing = [name for name in REQUIRED_FILES if name not in value]
        if "peaks" in info.data and (info.data["peaks"] is not None) != ("peaks.parquet" in value):
            raise ValueError("peaks.parquet must be listed if the card describes peaks, and only then")
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        if "card.yaml" in value:
            raise ValueError("card.yaml cannot list its own hash")
        return value

    @property
    def output_names(self) -> tuple[str, ...]:
        """Names of the outputs of model.onnx, in order."""
        return tuple(output.name for output in self.outputs)

    @property
    def contract(self) -> Contract:
        """What this card requires of model.onnx."""
        batches = self.batch_correction if BATCH_OUTPUT in self.output_names else None
        return Contract(
            sequence_length=self.input.length,
            n_cells=self.cells.n_cells,
            embedding_size=self.architecture.embedding_size,
            n_batches=None if batches is None else batches.n_batches,
            opset=self.architecture.opset,
            has_gauge=self.gauge is not None,
            metadata={
                "id": self.id,
                "version": self.version,
                "n_cells": str(self.cells.n_cells),
                "cell_order_sha256": self.cells.order_sha256,
            },
        )

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a card from YAML. Cards of earlier versions of the schema are converted.

        Raises
        ------
        PackageError
            The text is not plain YAML, or fields are missing, unknown, of the wrong type or placeholders. The message has a
            line for each problem.
        """
        if len(text) > MAX_BYTES:
            raise PackageError(f"card.yaml has {len(text):,} characters; a model card has at most {MAX_BYTES:,}.")
        return cls.from_fields(plain_yaml.load(text, "card.yaml"))

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """Check plain values as :meth:`from_yaml` does, with the same errors."""
        if not isinstance(fields, dict):
            raise PackageError(f"A model card is a mapping of fields; found {type(fields).__name__}.")
        try:
            return cls.model_validate(card_versions.to_current(fields))
        except ValidationError as error:
            problems = [f"  {problem}" for problem in field_problems(error)]
            count = f"{len(problems)} problem" + "s" * (len(problems) > 1)
            raise PackageError("\n".join([f"The model card has {count}:", *problems])) from None

    def to_yaml(self) -> str:
        """Return the card as YAML, with fields in the order of the schema and without fields that are None."""
        fields = _lists(self.model_dump(exclude_none=True))
        return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=110)


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(member) for key, member in value.items()}
    return [_lists(member) for member in value] if isinstance(value, tuple) else value
