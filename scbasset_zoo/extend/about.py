"""What a model's card says where only its author can know: what was said, and honest words for the rest."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.card import Card

About = Mapping[str, Any] | str | os.PathLike[str] | None
PAPER = {
    "text": "Yuan H, Kelley DR. scBasset: sequence-based modeling of single-cell ATAC-seq using convolutional neural networks. "
    "Nature Methods 19, 1088-1096 (2022).",
    "doi": "10.1038/s41592-022-01562-8",
}
_SECTIONS = {"architecture", "batch_correction", "cells", "data", "genome", "training"}


def read_about(about: About) -> dict[str, Any]:
    """Card fields given as a mapping or as a YAML file.

    Raises
    ------
    InputError
        The file cannot be read, it or one of its sections is no mapping, or it has fields that no card has.
    """
    if about is None:
        return {}
    fields: Any = about
    if not isinstance(about, Mapping):
        try:
            fields = yaml.safe_load(Path(about).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            raise InputError(f"{about} cannot be read as YAML: {error}") from error
    if not isinstance(fields, Mapping):
        raise InputError(
            f"{about} must be a mapping of card fields, such as `id: scbasset/my-model`; found {type(fields).__name__}."
        )
    unknown = [str(name) for name in fields if name not in Card.model_fields]
    if unknown:
        raise InputError(
            f"What is said about the model has {', '.join(map(repr, unknown))}, which a card has not; its fields are "
            f"{', '.join(Card.model_fields)}."
        )
    for section in _SECTIONS.intersection(fields):
        if not isinstance(fields[section], Mapping):
            raise InputError(f"What is said about the model: {section} must be a mapping of fields; found {fields[section]!r}.")
    return dict(fields)


def defaults(name: str, author: str) -> dict[str, Any]:
    """Card fields for a model of which nothing is said; `name` becomes its local id."""
    return {
        "id": "local/" + (re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "model"),
        "version": "0.1.0",
        "authors": [{"name": author}],
        "license": "NOASSERTION",
        "citation": [PAPER],
        "intended_use": "Accessibility of DNA windows in the training cells, cell embeddings, and the effect of changes of "
        "sequence on them; for research.",
        "limits": "Cells and genome of the training experiment only. Not validated for clinical use.",
    }


def naming(chromosomes: Iterable[str]) -> str:
    """The card's word for how chromosomes are named."""
    prefixed = [name.startswith("chr") for name in chromosomes]
    return "other" if len(set(prefixed)) != 1 else "ucsc" if prefixed[0] else "ensembl"


def default_group(columns: Iterable[str]) -> str | None:
    """The column of the cells that most likely names cell types: one by a usual name, if there is one."""
    usual = ("cell_type", "celltype", "cell.type", "CellType", "label", "cluster", "leiden")
    present = set(columns)
    return next((name for name in usual if name in present), None)
