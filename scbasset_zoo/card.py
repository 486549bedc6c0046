"""The model card: what a model package says about itself, as typed, checked fields."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable
from datetime import date
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, ValidationInfo, field_validator

from scbasset_zoo.errors import InputError, PackageError

SCHEMA_VERSION = "1.0"
OUTPUT_NAMES = ("accessibility", "logits", "peak_embedding")
REQUIRED_FILES = ("model.onnx", "cells.parquet", "tests/sequences.txt", "tests/expected.npz", "README.md")
MAX_BYTES = 4 * 2**20
MAX_DEPTH = 16

_PLACEHOLDER = re.compile(r"\b(TODO|FIXME|XXX|TBD|TBA)\b|^\s*(\.\.\.|…|todo|fixme|tbd|tba|xxx+|\?+|-+)?\s*$")
_SPDX_ID = re.compile(r"(LicenseRef-[A-Za-z0-9.-]+|[A-Za-z0-9][A-Za-z0-9.-]*\+?)")
_COMMON_SPDX = [
    "Apache-2.0",
    "MIT",
    "ISC",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "MPL-2.0",
    "Artistic-2.0",
    "CC0-1.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC-BY-NC-4.0",
    "CC-BY-NC-SA-4.0",
    "CC-BY-ND-4.0",
    "CC-BY-NC-ND-4.0",
    "ODbL-1.0",
    "ODC-By-1.0",
    "PDDL-1.0",
    "Unlicense",
]
_WITHOUT_VERSION = {
    "apache",
    "bsd",
    "gpl",
    "lgpl",
    "agpl",
    "mpl",
    "cc",
    "cc0",
    "cc-by",
    "cc-by-sa",
    "cc-by-nc",
    "cc-by-nc-sa",
}


def order_digest(names: Iterable[str]) -> str:
    """SHA-256 of identifiers in their order, joined by newlines as UTF-8: two lists agree only if the order does.

    Cells are identified by barcode, peaks by ``chrom:start-end``.

    Raises
    ------
    InputError
        An identifier contains a line break, so that two lists could look alike.
    """
    names = [str(name) for name in names]
    broken = next((name for name in names if "\n" in name), None)
    if broken is not None:
        raise InputError(f"The name {broken!r} contains a line break; rename it.")
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def _text(value: str) -> str:
    if _PLACEHOLDER.search(value):
        raise ValueError(f"{value!r} is empty or a placeholder; write the real value")
    return value


def _license(value: str) -> str:
    words = value.replace("(", " ").replace(")", " ").split()
    if not words or len(words) % 2 == 0 or any(word not in ("AND", "OR", "WITH") for word in words[1::2]):
        raise ValueError(f"{value!r} is not an SPDX licence identifier such as Apache-2.0 or CC-BY-4.0")
    for word in words[::2]:
        known = next((name for name in _COMMON_SPDX if name.lower() == word.lower()), None)
        if known is not None and word != known:
            raise ValueError(f"{word!r} is spelt {known!r} in SPDX")
        if word.lower() in _WITHOUT_VERSION:
            raise ValueError(f"{word!r} lacks its version; write for example Apache-2.0 or CC-BY-4.0")
        if not _SPDX_ID.fullmatch(word):
            raise ValueError(f"{word!r} is not an SPDX licence identifier such as Apache-2.0 or LicenseRef-NAME")
    return _text(value)


def _relative_path(value: str) -> str:
    path = PurePosixPath(value)
    if path.is_absolute() or "\\" in value or ":" in value or str(path) != value or ".." in path.parts or value == ".":
        raise ValueError(f"{value!r} must be a plain relative path inside the package, such as tests/sequences.txt")
    return value


def _plain_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain_value(member) for member in value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError(f"{value} is not a finite number")
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{value!r} must be a text, a number, true or false, or a list of them")
    return value


Text = Annotated[str, AfterValidator(_text)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Number = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Doi = Annotated[str, Field(pattern=r"^10\.\d{4,9}/[^\s]+$")]
Url = Annotated[str, Field(pattern=r"^https?://[^\s/]+\.[^\s]+$")]
Orcid = Annotated[str, Field(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")]
ModelId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"), AfterValidator(_text)]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")]
License = Annotated[str, AfterValidator(_license)]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
Value = Annotated[Any, AfterValidator(_plain_value)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Author(_Section):
    """A person or group who made the model."""

    name: Text
    affiliation: Text | None = None
    orcid: Orcid | None = None


class Citation(_Section):
    """A work to cite, in words and, where it has them, by DOI or address."""

    text: Text
    doi: Doi | None = None
    url: Url | None = None


class Data(_Section):
    """The cells x peaks that the model was fitted to; `license` may be NOASSERTION where none is stated."""

    description: Text
    license: License
    citation: Annotated[tuple[Citation, ...], Strict(False), Field(min_length=1)]
    accessions: Annotated[tuple[Text, ...], Strict(False)] = ()


class InputContract(_Section):
    """What goes in: float32 (N, length, 4)."""

    name: Literal["sequence"]
    length: Positive
    alphabet: Literal["ACGT"]
    n_policy: Literal["0.25 in each channel"]
    window: Text


class Output(_Section):
    """What comes out under a name, and what it means."""

    name: Literal["accessibility", "logits", "peak_embedding"]
    meaning: Text


class Architecture(_Section):
    """The network, and the software that wrote model.onnx."""

    name: Text
    embedding_size: Positive
    n_parameters: Positive | None = None
    opset: Positive
    producer: Text
    software: dict[Text, Text] = {}


class GenomeReference(_Section):
    """The assembly whose sequence the model was fitted to; sizes in bp."""

    assembly: Text
    naming: Literal["ucsc", "ensembl", "other"]
    chromosome_sizes: Annotated[dict[Text, Positive], Field(min_length=1)]


class Cells(_Section):
    """The model's outputs: rows of cells.parquet, in order."""

    n_cells: Positive
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
    """The training peaks: rows of peaks.parquet, in order."""

    n_peaks: Positive
    order_sha256: Sha256
    columns: dict[Text, Text]


