"""A package that is right without training: its filters are the motifs of a simulation, its cells the true activities."""

from __future__ import annotations

import numpy as np
import onnx
import pandas as pd
from onnx import numpy_helper

from helpers import toy
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package
from scbasset_zoo.simulation.experiment import ASSEMBLY, Simulation

# A site counts if its log odds are above this share of the best ones of its motif. GELU does not change values well above 0.
THRESHOLD, GAIN, LATENT_SCALE = 0.55, 12.0, 2.0


def planted_package(folder, simulation: Simulation) -> Package:
    """Write a complete package. Dimension k of its latent space is how strongly the motif of factor k is present."""
    factors = list(simulation.tfs.index)
    filters, bias = _filters([simulation.motifs[factor] for factor in factors])
    model = toy.toy_model(n_cells=len(simulation.cells), widths=(2 * len(factors),) * 8)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    _put(weights["w_0"], filters)
    _put(weights["b_0"], bias)
    for block in range(1, 8):
        shape = numpy_helper.to_array(weights[f"w_{block}"]).shape
        identity = np.zeros(shape, np.float32)
        identity[..., shape[2] // 2] = np.eye(shape[0])
        _put(weights[f"w_{block}"], identity)
        _put(weights[f"b_{block}"], np.zeros(shape[0], np.float32))
    # At each position, both strands of a factor are summed into its dimension.
    strands = np.tile(np.eye(len(factors), 32, dtype=np.float32), (2, 1)) * np.float32(LATENT_SCALE)
    _put(weights["dense"], np.tile(strands, (7, 1)))
    _put(weights["dense_bias"], np.zeros(32, np.float32))
    activities = np.zeros((32, len(simulation.cells)), np.float32)
    activities[: len(factors)] = simulation.activities.to_numpy().T / (LATENT_SCALE * GAIN * (1 - THRESHOLD))
    _put(weights["cell_embedding"], activities)
    _put(weights["cell_intercept"], np.log(simulation.cells["depth"].to_numpy()).astype(np.float32) - 2)
    sizes = Genome(simulation.genome).chromosome_sizes
    return write_package(
        folder,
        card=toy.toy_card(
            id="scbasset/planted",
            genome={"assembly": ASSEMBLY, "naming": "ucsc", "chromosome_sizes": sizes},
            cells={"default_group": "cell_type"},
        ),
        model=model,
        cells=simulation.cells,
        peaks=_peaks(simulation),
    )


def _filters(pwms) -> tuple[np.ndarray, np.ndarray]:
    """Return weights (2 n, 4, 17) and biases of the first layer: log odds of motifs and reverse complements, less a threshold."""
    filters, bias = np.zeros((2 * len(pwms), 4, 17), np.float32), np.zeros(2 * len(pwms), np.float32)
    one = 1 / (1 + np.exp(-1.702))  # value of a one-hot 1 after the first GELU
    for number, pwm in enumerate(pwms):
        log_odds = np.log2(pwm / 0.25)
        share = GAIN * log_odds / log_odds.max(axis=1).sum() / one
        first = (17 - len(pwm)) // 2
        filters[number, :, first : first + len(pwm)] = share.T
        filters[number + len(pwms), :, first : first + len(pwm)] = share[::-1, ::-1].T
    bias[:] = -GAIN * THRESHOLD
    return filters, bias


def _peaks(simulation: Simulation) -> pd.DataFrame:
    peaks = simulation.peaks.rename(columns={"chr": "chrom"})[["chrom", "start", "end"]].reset_index(drop=True)
    peaks["chrom"] = peaks["chrom"].astype(str)
    peaks["split"] = np.resize(np.array(["train"] * 9 + ["test"]), len(peaks))
    return peaks


def _put(tensor: onnx.TensorProto, values: np.ndarray) -> None:
    tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), tensor.name))
