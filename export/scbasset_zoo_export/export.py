"""From a training run to a model package: model.onnx, card, cells, peaks and test vectors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.extend.about import About, default_group, defaults, naming, read_about
from scbasset_zoo.files import check_destination, holding, sha256
from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.graph.head import read_head
from scbasset_zoo.graph.plain_run import import_onnxruntime, run_plainly
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.progress import progress, say
from scbasset_zoo.training import checkpoint
from scbasset_zoo.training.dataset import PreparedPeaks, open_prepared

TOLERANCE = 1e-5
N_TEST_SEQUENCES = 8
N_COMPARED = 64
BATCH = 64


def export(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    about: About = None,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Package:
    """Make a model package of a training run, at its best training AUROC.

    Parameters
    ----------
    run : path
        Folder made by :func:`scbasset_zoo.train`; an interrupted run is exported as it stands, and its card says so.
    out : path
        Folder for the package.
    about : mapping or path of a YAML file, optional
        What only you know, by the card's names: `id`, `version`, `description`, `authors`, `license`, `citation`, `data`
        (`description`, `license`, `citation`), `intended_use`, `limits`, `cells` (`default_group`, `columns`).
    data : path, optional
        The prepared peak set, if it is no longer where the run found it.
    overwrite : bool
        Replace a package that is in `out`.

    Returns
    -------
    Package

    Raises
    ------
    InputError
        The run or its data cannot be used, or `out` exists.
    PackageError
        Keras and ONNX Runtime differ by more than 1e-5 in probability, or `about` does not make a valid card.
    """
    run, out = Path(run), Path(out)
    check_destination(out, overwrite=overwrite, replaceable=holding("card.yaml"), inputs=[run, data])
    facts = checkpoint.read_run(run)
    weights, best = checkpoint.read_arrays(run / "best.npz")
    about = read_about(about)
    prepared = _open_data(run, facts, data)
    network, batch_of_cell = _restore(facts, prepared, weights)
    from scbasset_zoo_export.onnx_graph import to_onnx

    model = to_onnx(network)
    raw = model.SerializeToString()
    sequences = prepared.sequences[:, prepared.flank : prepared.flank + prepared.sequence_length]
    held_out = {split: sequences[prepared.rows(split)] for split in ("validation", "test")}
    _compare(network, raw, np.concatenate([held_out["test"][:N_COMPARED], held_out["test"][:1] * 0 + dna.N]))
    embedding, intercept = read_head(model)
    evaluation = _evaluate(prepared, held_out, extract_trunk(model).SerializeToString(), network, batch_of_cell)
    correlation = [] if (r := _depth_correlation(prepared, intercept)) is None else [r]
    return write_package(
        out,
        card=_card(run, facts, about, best, evaluation + correlation, prepared),
        model=model,
        cells=prepared.cells,
        peaks=prepared.peaks,
        sequences=[dna.decode(codes) for codes in held_out["test"][:N_TEST_SEQUENCES]],
        overwrite=overwrite,
    )


def _open_data(run: Path, facts: dict[str, Any], data: str | os.PathLike[str] | None) -> PreparedPeaks:
    recorded = facts["data"]
    folder = Path(data or recorded["folder"])
    if not folder.exists():
        raise InputError(
            f"{run} was trained on {folder}, which is no longer there; held-out peaks are needed to evaluate the model. "
            "Name its new place with --data DIR."
        )
    prepared = open_prepared(folder)
    if sha256(folder / "manifest.json") != recorded["manifest_sha256"]:
        raise InputError(f"{folder} is not the data that {run} was trained on: its manifest.json differs.")
    return prepared


def _restore(facts: dict[str, Any], prepared: PreparedPeaks, weights: checkpoint.Arrays) -> tuple[Any, NDArray[np.intp] | None]:
    from scbasset_zoo.training.trainer import batch_table, require_tensorflow

    require_tensorflow()
    from scbasset_zoo.training.architecture import Architecture, Network
    from scbasset_zoo.training.fit import assign_weights

    batches = batch_table(prepared.cells, facts["options"]["batch_key"], prepared.folder)
    batch_of_cell = batches[1] if batches else None
    network = Network(Architecture(**facts["architecture"]), batch_of_cell=batch_of_cell)
    assign_weights(network, weights)
    return network, batch_of_cell


def _compare(network: Any, raw: bytes, codes: dna.Codes) -> None:
    """Refuse a graph whose probabilities, without and with the batch path, are not those of Keras."""
    from scipy.special import expit

    sequence = dna.one_hot(codes)
    outputs = run_plainly(raw, sequence)
    pairs = [(network.cell_head(network.trunk(sequence)), outputs["accessibility"])]
    if network.batch_head is not None:
        pairs.append((network(sequence), expit(outputs[BATCH_OUTPUT])))
    difference = 0.0
    for logits, got in pairs:
        expected = expit(logits.numpy())
        off = np.abs(expected - got)
        worst = np.unravel_index(off.argmax(), got.shape)
        if not off[worst] <= TOLERANCE:
            raise PackageError(
                f"Keras and ONNX Runtime differ by {off[worst]:.2g} in probability (test sequence {worst[0]}, cell {worst[1]}: "
                f"{expected[worst]:.6f} and {got[worst]:.6f}); at most {TOLERANCE:g} is allowed. Nothing was written."
            )
        difference = max(difference, float(off[worst]))
    say(f"Keras and ONNX Runtime agree to {difference:.1g} in probability on {len(codes)} sequences")


def _evaluate(
    prepared: PreparedPeaks,
    held_out: dict[str, dna.Codes],
    trunk: bytes,
    network: Any,
    batch_of_cell: NDArray[np.intp] | None,
) -> list[dict[str, Any]]:
    from scbasset_zoo_export.evaluation import evaluate

    embedding, intercept = np.asarray(network.cell_head.kernel).T, np.asarray(network.cell_head.bias)
    if batch_of_cell is not None:
        # The labels carry the batch effects, so they are predicted with the batch path that training gave them to.
        embedding = embedding + np.asarray(network.batch_head.kernel).T[batch_of_cell]
        intercept = intercept + np.asarray(network.batch_head.bias)[batch_of_cell]
    session = import_onnxruntime().InferenceSession(trunk, providers=["CPUExecutionProvider"])
    rows = []
    with progress("evaluating held-out peaks", sum(map(len, held_out.values()))) as advance:
        for split, codes in held_out.items():
            parts = []
            for first in range(0, len(codes), BATCH):
                part = codes[first : first + BATCH]
                parts.append(session.run(None, {"sequence": dna.one_hot(part)})[0])
                advance(len(part))
            rows += evaluate(prepared, split, np.concatenate(parts), embedding, intercept)
    if batch_of_cell is not None:
        rows = [{**row, "note": "; ".join(filter(None, (row.get("note"), "with the batch path")))} for row in rows]
    return rows


def _depth_correlation(prepared: PreparedPeaks, intercept: NDArray[np.float32]) -> dict[str, Any] | None:
    from scbasset_zoo_export.evaluation import depth_correlation

    return depth_correlation(prepared.cells, intercept)


def _card(
    run: Path,
    facts: dict[str, Any],
    about: dict[str, Any],
    best: dict[str, Any],
    evaluation: list[dict[str, Any]],
    prepared: PreparedPeaks,
) -> dict[str, Any]:
    """The card's fields: what the run knows, under what `about` says."""
    manifest, options, architecture = facts["data"]["manifest"], facts["options"], facts["architecture"]
    source = manifest["sources"]["matrix"]["name"]
    corrected = options["batch_key"] is not None
    assembly = manifest["assembly"]
    known = {
        **defaults(run.resolve().name, _user()),
        "description": f"scBasset fitted to {prepared.n_cells:,} cells x {prepared.n_peaks:,} peaks of {source} ({assembly}).",
    }
    data = {
        "description": f"{source}, {prepared.n_cells:,} cells.",
        "license": "NOASSERTION",
        "citation": [{"text": source}],
    }
    fixed = {
        "architecture": {
            "name": "scBasset, batch-corrected" if corrected else "scBasset",
            "n_parameters": facts["n_trainable"] if not options["freeze_trunk"] else None,
            "software": facts["versions"],
        },
        "genome": {
            "assembly": assembly,
            "naming": naming(manifest["chromosome_sizes"]),
            "chromosome_sizes": manifest["chromosome_sizes"],
        },
        "training": {
            "sources": _sources(manifest["sources"]),
            "split": {"method": _split_method(manifest["parameters"]), **manifest["splits"]},
            "seed": options["seed"],
            "hyperparameters": {
                **{
                    name: value
                    for name, value in options.items()
                    if value is not None and name not in ("seed", "tensorboard", "init_from")
                },
                "precision": facts["precision"],
                **({"init_from": Path(options["init_from"]).name} if options["init_from"] else {}),
            },
            "epochs": best["epoch"],
            "stopped_because": facts["stopped_because"] or "still running when exported",
            "hardware": facts["hardware"],
            "wall_time": round(float(facts.get("seconds", 0.0)), 1),
        },
        "evaluation": evaluation,
    }
    if corrected:
        fixed["batch_correction"] = {
            "column": options["batch_key"],
            "n_batches": architecture["n_batches"],
            "lambda_cell": options["l2_cell"],
            "lambda_batch": options["l2_batch"],
        }
    taken = sorted(set(about) & set(fixed))
    if taken:
        raise InputError(f"The run itself says {', '.join(taken)}; leave it out of what you say about the model.")
    fields = {**known, **fixed, **about, "data": {**data, **about.get("data", {})}}
    fields["cells"] = {"default_group": default_group(prepared.cells.columns), **about.get("cells", {})}
    return fields


def _sources(sources: dict[str, Any]) -> list[dict[str, Any]]:
    found = []
    for source in sources.values():
        files = source.get("files") or {source["name"]: {}}
        found += [
            {"name": name, **{key: facts[key] for key in ("bytes", "sha256") if key in facts}} for name, facts in files.items()
        ]
    return found


def _split_method(parameters: dict[str, Any]) -> str:
    if parameters["split_column"]:
        return f"column {parameters['split_column']} of the peaks"
    if parameters["test_chroms"]:
        return f"by chromosome: test {', '.join(parameters['test_chroms'])}"
    return f"at random, {parameters['split']}, seed {parameters['seed']}"


def _user() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
