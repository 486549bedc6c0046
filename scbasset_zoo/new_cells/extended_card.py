"""The card of an extended package: what still holds of the parent's card, and what it says of the new cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import default_group_column
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.reading import Package
from scbasset_zoo.version import __version__

if TYPE_CHECKING:
    import pandas as pd

ORIGIN, TRAINED, EMBEDDED = "origin", "trained", "embedded"
_ORIGIN_MEANING = f"{TRAINED}: the network was fitted to the cell; {EMBEDDED}: the cell was added to the fitted network"
_MISSING = "; missing for some cells"
# What follows these words is the text of the model that was fitted. An extension of an extension repeats only that.
_FITTED = "The fitted model: "
_LIMIT = (
    "Cells that were added to the fitted network took no part in its training. Training, data, evaluation and verdict describe the "
    "network and the cells that it was fitted to."
)
# `write_package` makes these.
_MADE_ANEW = ("schema_version", "created", "outputs", "tests", "files")


def extended_card(
    parent: Package,
    cells: pd.DataFrame,
    *,
    n_new_cells: int,
    has_batches: bool,
    method: Mapping[str, Any],
    id: str | None,
    version: str | None,
) -> dict[str, Any]:
    """Return the fields of the card of an extended package, as :func:`scbasset_zoo.package.write_package` takes them.

    Licence, citation, data, training and gauge are those of the parent. Its evaluation and verdict are kept with words that say of
    which cells they speak. The evaluation is left out if those cells are.

    Parameters
    ----------
    parent : Package
    cells : DataFrame
        All cells of the new package.
    n_new_cells : int
        The last ones of `cells` are new.
    has_batches : bool
        Whether the new package has a batch path.
    method : mapping
        `name`, and settings.
    id, version : str or None

    Raises
    ------
    InputError
        `method` has no name, or id and version are those of the parent.
    """
    card, is_alone = parent.card, n_new_cells == len(cells)
    fields = {name: value for name, value in card.model_dump(exclude_none=True).items() if name not in _MADE_ANEW}
    name = f"{card.id} {card.version}"
    id, version = _id_and_version(card, id, version)
    added = f"{name} with {n_new_cells:,} new cells after its own {card.cells.n_cells:,}."
    if is_alone:
        added = f"{n_new_cells:,} new cells in the network of {name}, without its own cells."
    fields |= {
        "id": id,
        "version": version,
        "description": f"{added} {_FITTED}{_of_fitted_model(card, card.description)}",
        "limits": f"{_LIMIT} {_FITTED}{_of_fitted_model(card, card.limits)}",
        "architecture": _architecture(card, len(cells)),
        "cells": _cells(card, cells),
        "evaluation": [] if is_alone else _evaluation(card),
        "lineage": _lineage(parent, method, n_new_cells),
    }
    if card.verdict is not None and card.lineage is None:
        fields["verdict"]["statement"] = f"Of {name}: {card.verdict.statement}"
    if card.batch_correction is not None and not has_batches and is_alone:
        del fields["batch_correction"]
    return fields


def says_origin(card: Card) -> bool:
    """Return whether the cells of a package have the column `origin` because it was extended."""
    return card.lineage is not None and card.cells.columns.get(ORIGIN) == _ORIGIN_MEANING


def _id_and_version(card: Card, id: str | None, version: str | None) -> tuple[str, str]:
    if id is None:
        id = card.id if card.lineage is not None and card.id.endswith("-extended") else f"{card.id}-extended"
    if version is None:
        major, minor, _ = card.version.split("-")[0].split(".")
        version = f"{major}.{int(minor) + 1}.0" if id == card.id else "0.1.0"
    if (id, version) == (card.id, card.version):
        raise InputError(
            f"The new package cannot be {id} {version}, since that is the model that it is made from. Give another id or version."
        )
    return id, version


def _of_fitted_model(card: Card, text: str) -> str:
    return text.partition(_FITTED)[2] or text if card.lineage is not None else text


def _architecture(card: Card, n_cells: int) -> dict[str, Any]:
    section = card.architecture.model_dump(exclude_none=True)
    section |= {"producer": f"scbasset_zoo {__version__}", "software": {**section["software"], "scbasset_zoo": __version__}}
    if card.architecture.n_parameters is not None:
        # Each cell has an embedding and an intercept.
        section["n_parameters"] += (card.architecture.embedding_size + 1) * (n_cells - card.cells.n_cells)
        if section["n_parameters"] < 1:
            del section["n_parameters"]
    return section


def _cells(card: Card, cells: pd.DataFrame) -> dict[str, Any]:
    columns = {}
    for name in map(str, cells.columns):
        plain = f"the column {name} of the cells' annotation (.obs)"
        meaning = card.cells.columns.get(name, _ORIGIN_MEANING if name == ORIGIN else plain)
        is_ours = meaning == _ORIGIN_MEANING and cells[name].isin([TRAINED, EMBEDDED]).all()
        if meaning == f"the column {name} of the training cells' annotation (.obs)" or (meaning == _ORIGIN_MEANING and not is_ours):
            meaning = plain
        if cells[name].isna().any() and not meaning.endswith(_MISSING):
            meaning += _MISSING
        columns[name] = meaning
    group = card.cells.default_group
    return {"columns": columns, "default_group": group if group in columns else default_group_column(columns)}


def _evaluation(card: Card) -> list[dict[str, Any]]:
    rows = [row.model_dump(exclude_none=True) for row in card.evaluation]
    if card.lineage is None:
        for row in rows:
            cells = f"of the {card.cells.n_cells:,} cells of {card.id} {card.version}"
            row["note"] = f"{row['note']}; {cells}" if "note" in row else cells
    return rows


def _lineage(parent: Package, method: Mapping[str, Any], n_new_cells: int) -> dict[str, Any]:
    if "name" not in method:
        raise InputError(f"The method has no 'name', which says how the cells were found; it has {', '.join(method) or 'nothing'}.")
    settings = {str(key): _plain(value) for key, value in method.items() if key != "name" and value is not None}
    return {
        "parent": {"id": parent.card.id, "version": parent.card.version, "card_sha256": parent.card_sha256},
        "method": method["name"],
        "settings": settings,
        "n_new_cells": n_new_cells,
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value
