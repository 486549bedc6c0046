"""The index of a source, index.json: its models, where each one is, and the hash of every file."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, FailFast, Field, model_validator

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import Card, FileEntry
from scbasset_zoo.package.card_fields import Count, License, ModelId, RelativePath, Sha256, Tag, Text, Version
from scbasset_zoo.progress import say
from scbasset_zoo.zoo.schema import StrictModel, from_fields, from_json
from scbasset_zoo.zoo.versions import version_order

FILE = "index.json"
MAX_BYTES = 16 * 2**20
MAX_MODELS, MAX_FILES, MAX_TAGS = 10_000, 1_000, 50  # of an index; of an entry
MAX_LEFT_OUT = 5
_OWN_NAMES = frozenset(["index.json", "card.yaml", "recipe.yaml", "zoo.yaml", "readme.md", "model.onnx"])
# Windows has no files of these names, with or without a suffix.
_DEVICES = frozenset(["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))])


def _without_version(value: str) -> str:
    # The folder of a version is inside the folder of its id, so no id may look like the folder of a version.
    if any(part[0].isdigit() and part.count(".") >= 2 for part in value.split("/")):
        raise ValueError(f"{value!r} has a part that looks like a version; choose another name")
    return value


def check_id(value: str) -> None:
    """Raise PackageError if a part of an id is the name of a file of ours, or a name that some file systems do not have."""
    for part in value.split("/"):
        name = part.lower()
        if name in _OWN_NAMES or name.partition(".")[0] in _DEVICES or name.endswith("."):
            raise PackageError(f"the id {value!r} has the part {part!r}, which is reserved or cannot be a folder; use another id")


def _folders(name: str) -> list[str]:
    """Return the folders in which a file is, `a` and `a/b` for `a/b/c`."""
    parts = name.split("/")
    return ["/".join(parts[:n]) for n in range(1, len(parts))]


class RecipeReference(StrictModel):
    """The path of a recipe in its source, and its hash."""

    path: RelativePath
    sha256: Sha256


class Entry(StrictModel):
    """One version of a model: the files of a package, or the recipe that makes the package."""

    id: Annotated[ModelId, Field(max_length=200), AfterValidator(_without_version)]
    version: Annotated[Version, Field(max_length=60)]
    path: RelativePath | None = None
    card_sha256: Sha256 | None = None
    files: Annotated[dict[RelativePath, FileEntry], Field(max_length=MAX_FILES)] = {}
    recipe: RecipeReference | None = None
    assembly: Text | None = None
    n_cells: Count | None = None
    description: Text
    license: License
    tags: Annotated[tuple[Tag, ...], Field(max_length=MAX_TAGS)] = ()
    created: date | None = None

    @model_validator(mode="after")
    def _package_or_recipe(self) -> Self:
        of_package = (self.path, self.card_sha256, self.files or None)
        if self.recipe is not None:
            if any(part is not None for part in of_package):
                raise ValueError(f"{self.name} has a recipe, so it cannot have path, card_sha256 or files")
        elif any(part is None for part in of_package):
            raise ValueError(f"{self.name} needs path, card_sha256 and files, or a recipe")
        elif "card.yaml" not in self.files or self.files["card.yaml"].sha256 != self.card_sha256:
            raise ValueError(f"{self.name}: files must list card.yaml, with card_sha256 as its hash")
        nested = [name for name in self.files if any(map(self.files.__contains__, _folders(name)))]
        if nested:
            raise ValueError(f"{self.name}: {nested[0]!r} is inside another file")
        return self

    @property
    def name(self) -> str:
        """The id and version, for example `scbasset/demo@0.1.0`."""
        return f"{self.id}@{self.version}"

    @property
    def key(self) -> str:
        """The SHA-256 of the model's card, or of its recipe."""
        return self.recipe.sha256 if self.recipe else str(self.card_sha256)

    @property
    def bytes(self) -> int:
        """The number of bytes of all files; 0 for a recipe."""
        return sum(file.bytes for file in self.files.values())


class Index(StrictModel):
    """The index of all models of a source."""

    schema_version: Literal["1.0"] = "1.0"
    models: Annotated[tuple[Entry, ...], Field(max_length=MAX_MODELS), FailFast()] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        counts = Counter(entry.name for entry in self.models)
        repeated = sorted(name for name, count in counts.items() if count > 1)
        if repeated:
            raise ValueError(f"listed more than once: {', '.join(repeated[:10])}")
        return self

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Read an index; `where` is its path or URL in error messages.

        Raises
        ------
        PackageError
            Fields are missing, unknown or wrong, or an entry points out of the source. The message has a line for each. An entry
            whose id cannot be used is left out, with a message.
        """
        index = from_json(cls, raw, where)
        models, left_out = _usable(index.models)
        for reason in left_out[:MAX_LEFT_OUT]:
            say(f"{where}: a model is left out: {reason}")
        if len(left_out) > MAX_LEFT_OUT:
            say(f"{where}: {len(left_out) - MAX_LEFT_OUT:,} more models are left out")
        return index if len(models) == len(index.models) else index.model_copy(update={"models": tuple(models)})

    @classmethod
    def of_entries(cls, entries: Iterable[Entry], where: str) -> Self:
        """Return an index of entries, to be written; `where` is its place in error messages.

        Raises
        ------
        PackageError
            There are too many entries, or one that readers of the index would leave out.
        """
        index = from_fields(cls, {"models": tuple(entries)}, where)
        _, left_out = _usable(index.models)
        if left_out:
            raise PackageError(
                "\n  ".join([f"{where} was not written, because of a model that no reader could use:", *left_out[:5]])
            )
        return index

    def write(self, folder: Path) -> None:
        """Write index.json into `folder`. If writing fails, the old file stays."""
        with files.rewritten(folder / FILE) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """Return the index as JSON, sorted by id and version."""
        models = tuple(sorted(self.models, key=lambda entry: (entry.id, version_order(entry.version))))
        return Index(models=models).model_dump_json(indent=1, exclude_none=True) + "\n"


def _usable(entries: Iterable[Entry]) -> tuple[list[Entry], list[str]]:
    """Return the entries whose ids can be used, and why each of the others cannot."""
    usable: list[Entry] = []
    reasons: list[str] = []
    spellings: dict[str, str] = {}
    for entry in entries:
        try:
            check_id(entry.id)
            spelling = spellings.setdefault(entry.id.lower(), entry.id)
            if spelling != entry.id:
                raise PackageError(f"the ids {spelling!r} and {entry.id!r} differ in upper and lower case only")
        except PackageError as error:
            reasons.append(str(error))
        else:
            usable.append(entry)
    return usable, reasons


def package_entry(card: Card, raw: bytes, path: str) -> Entry:
    """Return the entry of a package.

    Parameters
    ----------
    card : Card
    raw : bytes
        The content of card.yaml.
    path : str
        The folder of the package, relative to its source.

    Raises
    ------
    PackageError
        An index cannot contain the card's id or version, or `path`.
    """
    check_id(card.id)
    digest = hashlib.sha256(raw).hexdigest()
    fields = {
        "id": card.id,
        "version": card.version,
        "path": path,
        "card_sha256": digest,
        "files": {"card.yaml": FileEntry(bytes=len(raw), sha256=digest), **card.files},
        "assembly": card.genome.assembly,
        "n_cells": card.cells.n_cells,
        "description": card.description,
        "license": card.license,
        "tags": card.tags,
        "created": card.created,
    }
    return from_fields(Entry, fields, f"The entry of {card.id} {card.version} at {path!r}")
