"""Card fields that only an author knows: reads them from the user, and gives defaults for the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs.chromosome_names import convention_of
from scbasset_zoo.inputs.text_files import open_text
from scbasset_zoo.package import plain_yaml
from scbasset_zoo.package.card import Card
from scbasset_zoo.wording import option

About = Mapping[str, Any] | str | os.PathLike[str] | None
SCBASSET_PAPER = {
    "text": "Yuan H, Kelley DR. scBasset: sequence-based modeling of single-cell ATAC-seq using convolutional neural networks. "
    "Nature Methods 19, 1088-1096 (2022).",
    "doi": "10.1038/s41592-022-01562-8",
}
# Columns that usually hold cell types, the most specific first.
CELL_TYPE_COLUMNS = ("cell_type", "celltype", "cell.type", "CellType", "label", "cluster", "leiden")
_SECTIONS = {"architecture", "batch_correction", "cells", "data", "genome", "training"}


def read_about(about: About) -> dict[str, Any]:
    """Read card fields from a mapping or a YAML file.

    Parameters
    ----------
    about : mapping, path of a YAML file, or None
        Fields of the card by name, such as ``{"id": "my-lab/model", "license": "MIT"}``.

    Returns
    -------
    dict
        The fields; empty for None. Their values are checked when the package is written.

    Raises
    ------
    InputError
        The file cannot be read, a section is not a mapping, or a field is not a field of the card.
    """
    if about is None:
        return {}
    fields: Any = about
    if not isinstance(about, Mapping):
        try:
            with open_text(about) as file:
                fields = plain_yaml.load(file.read(), str(about))
        except PackageError as error:
            raise InputError(str(error)) from error
        except UnicodeDecodeError as error:
            raise InputError(f"{about} cannot be read: {error}. Save it as UTF-8.") from error
    if not isinstance(fields, Mapping):
        raise InputError(
            f"{about} must be a mapping of card fields, such as `id: scbasset/my-model`; found {type(fields).__name__}."
        )
    unknown = [str(name) for name in fields if name not in Card.model_fields]
    if unknown:
        raise InputError(
            f"{option('about')}: {', '.join(map(repr, unknown))} is not a field of the card; the fields are "
            f"{', '.join(Card.model_fields)}."
        )
    for section in _SECTIONS.intersection(fields):
        if not isinstance(fields[section], Mapping):
            raise InputError(f"{option('about')}: {section} must be a mapping of fields; found {fields[section]!r}.")
    return dict(fields)


def default_card_fields(name: str, author: str) -> dict[str, Any]:
    """Return the fields of a card that have a default.

    Parameters
    ----------
    name : str
        Name of the model; the id becomes "local/" and this name.
    author : str

    Returns
    -------
    dict
        `id`, `version`, `authors`, `license` (NOASSERTION: not stated), `citation` (the scBasset paper), `intended_use` and
        `limits`. Put what the user gives over it: ``{**default_card_fields("model", "A. Name"), **read_about(about)}``.
    """
    return {
        "id": "local/" + (re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"),
        "version": "0.1.0",
        "authors": [{"name": author}],
        "license": "NOASSERTION",
        "citation": [SCBASSET_PAPER],
        "intended_use": "Research: accessibility of DNA windows in the training cells, cell embeddings, and the effects of "
        "sequence changes on both.",
        "limits": "Applies to the cells and the genome of the training experiment only. Not validated for clinical use.",
    }


def chromosome_naming(chromosomes: Iterable[str]) -> str:
    """Return how chromosomes are named: "ucsc" (chr1), "ensembl" (1), or "other" for a mixture, none, or names as RefSeq's."""
    names = list(chromosomes)
    has_prefix = {name.startswith("chr") for name in names}
    if len(has_prefix) != 1 or convention_of(names) in ("RefSeq", "GenBank"):
        return "other"
    return "ucsc" if has_prefix.pop() else "ensembl"


def default_group_column(columns: Iterable[str]) -> str | None:
    """Return the column of the cells that most likely holds cell types, judged by its name; None if there is none."""
    present = set(columns)
    return next((name for name in CELL_TYPE_COLUMNS if name in present), None)
