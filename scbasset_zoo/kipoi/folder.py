"""Write the folder that Kipoi reads as a source: copies of the templates, and a table of models for each group."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from filelock import FileLock
from pydantic import BaseModel

from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.files import new_folder, rewritten
from scbasset_zoo.package.card_fields import Count, Doi, License, ModelId, Tag, Text, Url, Version
from scbasset_zoo.package.reading import Package
from scbasset_zoo.printable import printable_field
from scbasset_zoo.progress import say
from scbasset_zoo.user_folders import data_folder
from scbasset_zoo.zoo import cache
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.recipes import read_recipe
from scbasset_zoo.zoo.schema import from_fields
from scbasset_zoo.zoo.sources import sources
from scbasset_zoo.zoo.versions import version_order

_NOT_STATED = "not stated"
_COLUMNS = ("model", "open_as", "version", "doc", "authors", "license", "cite_as", "trained_on", "tags", "targets")
GROUP = "scbasset"
# The group of models whose id has no slash.
UNGROUPED = "zoo"


class _Data(BaseModel):
    description: Text = _NOT_STATED
    license: Text = _NOT_STATED


class _Author(BaseModel):
    name: Text


class _Citation(BaseModel):
    text: Text | None = None
    doi: Doi | None = None
    url: Url | None = None


class _Cells(BaseModel):
    # Kipoi evaluates the shape of the targets as Python, so nothing but a number may be in it.
    n_cells: Count | None = None


class _Fields(BaseModel):
    """The fields of a card that Kipoi shows. A recipe may lack some, and gives them unchecked."""

    id: ModelId
    version: Version
    description: Text
    license: License
    tags: tuple[Tag, ...] = ()
    authors: tuple[_Author, ...] = ()
    citation: tuple[_Citation, ...] = ()
    data: _Data = _Data()
    cells: _Cells = _Cells()


def registered_folder() -> Path:
    """Return the source folder that `scbasset-zoo kipoi register` makes for this user."""
    return data_folder() / "kipoi"


def refresh() -> None:
    """Write the registered folder again, with the current local and cached models. Do nothing if it does not exist."""
    if registered_folder().is_dir():
        write_source(registered_folder())


def write_source(folder: Path) -> None:
    """Write a Kipoi source with the models of all local sources and of the cache. An existing folder is replaced.

    The first part of a model's id is its group: `scbasset/demo` is the model `demo` of the group `scbasset`.
    """
    groups: dict[str, dict[str, _Fields]] = {GROUP: {}}
    for fields in newest(_model_files()):
        group, slash, name = fields.id.partition("/")
        groups.setdefault(group if slash else UNGROUPED, {}).setdefault(name if slash else group, fields)
    templates = bundled_folder() / GROUP
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Several processes may do this at the same time.
    with FileLock(f"{folder}.lock"), new_folder(folder, overwrite=True) as partial:
        for group, models in groups.items():
            (partial / group).mkdir()
            shutil.copytree(templates / "example", partial / group / "example")
            for name in ("model-template.yaml", "dataloader-template.yaml", *(["model.yaml"] if group == GROUP else [])):
                shutil.copy(templates / name, partial / group)
            _write_table(partial / group / "models.tsv", models)


def write_models(group: Path) -> None:
    """Write models.tsv of a group, such as model_cards/scbasset. It lists the packages and recipes in the group's folder."""
    paths = [*group.rglob("card.yaml"), *group.rglob("recipe.yaml")]
    _write_table(group / "models.tsv", {fields.id.partition("/")[2]: fields for fields in newest(paths)})


def newest(paths: Iterable[Path]) -> list[_Fields]:
    """Return the fields of cards and recipes, sorted by id, with only the newest version of each model."""
    models: dict[str, _Fields] = {}
    # Cards come before recipes: if a version has both, the card has more fields.
    for path in sorted(paths, key=lambda path: (path.name, path)):
        try:
            fields = _read_fields(path)
        except (ScbassetZooError, OSError) as error:
            say(f"{path} is left out of Kipoi's models: {error}")
            continue
        listed = models.setdefault(fields.id, fields)
        if version_order(fields.version) > version_order(listed.version):
            models[fields.id] = fields
    return [models[name] for name in sorted(models)]


def _model_files() -> Iterator[Path]:
    """Yield the cards of packages on this machine and the recipes of local sources. The first source that has a model is used."""
    listed_ids: set[str] = set()
    for source in sources():
        try:
            index = source.last_index()
        except (ScbassetZooError, OSError) as error:
            say(f"source {source.name} is left out of Kipoi's models: {error}")
            continue
        entries = [entry for entry in (index.models if index else ()) if entry.id not in listed_ids]
        listed_ids.update(entry.id for entry in entries)
        for entry in entries:
            package = cache.cached_package(entry) if source.is_remote or entry.recipe else None
            if package is not None:
                yield package.folder / "card.yaml"
            elif not source.is_remote:
                yield Path(source.location) / (entry.recipe.path if entry.recipe else f"{entry.path}/card.yaml")
    yield from (package.folder / "card.yaml" for package in cache.named_packages() if package.card.id not in listed_ids)


def _read_fields(path: Path) -> _Fields:
    """Return the fields of a card, or the fields that a recipe gives for the card of its package."""
    if path.name == "card.yaml":
        return from_fields(_Fields, Package.open(path.parent).card.model_dump(), str(path))
    return from_fields(_Fields, read_recipe(path)[0].about.model_dump(), str(path))


def _write_table(path: Path, models: Mapping[str, _Fields]) -> None:
    rows = [_row(name, fields) for name, fields in models.items()]
    with rewritten(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        # Kipoi reads text after a # as a comment, unless it is in quotes.
        table = csv.DictWriter(file, _COLUMNS, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _row(name: str, fields: _Fields) -> dict[str, str]:
    """Return the row of a model. The templates insert every value but the first as YAML, and Kipoi prints them."""
    values = (
        f"{fields.id}@{fields.version}",
        fields.version,
        printable_field(f"{fields.description} Licence of the data: {fields.data.license}."),
        [{"name": printable_field(author.name)} for author in fields.authors],
        fields.license,
        printable_field(_citation(fields.citation[0])) if fields.citation else _NOT_STATED,
        printable_field(fields.data.description),
        list(fields.tags),
        f"({fields.cells.n_cells},)",
    )
    texts = (json.dumps(value, ensure_ascii=False) for value in values)
    return dict(zip(_COLUMNS, (name, *texts), strict=True))


def _citation(citation: _Citation) -> str:
    return f"https://doi.org/{citation.doi}" if citation.doi else citation.url or citation.text or _NOT_STATED
