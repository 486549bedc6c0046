"""The card of a training run: what the run records, and what its author says."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import chromosome_naming, default_card_fields, default_group_column
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.wording import option

# These options do not change the weights, or have a field of their own.
_NOT_HYPERPARAMETERS = ("seed", "tensorboard", "init_from")


def card_of_run(
    run: Path,
    record: dict[str, Any],
    about: dict[str, Any],
    best_epoch: int,
    evaluation: list[dict[str, Any]],
    verdict: dict[str, Any] | None,
    gauge: dict[str, Any],
    prepared: PreparedPeaks,
) -> dict[str, Any]:
    """Return the fields of the card.

    Parameters
    ----------
    run : Path
        Folder of the run.
    record : dict
        The content of its run.json.
    about : dict
        Fields that the author gives; they replace the defaults.
    best_epoch : int
        The epoch of the exported weights.
    evaluation : list of dict
    verdict : dict or None
    gauge : dict
        The card's gauge: which peaks it was computed from.
    prepared : PreparedPeaks

    Raises
    ------
    InputError
        `about` has a field that the run records itself.
    """
    recorded = {
        "architecture": _architecture(record),
        "genome": _genome(prepared.manifest),
        "training": _training(record, prepared.manifest, best_epoch),
        "evaluation": evaluation,
        "verdict": verdict,
        "gauge": gauge,
        **_batch_correction(record),
    }
    in_both = sorted(set(about) & set(recorded))
    if in_both:
        raise InputError(f"{option('about')}: leave out {', '.join(in_both)}, which the run records itself.")
    manifest = prepared.manifest
    source, assembly = manifest["sources"]["matrix"]["name"], manifest["assembly"]
    data = {
        "description": f"{source}, {prepared.n_cells:,} cells.",
        "license": "NOASSERTION",
        "citation": [{"text": source}],
    }
    return {
        **default_card_fields(run.resolve().name, _user()),
        "description": f"scBasset fitted to {prepared.n_cells:,} cells x {prepared.n_peaks:,} peaks of {source} ({assembly}).",
        **recorded,
        **about,
        "data": {**data, **about.get("data", {})},
        "cells": {"default_group": default_group_column(prepared.cells.columns), **about.get("cells", {})},
    }


def _architecture(record: dict[str, Any]) -> dict[str, Any]:
    options = record["options"]
    return {
        "name": "scBasset" if options["batch_key"] is None else "scBasset, batch-corrected",
        # With a frozen trunk only the parameters of the head were counted.
        "n_parameters": None if options["freeze_trunk"] else record["n_trainable"],
        "software": record["versions"],
    }


def _genome(manifest: dict[str, Any]) -> dict[str, Any]:
    sizes = manifest["chromosome_sizes"]
    return {"assembly": manifest["assembly"], "naming": chromosome_naming(sizes), "chromosome_sizes": sizes}


def _training(record: dict[str, Any], manifest: dict[str, Any], best_epoch: int) -> dict[str, Any]:
    options = record["options"]
    hyperparameters = {name: value for name, value in options.items() if value is not None and name not in _NOT_HYPERPARAMETERS}
    hyperparameters["precision"] = record["precision"]
    if record.get("batch_parts", 1) > 1:
        hyperparameters["accumulate"] = record["batch_parts"]
    for change in record.get("changed_options", []):
        hyperparameters[f"{change['option']} until epoch {change['after_epoch']}"] = change["before"]
    if options["init_from"]:
        hyperparameters["init_from"] = _start(options["init_from"], record.get("initialised_from"))
    return {
        "sources": _sources(manifest["sources"]),
        "split": {"method": _split_method(manifest), **manifest["splits"]},
        "seed": options["seed"],
        "hyperparameters": hyperparameters,
        "epochs": best_epoch,
        "stopped_because": record["stopped_because"] or "still running when exported",
        "hardware": record["hardware"],
        "wall_time": round(float(record.get("seconds", 0.0)), 1),
    }


def _start(init_from: str, package: dict[str, Any] | None) -> str:
    """Say which package a run started from. Records of earlier versions have only its path."""
    if package is None:
        return Path(init_from).name
    return (
        f"{package['id']} {package['version']} (SHA-256 of its card.yaml: {package['card_sha256']}), {package['n_cells']:,} cells"
    )


def _batch_correction(record: dict[str, Any]) -> dict[str, Any]:
    options = record["options"]
    if options["batch_key"] is None:
        return {}
    fields = {
        "column": options["batch_key"],
        "n_batches": record["architecture"]["n_batches"],
        "l2_cell": options["l2_cell"],
        "l2_batch": options["l2_batch"],
    }
    return {"batch_correction": fields}


def _sources(sources: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the name, size and digest of every file that the model was fitted to."""
    entries = []
    for source in sources.values():
        files = source.get("files") or {source["name"]: {}}
        for name, file in files.items():
            entries.append({"name": name, **{key: file[key] for key in ("bytes", "sha256") if key in file}})
    return entries


def _split_method(manifest: dict[str, Any]) -> str:
    parameters = manifest["parameters"]
    unscored = "" if manifest["splits"].get("test") else "; no test peaks, so the model was scored on the validation peaks alone"
    if parameters["split_column"]:
        return f"column {parameters['split_column']} of the peaks{unscored}"
    if parameters["test_chroms"]:
        return f"by chromosome: test {', '.join(parameters['test_chroms'])}"
    return f"at random, {parameters['split']}, seed {parameters['seed']}{unscored}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
