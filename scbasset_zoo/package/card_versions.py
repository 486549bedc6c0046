"""Versions of the card's schema: converts the fields of an older card to the newest version, one version at a time."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from scbasset_zoo.errors import PackageError

CURRENT = "1.4"


def to_current(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the fields of a card of any earlier version to the current version.

    Fields whose version is missing or does not exist are returned unchanged; :class:`scbasset_zoo.package.card.Card` reports it.

    Raises
    ------
    PackageError
        The card is of a newer version, or has keys that its own version does not have.
    """
    converted = dict(fields)
    while (version := converted.get("schema_version")) != CURRENT:
        if _is_newer(version):
            raise PackageError(
                f"The card's schema_version is {version!r}, and this scbasset_zoo reads versions up to {CURRENT!r}. "
                "Update scbasset_zoo."
            )
        if not isinstance(version, str) or version not in _CONVERTERS:
            break
        converted = _CONVERTERS[version](converted)
    return converted


def _is_newer(version: Any) -> bool:
    if not isinstance(version, str) or not re.fullmatch(r"[0-9]{1,4}\.[0-9]{1,4}", version):
        return False
    return [int(part) for part in version.split(".")] > [int(part) for part in CURRENT.split(".")]


def _from_1_0(fields: dict[str, Any]) -> dict[str, Any]:
    """1.1 names the penalties of the batch correction as training does."""
    converted = fields | {"schema_version": "1.1"}
    if isinstance(batch_correction := fields.get("batch_correction"), dict):
        new_names = {"lambda_cell": "l2_cell", "lambda_batch": "l2_batch"}
        converted["batch_correction"] = _renamed(batch_correction, new_names, "batch_correction", "1.0")
    return converted


def _from_1_1(fields: dict[str, Any]) -> dict[str, Any]:
    """1.2 may have baselines beside each value of the evaluation, and a verdict."""
    if "verdict" in fields:
        raise PackageError(_new_key("verdict", "1.1"))
    rows = fields.get("evaluation")
    for number, row in enumerate(rows if isinstance(rows, list | tuple) else ()):
        if isinstance(row, Mapping) and "baselines" in row:
            raise PackageError(_new_key(f"evaluation[{number}].baselines", "1.1"))
    return fields | {"schema_version": "1.2"}


def _from_1_2(fields: dict[str, Any]) -> dict[str, Any]:
    """1.3 may have a gauge."""
    if "gauge" in fields:
        raise PackageError(_new_key("gauge", "1.2"))
    return fields | {"schema_version": "1.3"}


def _from_1_3(fields: dict[str, Any]) -> dict[str, Any]:
    """1.4 may have a lineage."""
    if "lineage" in fields:
        raise PackageError(_new_key("lineage", "1.3"))
    return fields | {"schema_version": "1.4"}


# The converter from each earlier version to the next one.
_CONVERTERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "1.0": _from_1_0,
    "1.1": _from_1_1,
    "1.2": _from_1_2,
    "1.3": _from_1_3,
}


def _new_key(place: str, version: str) -> str:
    return f"{place}: unknown key in a card of schema_version {version!r}. Remove it, or set schema_version to {CURRENT!r}."


def _renamed(section: dict[str, Any], new_names: Mapping[str, str], place: str, version: str) -> dict[str, Any]:
    for old, new in new_names.items():
        if new in section:
            raise PackageError(
                f"{place}.{new}: unknown key in a card of schema_version {version!r}, where its name is {old}. Rename the key, "
                f"or set schema_version to {CURRENT!r}."
            )
    return {new_names.get(name, name): value for name, value in section.items()}
