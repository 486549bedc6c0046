"""How many epochs it takes until cell types separate, for scbasset_zoo and for the published recipe in plain Keras."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.neighbors import NearestNeighbors

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.table import machine, markdown, write_section
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

SIGNAL = 1.5


@dataclass(frozen=True)
class Comparison:
    """One comparison.

    Attributes
    ----------
    name : str
        Section of docs/benchmarks.md.
    width : float
        Factor on the number of filters.
    batch_size : int
    seeds : tuple of int
    epochs : tuple of int
        Epochs whose result is shown; the last one ends the fit.
    """

    name: str
    width: float
    batch_size: int
    seeds: tuple[int, ...]
    epochs: tuple[int, ...]


FULL = Comparison("learning", 1.0, 128, (0,), (10, 15, 20))
QUARTER = Comparison("learning, a quarter as wide", 0.25, 32, (0, 1, 2), (4, 8, 12))


def main() -> None:
    """Fit both, print the table and write it into docs/benchmarks.md.

    This takes 45 minutes on two cores, and 15 with `--quarter`.
    """
    comparison = QUARTER if sys.argv[1:] == ["--quarter"] else FULL
    require_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "simulated", signal=SIGNAL, quiet=True)
        prepared = sz.prepare(
            simulation.matrix, genome=simulation.genome, assembly="simulated", out=Path(folder) / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        cell_type = simulation.cells["cell_type"].astype(str).to_numpy()
        rows = []
        for seed in comparison.seeds:
            for name, start_fit in (("published recipe, plain Keras", keras_fit), ("scbasset_zoo", scbasset_zoo_fit)):
                train_epoch = start_fit(prepared, comparison, seed)
                shares = [same_type_share(train_epoch(), cell_type) for _ in range(comparison.epochs[-1])]
                rows.append((f"{name}, seed {seed}", *(f"{shares[number - 1]:.2f}" for number in comparison.epochs)))
                print(rows[-1], flush=True)
    table = markdown(("share of same-type neighbours", *(f"epoch {number}" for number in comparison.epochs)), rows)
    write_section(
        comparison.name,
        f"## {comparison.name[0].upper()}{comparison.name[1:]}\n\nHow soon do the cell types separate? The table shows the share "
        "of cells of the same type among the 10 nearest neighbours of a cell in the embedding, as a mean over cells. Both programs "
        f"fit networks of width {comparison.width:g} in batches of {comparison.batch_size} to the same {prepared.n_cells} cells of "
        f"six types x {prepared.n_peaks:,} peaks (`sz.simulate(signal={SIGNAL})`, density 0.12). Chance is 0.17.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def same_type_share(cell_embedding: NDArray[np.float32], cell_type: NDArray[Any], k: int = 10) -> float:
    """Return the share of cells of the same type among the `k` nearest neighbours of a cell, mean over cells."""
    nearest = NearestNeighbors(n_neighbors=k + 1).fit(cell_embedding).kneighbors(return_distance=False)[:, 1:]
    return float((cell_type[nearest] == cell_type[:, None]).mean())


def scbasset_zoo_fit(prepared: Any, comparison: Comparison, seed: int) -> Callable[[], NDArray[np.float32]]:
    """Return a function that trains scbasset_zoo for one epoch and returns the cell embedding."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.train_options import TrainingOptions

    fit = Fit(prepared, TrainingOptions(seed=seed, width=comparison.width, batch_size=comparison.batch_size), None)

    def train_epoch() -> NDArray[np.float32]:
        for _ in fit.epoch():
            pass
        fit.end_epoch()
        return np.asarray(fit.network.cell_head.kernel).T

    return train_epoch


def keras_fit(prepared: Any, comparison: Comparison, seed: int) -> Callable[[], NDArray[np.float32]]:
    """Return a function that trains the published recipe for one epoch and returns the cell embedding."""
    import keras

    keras.utils.set_random_seed(seed)
    model, rng = published.network(prepared.n_cells, comparison.width), np.random.default_rng(seed)

    def train_epoch() -> NDArray[np.float32]:
        for sequence, labels in published.epoch(prepared, rng, comparison.batch_size):
            model.train_on_batch(sequence, labels)
        return np.asarray(model.get_layer("cells").kernel).T

    return train_epoch


if __name__ == "__main__":
    main()