class BatchCorrection(_Section):
    """The batch path of scBasset-BC, which is left out of the exported network."""

    column: Text
    n_batches: Positive
    lambda_cell: NotNegative
    lambda_batch: NotNegative


class Source(_Section):
    """A file that the model was fitted to."""

    name: Text
    bytes: Count | None = None
    sha256: Sha256 | None = None
    url: Url | None = None


class Split(_Section):
    """How peaks were held out, and how many are in each part."""

    method: Text
    train: Count
    validation: Count
    test: Count


class Training(_Section):
    """How the fit was made; wall time in seconds."""

    sources: Annotated[tuple[Source, ...], Strict(False)] = ()
    split: Split | None = None
    seed: int | None = None
    hyperparameters: dict[Text, Value] = {}
    epochs: Positive | None = None
    stopped_because: Text | None = None
    hardware: Text | None = None
    wall_time: NotNegative | None = None


class Evaluation(_Section):
    """One measured figure: `n` is the number of cells or peaks it is taken over."""

    metric: Text
    split: Text
    value: Number
    n: Positive
    note: Text | None = None


class TestVectors(_Section):
    """The sequences and expected outputs in tests/, and how closely they must be met."""

    n_sequences: Positive
    rtol: NotNegative
    atol: NotNegative


class FileEntry(_Section):
    """Size and SHA-256 of one file of the package."""

    bytes: Count
    sha256: Sha256


