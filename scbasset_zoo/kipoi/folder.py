"""Write the folder that Kipoi reads as a source: copies of the templates, and a table of models for each group."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock

from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.files import new_folder, rewritten
from scbasset_zoo.package.reading import Package
from scbasset_zoo.progress import say
from scbasset_zoo.zoo import cache
from scbasset_zoo.zoo.bundled import bundled_folder
from scbasset_zoo.zoo.recipes import Recipe
from scbasset_zoo.zoo.schema import from_yaml
from scbasset_zoo.zoo.sources import sources
from scbasset_zoo.zoo.user_folders import data_folder
from scbasset_zoo.zoo.versions import version_order

GROUP = "scbasset"
# The group of models whose id has no slash.
UNGROUPED = "zoo"


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
    groups: dict[str, dict[str, dict[str, Any]]] = {GROUP: {}}
    for about in newest(_model_files()):
        group, slash, name = about["id"].partition("/")
        groups.setdefault(group if slash else UNGROUPED, {}).setdefault(name if slash else group, about)
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
    _write_table(group / "models.tsv", {about["id"].partition("/")[2]: about for about in newest(paths)})


def newest(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """Return the fields of cards and recipes, sorted by id, with only the newest version of each model."""
    models: dict[str, dict[str, Any]] = {}
    # Cards come before recipes: if a version has both, the card has more fields.
    for path in sorted(paths, key=lambda path: (path.name, path)):
        try:
            about = _read_fields(path)
        except (ScbassetZooError, OSError) as error:
            say(f"{path} is left out of Kipoi's models: {error}")
            continue
        listed = models.setdefault(about["id"], about)
        if version_order(about["version"]) > version_order(listed["version"]):
            models[about["id"]] = about
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


def _read_fields(path: Path) -> dict[str, Any]:
    """Return the fields of a card, or the fields that a recipe gives for the card of its package."""
    if path.name == "card.yaml":
        return Package.open(path.parent).card.model_dump()
    return from_yaml(Recipe, path.read_bytes(), str(path)).about.model_dump()


def _write_table(path: Path, models: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [_row(name, about) for name, about in models.items()]
    with rewritten(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        # Kipoi reads text after a # as a comment, unless it is in quotes.
        table = csv.DictWriter(file, list(_row("", {"id": ""})), delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)


def _row(name: str, about: Mapping[str, Any]) -> dict[str, str]:
    """Return the row of a model. The templates insert every value but the first as YAML."""
    cells, data, citation = about.get("cells", {}), about.get("data", {}), about.get("citation") or [{}]
    values = {
        "open_as": f"{about['id']}@{about.get('version')}",
        "version": about.get("version", ""),
        "doc": f"{about.get('description', '')} Licence of the data: {data.get('license', 'not stated')}.",
        "authors": [{"name": author["name"]} for author in about.get("authors", ())],
        "license": about.get("license", "not stated"),
        "cite_as": _citation(citation[0]),
        "trained_on": data.get("description", "not stated"),
        "tags": list(about.get("tags", ())),
        "targets": f"({cells.get('n_cells')},)",
    }
    return {"model": name, **{key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}}


def _citation(citation: Mapping[str, Any]) -> str:
    doi = citation.get("doi")
    return f"https://doi.org/{doi}" if doi else citation.get("url") or citation.get("text") or "not stated"
