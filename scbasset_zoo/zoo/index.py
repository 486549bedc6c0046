"""The index of a source, index.json: which models it has, where each lies, and the hash of every file."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.card import Card, FileEntry
from scbasset_zoo.package.card_fields import Count, License, ModelId, RelativePath, Sha256, Tag, Text, Version
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import progress
from scbasset_zoo.zoo.recipes import MAX_BYTES as RECIPE_MAX_BYTES
from scbasset_zoo.zoo.recipes import Recipe
from scbasset_zoo.zoo.schema import Section, from_fields, from_json, from_yaml

FILE = "index.json"
MAX_BYTES = 64 * 2**20


def _not_a_version(value: str) -> str:
    # Folders of versions lie inside the folder of their id: no other model may be named so that it would lie in one.
    if any(part[0].isdigit() and part.count(".") >= 2 for part in value.split("/")):
        raise ValueError(f"{value!r} has a part that looks like a version; name it otherwise")
    return value


class RecipeReference(Section):
    """Where a recipe lies in the source."""

    path: RelativePath
    sha256: Sha256


class Entry(Section):
    """One version of a model: a package's files, or the recipe by which it is made."""

    id: Annotated[ModelId, Field(max_length=200), AfterValidator(_not_a_version)]
    version: Annotated[Version, Field(max_length=60)]
    path: RelativePath | None = None
    card_sha256: Sha256 | None = None
    files: dict[RelativePath, FileEntry] = {}
    recipe: RecipeReference | None = None
    assembly: Text | None = None
    n_cells: Count | None = None
    description: Text
    license: License
    tags: tuple[Tag, ...] = ()
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
        nested = [name for name in self.files if any(name.startswith(f"{other}/") for other in self.files)]
        if nested:
            raise ValueError(f"{self.name}: {nested[0]!r} lies inside another file")
        return self

    @property
    def name(self) -> str:
        """The id and version, as `scbasset/demo@0.1.0`."""
        return f"{self.id}@{self.version}"

    @property
    def key(self) -> str:
        """SHA-256 of what the model is made of: its card, or its recipe."""
        return self.recipe.sha256 if self.recipe else str(self.card_sha256)

    @property
    def bytes(self) -> int:
        """Bytes of all files; 0 for a recipe."""
        return sum(file.bytes for file in self.files.values())


class Index(Section):
    """All models of a source."""

    schema_version: Literal["1.0"] = "1.0"
    models: tuple[Entry, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [entry.name for entry in self.models]
        twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
        if twice:
            raise ValueError(f"listed more than once: {', '.join(twice[:10])}")
        return self

    @classmethod
    def parse(cls, raw: bytes, where: str) -> Self:
        """Read an index from anywhere.

        Raises
        ------
        PackageError
            Fields are missing, unknown or wrong, or an entry points out of the source: one line for each.
        """
        return from_json(cls, raw, where)

    def write(self, folder: Path) -> None:
        """Write index.json into `folder`, whole or not at all."""
        with files.new_file(folder / FILE) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    def to_json(self) -> str:
        """The index as text, sorted by id and version."""
        models = tuple(sorted(self.models, key=lambda entry: (entry.id, version_order(entry.version))))
        return Index(models=models).model_dump_json(indent=1, exclude_none=True) + "\n"


def build_index(folder: str | os.PathLike[str]) -> Index:
    """Make index.json of all packages and recipes in a folder.

    Parameters
    ----------
    folder : path
        The folder of a source. Packages (folders with a card.yaml) and recipes (recipe.yaml) may lie at any depth; folders
        whose names start with a dot are left out.

    Returns
    -------
    Index
        What was written.

    Raises
    ------
    PackageError
        Packages are incomplete or changed, names clash, or there are symbolic links: all of them are listed, and the
        earlier index stays.
    InputError
        There is no such folder, or it cannot be written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder. Give the folder in which the packages lie.")
    if (folder / "card.yaml").is_file():
        raise InputError(f"{folder} is itself a package. Give the folder above it, which holds packages.")
    files.check_destination(folder / FILE, overwrite=True)
    with writing(folder):
        entries: list[Entry] = []
        problems: list[str] = []
        found = [*_walk(folder)]
        with progress("hashing packages", len(found)) as advance:
            for path in found:
                try:
                    entries.append(_entry(folder, path))
                except PackageError as error:
                    problems.append(str(error))
                advance(1)
        problems += _clashes(entries)
        if problems:
            raise PackageError("\n  ".join([f"{folder} was not indexed:", *problems]))
        index = Index(models=tuple(entries))
        index.write(folder)
    return index


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Hold the right to write `folder`'s index alone, and clear away what a killed writer left."""
    from filelock import FileLock

    with FileLock(folder / ".index.lock"):
        for stale in folder.glob(f".partial-*-{FILE}"):
            stale.unlink(missing_ok=True)
        yield


def package_entry(card: Card, raw: bytes, path: str) -> Entry:
    """The entry of a package that lies at `path` in its source; `raw` are the bytes of its card.yaml.

    Raises
    ------
    PackageError
        The index cannot hold the card's id or version, or `path`.
    """
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


def changed_files(package: Package) -> list[str]:
    """Names of the files that are not those of the card, by their SHA-256."""
    return [name for name, file in package.card.files.items() if files.sha256(package.folder / name) != file.sha256]


def checked(package: Package) -> Package:
    """The package, if its files are those of its card; a PackageError otherwise."""
    changed = changed_files(package)
    if changed:
        raise PackageError(f"{package.folder}: not the files that the card names: {', '.join(changed)}. Fetch or export it again.")
    return package


def version_order(version: str) -> tuple[Any, ...]:
    """Sorting key of versions: semantic order, with every release after all pre-releases."""
    core, _, before = version.partition("-")
    parts = [(not part.isdigit(), int(part) if part.isdigit() else 0, part) for part in before.split(".")]
    return not before, tuple(map(int, core.split("."))), parts


def _walk(folder: Path) -> Iterator[Path]:
    """Packages' folders, recipes and symbolic links, in order of name."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_symlink() or path.name == "recipe.yaml" or (path / "card.yaml").is_file():
            yield path
        elif path.is_dir():
            yield from _walk(path)


def _entry(folder: Path, path: Path) -> Entry:
    relative = path.relative_to(folder).as_posix()
    if path.is_symlink():
        raise PackageError(f"{path} is a symbolic link; put there what it points to.")
    if path.name == "recipe.yaml":
        return _recipe_entry(path, relative)
    package = checked(Package.open(path))
    return package_entry(package.card, (path / "card.yaml").read_bytes(), relative)


def _recipe_entry(path: Path, relative: str) -> Entry:
    if path.stat().st_size > RECIPE_MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a recipe has at most {RECIPE_MAX_BYTES:,}.")
    raw = path.read_bytes()
    about = from_yaml(Recipe, raw, str(path)).about
    fields = {
        "id": about.id,
        "version": about.version,
        "recipe": {"path": relative, "sha256": files.sha256(path)},
        "assembly": about.assembly,
        "description": about.description,
        "license": about.license,
        "tags": about.tags,
        "created": about.created,
    }
    return from_fields(Entry, fields, str(path))


def _clashes(entries: Iterable[Entry]) -> Iterator[str]:
    seen: dict[str, str] = {}
    for entry in entries:
        place = entry.recipe.path if entry.recipe else str(entry.path)
        if entry.name in seen:
            yield f"{entry.name} lies in both {seen[entry.name]} and {place}; give one of them another version."
        seen.setdefault(entry.name, place)
