"""How soon cell types separate: this project beside the published recipe in plain Keras, on the same simulated cells."""

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
from scbasset_zoo.training.trainer import require_tensorflow

SIGNAL = 1.5


@dataclass(frozen=True)
class Comparison:
    """What is fitted, how often, and when it is looked at."""

    name: str
    width: float
    batch_size: int
    seeds: tuple[int, ...]
    shown: tuple[int, ...]


FULL = Comparison("learning", 1.0, 128, (0,), (10, 15, 20))
QUARTER = Comparison("learning, a quarter as wide", 0.25, 32, (0, 1, 2), (4, 8, 12))


def main() -> None:
    """Fit both, print and write the section of docs/benchmarks.md; `--quarter` takes 15 minutes on two cores, else 45."""
    how = QUARTER if sys.argv[1:] == ["--quarter"] else FULL
    require_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "simulated", signal=SIGNAL, quiet=True)
        prepared = sz.prepare(
            simulation.matrix, fasta=simulation.fasta, assembly="simulated", out=Path(folder) / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        cell_type = simulation.cells["cell_type"].astype(str).to_numpy()
        rows = []
        for seed in how.seeds:
            for name, start in (("published recipe, plain Keras", plain_keras), ("scbasset_zoo", ours)):
                train_epoch = start(prepared, how, seed)
                shares = [same_type_share(train_epoch(), cell_type) for _ in range(how.shown[-1])]
                rows.append((f"{name}, seed {seed}", *(f"{shares[number - 1]:.2f}" for number in how.shown)))
                print(rows[-1], flush=True)
    table = markdown(("share of same-type neighbours", *(f"epoch {number}" for number in how.shown)), rows)
    write_section(
        how.name,
        f"## {how.name[0].upper()}{how.name[1:]}\n\nShare of cells of the same type among the 10 nearest neighbours in the cell "
        f"embedding, mean over cells, while networks of width {how.width:g} are fitted, in batches of {how.batch_size}, to "
        f"the same {prepared.n_cells} cells of six types x {prepared.n_peaks:,} peaks (`sz.simulate(signal={SIGNAL})`, density "
        f"0.12; chance is 0.17).\n\n{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def same_type_share(cell_embedding: NDArray[np.float32], cell_type: NDArray[Any], k: int = 10) -> float:
    """Share of cells of the same type among the `k` nearest neighbours, mean over cells."""
    nearest = NearestNeighbors(n_neighbors=k + 1).fit(cell_embedding).kneighbors(return_distance=False)[:, 1:]
    return float((cell_type[nearest] == cell_type[:, None]).mean())


def ours(prepared: Any, how: Comparison, seed: int) -> Callable[[], NDArray[np.float32]]:
    """A function that trains one epoch and returns the cell embedding."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.options import TrainingOptions

    fit = Fit(prepared, TrainingOptions(seed=seed, width=how.width, batch_size=how.batch_size), None)

    def train_epoch() -> NDArray[np.float32]:
        for _ in fit.epoch():
            pass
        fit.end_epoch()
        return np.asarray(fit.network.cell_head.kernel).T

    return train_epoch


def plain_keras(prepared: Any, how: Comparison, seed: int) -> Callable[[], NDArray[np.float32]]:
    """The same for the published recipe."""
    import keras

    keras.utils.set_random_seed(seed)
    model, rng = published.network(prepared.n_cells, how.width), np.random.default_rng(seed)

    def train_epoch() -> NDArray[np.float32]:
        for sequence, labels in published.epoch(prepared, rng, how.batch_size):
            model.train_on_batch(sequence, labels)
        return np.asarray(model.get_layer("cells").kernel).T

    return train_epoch


if __name__ == "__main__":
    main()