class Card(_Section):
    """A model card, card.yaml of a package."""

    schema_version: Literal["1.0"]
    id: ModelId
    version: Version
    created: date
    description: Text
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
    batch_correction: BatchCorrection | None = None
    training: Training | None = None
    evaluation: Annotated[tuple[Evaluation, ...], Strict(False)] = ()
    intended_use: Text
    limits: Text
    tests: TestVectors
    files: dict[RelativePath, FileEntry]

    @field_validator("outputs")
    @classmethod
    def _in_order(cls, value: tuple[Output, ...]) -> tuple[Output, ...]:
        names = tuple(output.name for output in value)
        if names != OUTPUT_NAMES:
            raise ValueError(f"the outputs must be {', '.join(OUTPUT_NAMES)}, in this order; found {', '.join(names) or 'none'}")
        return value

    @field_validator("files")
    @classmethod
    def _complete(cls, value: dict[str, FileEntry], info: ValidationInfo) -> dict[str, FileEntry]:
        missing = [name for name in REQUIRED_FILES if name not in value]
        if "peaks" in info.data and (info.data["peaks"] is not None) != ("peaks.parquet" in value):
            raise ValueError("peaks.parquet must be listed exactly when the card describes peaks")
        if missing:
            raise ValueError(f"lacks {', '.join(missing)}")
        if "card.yaml" in value:
            raise ValueError("card.yaml cannot list its own hash")
        return value

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read a card, reporting every problem at once.

        Raises
        ------
        PackageError
            The text is no plain YAML, or fields are missing, unknown, of the wrong type or placeholders: one line for each.
        """
        return cls.from_fields(_plain_yaml(text))

    @classmethod
    def from_fields(cls, fields: Any) -> Self:
        """A card from plain values, as :meth:`from_yaml` reads them; the same errors."""
        if not isinstance(fields, dict):
            raise PackageError(f"A model card is a mapping of fields; found {type(fields).__name__}.")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            problems = [f"  {_where(problem['loc'])}: {_what(problem)}" for problem in error.errors() if not _follows(problem)]
            count = f"{len(problems)} problem" + "s" * (len(problems) > 1)
            raise PackageError("\n".join([f"The model card has {count}:", *problems])) from None

    def to_yaml(self) -> str:
        """The card as YAML, fields in the order of this schema, absent facts left out."""
        fields = _lists(self.model_dump(exclude_none=True))
        return yaml.safe_dump(fields, sort_keys=False, allow_unicode=True, width=110)


def _where(location: tuple[int | str, ...]) -> str:
    return ".".join(str(part) for part in location if part != "[key]")


def _follows(problem: Any) -> bool:
    # A list whose members are all wrong counts as too short as well: one problem, said once.
    return problem["type"] == "too_short" and len(problem["input"]) > 0


def _what(problem: Any) -> str:
    if problem["type"] == "missing":
        return "is missing"
    if problem["type"] == "extra_forbidden":
        return "unknown key; remove it or check its spelling"
    if problem["type"] == "value_error":
        return str(problem["ctx"]["error"])
    found = "" if isinstance(problem["input"], dict | list) else f"; found {problem['input']!r}"
    return problem["msg"][0].lower() + problem["msg"][1:] + found


def _lists(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lists(member) for key, member in value.items()}
    return [_lists(member) for member in value] if isinstance(value, tuple) else value


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe loading that refuses a key given twice, of which plain YAML loaders keep the last in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise PackageError(f"card.yaml, line {key_node.start_mark.line + 1}: the key {key!r} must be a text.")
            if key in seen:
                raise PackageError(f"card.yaml, line {key_node.start_mark.line + 1}: the key {key!r} is given twice.")
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def _plain_yaml(text: str) -> Any:
    if len(text) > MAX_BYTES:
        raise PackageError(f"card.yaml has {len(text):,} characters; a model card has at most {MAX_BYTES:,}.")
    try:
        _refuse_aliases(text)
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise PackageError(f"card.yaml is not valid YAML: {error}") from error
    except ValueError as error:
        if isinstance(error, PackageError):
            raise
        # PyYAML turns 2024-13-45 into a date without asking whether there is such a day.
        raise PackageError(f"card.yaml holds an impossible value: {error}") from error


def _refuse_aliases(text: str) -> None:
    """Walk the events before anything is built: aliases could blow a small file up, deep nesting could exhaust the stack."""
    depth = 0
    for event in yaml.parse(text, Loader=_Loader):
        line = event.start_mark.line + 1 if event.start_mark else 0
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise PackageError(f"card.yaml, line {line}: YAML anchors and aliases are not allowed.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise PackageError(f"card.yaml, line {line}: nested more than {MAX_DEPTH} deep.")
