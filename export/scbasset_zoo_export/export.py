"""Makes a model package of a training run: model.onnx, card, cells, peaks and test vectors."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import About, read_about
from scbasset_zoo.files import checked_path, destination
from scbasset_zoo.graph.gauge import gauge_of, with_gauge
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.card import TRAINING_PEAKS
from scbasset_zoo.package.integrity import files_of_package
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.training.batches import read_batches
from scbasset_zoo.training.checkpoint import Arrays, not_finite, read_arrays
from scbasset_zoo.training.dataset import PreparedPeaks, open_prepared
from scbasset_zoo.training.run_folder import check_state, checked_record
from scbasset_zoo.training.run_record import manifest_digest
from scbasset_zoo.training.tensorflow_setup import require_tensorflow
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from onnx import ModelProto

    from scbasset_zoo.training.architecture import Network

N_TEST_SEQUENCES = 8
N_COMPARED = 64


def export(
    run: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    about: About = None,
    data: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> Package:
    """Make a model package of a training run; see :func:`scbasset_zoo.export`."""
    run, out = Path(run), Path(out)
    with destination(out, overwrite=overwrite, replaceable=files_of_package, inputs=[run, data]):
        return _export(run, out, about, data, overwrite)


def _export(run: Path, out: Path, about: About, data: str | os.PathLike[str] | None, overwrite: bool) -> Package:
    record = checked_record(run)
    weights, best = read_arrays(run / "best.npz")
    check_state(run / "best.npz", record, best, ("epoch",))
    if names := not_finite(weights):
        raise InputError(f"{run / 'best.npz'} has weights that are not finite ({names}), so it is no model. Nothing was written.")
    fields = read_about(about)
    prepared = _open_data(run, record, data)
    require_tensorflow()
    import tensorflow as tf

    from scbasset_zoo.training.process_settings import standard_settings

    # On the CPU, because a GPU may round products to fewer digits.
    with standard_settings(), tf.device("CPU:0"):
        card, model = _model_of_run(run, record, best["epoch"], weights, fields, prepared)
    windows = prepared.sequences[prepared.rows(prepared.held_out_splits[-1])[:N_TEST_SEQUENCES]]
    return write_package(
        out,
        card=card,
        model=model,
        cells=prepared.cells,
        peaks=prepared.peaks,
        sequences=[dna.decode(codes) for codes in windows[:, prepared.flank : prepared.flank + prepared.sequence_length]],
        overwrite=overwrite,
    )


def _model_of_run(
    run: Path, record: dict[str, Any], best_epoch: int, weights: Arrays, fields: dict[str, Any], prepared: PreparedPeaks
) -> tuple[dict[str, Any], ModelProto]:
    """Return the card and the ONNX model of a run, after they were compared with Keras and with the held-out peaks."""
    network = restore_network(record, prepared, weights)
    # These modules import TensorFlow and scikit-learn.
    from scbasset_zoo_export.agreement import check_agreement
    from scbasset_zoo_export.evaluation import depth_correlations, evaluate_held_out
    from scbasset_zoo_export.onnx_graph import to_onnx
    from scbasset_zoo_export.peak_embeddings import PeakEmbedder
    from scbasset_zoo_export.run_card import card_of_run

    model = to_onnx(network)
    windows = prepared.sequences[:, prepared.flank : prepared.flank + prepared.sequence_length]
    compared = windows[prepared.rows(prepared.held_out_splits[-1])[:N_COMPARED]]
    check_agreement(network, model.SerializeToString(), np.concatenate([compared, np.full_like(compared[:1], dna.N)]))
    embedder = PeakEmbedder(model)

    def embed(split: str) -> NDArray[np.float32]:
        rows = prepared.rows(split)
        return embedder.embed(len(rows), lambda first, last: windows[rows[first:last]], f"{split} peaks")

    evaluation, verdict = evaluate_held_out(prepared, {split: embed(split) for split in prepared.held_out_splits}, network)
    gauge = gauge_of(embed("train"))
    # The labels include batch effects, so the depth that explains them does as well.
    embedding, intercept = network.head()
    depth = intercept + embedding @ gauge.mean
    evaluation += depth_correlations(prepared.cells, {"cell intercept": network.cell_head.bias.numpy(), "cell depth": depth})
    source = {"n_peaks": len(prepared.rows("train")), "peaks": TRAINING_PEAKS}
    card = card_of_run(run, record, fields, best_epoch, evaluation, verdict, source, prepared)
    return card, with_gauge(model, gauge)


def restore_network(record: dict[str, Any], prepared: PreparedPeaks, weights: Arrays) -> Network:
    """Make the network of a run from its weights, in float32. Its sizes are those of the options and the data."""
    require_tensorflow()
    from scbasset_zoo.training.architecture import Architecture, Network
    from scbasset_zoo.training.fit import assign_weights

    batches = read_batches(prepared.cells, record["options"]["batch_key"], prepared.folder)
    options = record["options"]
    architecture = Architecture(
        n_cells=prepared.n_cells,
        n_batches=len(batches.names) if batches else 0,
        embedding_size=options["embedding_size"],
        width=options["width"],
        sequence_length=prepared.sequence_length,
    )
    if asdict(architecture) != record["architecture"]:
        raise InputError(
            f"run.json is damaged: its architecture is {record['architecture']}, but its options and data make "
            f"{asdict(architecture)}. Put the file back as it was."
        )
    network = Network(architecture, batch_of_cell=batches.batch_of_cell if batches else None)
    assign_weights(network, weights)
    return network


def _open_data(run: Path, record: dict[str, Any], data: str | os.PathLike[str] | None) -> PreparedPeaks:
    """Open the prepared peak set that a run was trained on."""
    recorded = record["data"]
    folder = checked_path(data or recorded["folder"])
    if not folder.exists():
        raise InputError(
            f"{run} was trained on {folder}, which does not exist. Its held-out peaks are needed to evaluate the model: say "
            f"where it is with {option('data')}."
        )
    prepared = open_prepared(folder)
    if manifest_digest(prepared) != recorded["manifest_sha256"]:
        raise InputError(f"{folder} is not the data that {run} was trained on: its manifest.json differs.")
    return prepared
