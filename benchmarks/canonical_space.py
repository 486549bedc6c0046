"""What the canonical space changes: depth and neighbours in it and as published, at several epochs of a fit."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.learning import SIGNAL, same_type_share
from benchmarks.table import machine, markdown
from scbasset_zoo.graph.gauge import gauge_of
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.canonical_space import CanonicalSpace
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

SEEDS = (0, 1, 2)
WINDOWS_AT_ONCE = 256
REAL_CELLS, HG19 = "buenrostro2018_bm0828.h5ad", "hg19.chr20_chr22part.fa.gz"

Array = NDArray[np.float32]


class State(NamedTuple):
    """A network at one epoch: the embeddings of the training peaks (n_peaks, k), and the head (n_cells, k) and (n_cells,)."""

    peak_embedding: Array
    cell_embedding: Array
    cell_intercept: Array


class Look(NamedTuple):
    """What one epoch shows, first as published and then in the canonical space."""

    depth_published: float
    depth_canonical: float
    neighbours_published: float
    neighbours_canonical: float
    denoised_published: float
    denoised_canonical: float


def main() -> None:
    """Print one table for each part that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="+", choices=("quarter", "keras", "full", "real", "order"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--data", type=Path, help="folder with the real cells and the genome, for the part real")
    options = parser.parse_args()
    require_tensorflow()
    print(machine("tensorflow", "keras"), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        simulated = simulated_peaks(Path(folder)) if set(options.parts) - {"real"} else None
        for part in options.parts:
            if part == "quarter":
                show("scbasset_zoo, width 0.25", simulated, options.seeds, (2, 4, 6, 8), ours(width=0.25, batch_size=32))
            elif part == "keras":
                show("published recipe in plain Keras, width 0.25", simulated, options.seeds, (2, 4, 6, 8), keras_fit(0.25, 32))
            elif part == "full":
                show("scbasset_zoo, full width", simulated, options.seeds, (5, 10, 15), ours(width=1.0, batch_size=128))
            elif part == "order":
                compare_orders(simulated, options.seeds, epochs=8)
            else:
                real = real_peaks(options.data, Path(folder))
                show("BM0828, width 0.25", real, options.seeds, (10, 20, 30, 40, 50, 60), ours(width=0.25, batch_size=32))


def simulated_peaks(folder: Path) -> Any:
    """Simulate 400 cells x 4,000 peaks of real sequence, and prepare them."""
    simulation = sz.simulate(folder / "simulated", n_cells=400, n_peaks=4_000, signal=SIGNAL, quiet=True)
    genome, out = simulation.genome, folder / "prepared"
    return sz.prepare(simulation.matrix, genome=genome, assembly="simulated", out=out, min_cell_fraction=0, quiet=True)


def real_peaks(data: Path, folder: Path) -> Any:
    """Prepare the cells of donor BM0828 (Buenrostro 2018) with the peaks of chromosomes 20 and 22."""
    counts = ad.read_h5ad(data / REAL_CELLS)
    return sz.prepare(
        counts, genome=data / HG19, assembly="hg19", out=folder / "bm0828", max_n_fraction=0.25, min_cell_fraction=0, quiet=True
    )


Fitter = Callable[[Any, int], Iterator[State]]


def ours(*, width: float, batch_size: int) -> Fitter:
    """Return a function that fits scbasset_zoo and yields its state after each epoch."""

    def fit(prepared: Any, seed: int, order_seed: int | None = None) -> Iterator[State]:
        from scbasset_zoo.training.fit import Fit
        from scbasset_zoo.training.train_options import TrainingOptions

        options = TrainingOptions(seed=seed, width=width, batch_size=batch_size, precision="float32")
        fitted = Fit(prepared, options, None)
        if order_seed is not None:
            fitted.options = options.model_copy(update={"seed": order_seed})
        while True:
            for _ in fitted.epoch():
                pass
            fitted.end_epoch()
            head = fitted.network.cell_head
            yield State(
                _embed(prepared, lambda x: fitted.network.trunk(x, training=False)),
                np.asarray(head.kernel).T,
                np.asarray(head.bias),
            )

    return fit


def keras_fit(width: float, batch_size: int) -> Fitter:
    """Return a function that fits the published recipe in plain Keras and yields its state after each epoch."""

    def fit(prepared: Any, seed: int) -> Iterator[State]:
        import keras

        keras.utils.set_random_seed(seed)
        model, rng = published.network(prepared.n_cells, width), np.random.default_rng(seed)
        head = model.get_layer("cells")
        trunk = keras.Model(model.inputs, head.input)
        while True:
            for sequence, labels in published.epoch(prepared, rng, batch_size):
                model.train_on_batch(sequence, labels)
            yield State(_embed(prepared, lambda x: trunk(x, training=False)), np.asarray(head.kernel).T, np.asarray(head.bias))

    return fit


def _embed(prepared: Any, trunk: Callable[[Array], Any]) -> Array:
    rows, start, length = prepared.rows("train"), prepared.flank, prepared.sequence_length
    parts = []
    for first in range(0, len(rows), WINDOWS_AT_ONCE):
        codes = np.asarray(prepared.sequences[rows[first : first + WINDOWS_AT_ONCE]])[:, start : start + length]
        parts.append(np.asarray(trunk(dna.one_hot(codes)), dtype=np.float32))
    return np.concatenate(parts)


def look(state: State, prepared: Any) -> Look:
    """Measure depth, neighbours and how much of the depth is left in denoised values, as published and in the canonical space."""
    gauge = gauge_of(state.peak_embedding)
    space = CanonicalSpace.of(gauge, state.cell_embedding)
    depth, canonical = space.depth(state.cell_embedding, state.cell_intercept), space.embedding(state.cell_embedding)
    log_depth = np.log(prepared.cells["n_open_peaks"].to_numpy())
    cell_type = prepared.cells["cell_type"].astype(str).to_numpy()
    without_intercept = state.peak_embedding @ state.cell_embedding.T
    without_depth = without_intercept - gauge.mean.astype(np.float32) @ state.cell_embedding.T
    denoised = expit(without_intercept + state.cell_intercept.mean()), expit(without_depth + depth.mean())
    return Look(
        _r(log_depth, state.cell_intercept),
        _r(log_depth, depth),
        same_type_share(state.cell_embedding, cell_type),
        same_type_share(canonical, cell_type),
        *(abs(_r(log_depth, values.mean(axis=0))) for values in denoised),
    )


def _r(x: NDArray[Any], y: NDArray[Any]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def show(name: str, prepared: Any, seeds: tuple[int, ...], epochs: tuple[int, ...], fit: Fitter) -> None:
    """Fit once for each seed, and print what the epochs show."""
    n = prepared.cells["cell_type"].astype(str).value_counts()
    chance = float((n * (n - 1)).sum() / (n.sum() * (n.sum() - 1)))
    print(f"\n{name}: {prepared.n_cells:,} cells x {prepared.n_peaks:,} peaks; chance of the same type {chance:.2f}", flush=True)
    rows = []
    for seed in seeds:
        looks = {}
        for number, state in enumerate(fit(prepared, seed), 1):
            if number in epochs:
                looks[number] = look(state, prepared)
                print(f"seed {seed}, epoch {number}: {looks[number]}", flush=True)
            if number == epochs[-1]:
                break
        measures = ("r with log depth", "same type among 10 nearest", "abs. r of denoised mean with log depth")
        for measure, first in zip(measures, (0, 2, 4), strict=True):
            for offset, which in enumerate(("as published", "canonical")):
                rows.append((f"{measure}, seed {seed}, {which}", *(f"{looks[number][first + offset]:.3f}" for number in epochs)))
    print(f"\n{markdown((name, *(f'epoch {number}' for number in epochs)), rows)}", flush=True)


def compare_orders(prepared: Any, seeds: tuple[int, ...], epochs: int) -> None:
    """Fit twice from the same first weights with the batches in another order, and print how alike the results are."""
    from scbasset_zoo.runtime.comparison import compare_models

    fit = ours(width=0.25, batch_size=32)
    rows = []
    for seed in seeds:
        ends = []
        for order_seed in (seed, seed + 100):
            states = fit(prepared, seed, order_seed)  # type: ignore[call-arg]
            ends.append(next(state for number, state in enumerate(states, 1) if number == epochs))
        fitted = [_Fitted(state, prepared.cells) for state in ends]
        tables = {space: compare_models(*fitted, space=space) for space in ("published", "canonical")}  # type: ignore[arg-type]
        for space, table in tables.items():
            rows.append((f"seed {seed}, {space}", *(f"{value:.3f}" for value in table["value"])))
            rows.append((f"seed {seed}, {space}, chance", *(f"{value:.3f}" for value in table["chance"])))
    print(f"\n{markdown(('two orders of the batches', *tables['canonical'].index), rows)}", flush=True)


class _Fitted:
    """What `compare_models` reads of a model."""

    def __init__(self, state: State, cells: pd.DataFrame):
        self.cells, self.n_cells = cells, len(cells)
        self.cell_embedding, self.cell_intercept = state.cell_embedding, state.cell_intercept
        space = CanonicalSpace.of(gauge_of(state.peak_embedding), state.cell_embedding)
        self.canonical_embedding = space.embedding(state.cell_embedding)
        self.depth = space.depth(state.cell_embedding, state.cell_intercept)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
