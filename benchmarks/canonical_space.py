"""What the canonical space changes: depth, neighbours and denoised values in it and as published, at several epochs of a fit.

Run `python -m benchmarks.canonical_space FOLDER PART ...` in the root of the repository. FOLDER keeps the data and the weights of
every epoch that is shown; the next run measures those that exist. On one core, a part takes from 15 minutes to some hours.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import pdist
from scipy.special import expit

import scbasset_zoo as sz
from benchmarks import published
from benchmarks.learning import SIGNAL, same_type_share
from benchmarks.table import machine, markdown
from scbasset_zoo.graph.gauge import gauge_of
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.canonical_space import CanonicalSpace, Space
from scbasset_zoo.runtime.comparison import compare_models
from scbasset_zoo.simulation.experiment import load_simulation
from scbasset_zoo.training.dataset import open_prepared
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

SEEDS = (0, 1, 2)
SPACES: tuple[Space, ...] = ("published", "canonical")
WINDOWS_AT_ONCE = 128
REAL_CELLS, HG19 = "buenrostro2018_bm0828.h5ad", "hg19.chr20_chr22part.fa.gz"
# Added to a seed, it gives another order of the batches from the same first weights.
OTHER_ORDER, EPOCHS_OF_ORDERS = 100, 8

Array = NDArray[np.float32]


class State(NamedTuple):
    """A network at one epoch: the embeddings of the training peaks (n_peaks, k), and the head (n_cells, k) and (n_cells,)."""

    peak_embedding: Array
    cell_embedding: Array
    cell_intercept: Array


Fitter = Callable[[Any, int, int], Iterator[State]]


@dataclass(frozen=True)
class Part:
    """Fits of one kind.

    Attributes
    ----------
    title : str
    fit : callable
        It takes prepared peaks, the seed of the first weights and that of the batches. It yields the state before the first
        epoch and after each epoch.
    epochs : tuple of int
        Epochs that are shown; the last one ends the fit.
    is_real : bool
        The cells are those of donor BM0828; by default they are simulated.
    threshold : float
        The least correlation of depth with log depth that is required.
    """

    title: str
    fit: Fitter
    epochs: tuple[int, ...]
    is_real: bool = False
    threshold: float = 0.95


def main() -> None:
    """Fit and measure each part, and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("parts", nargs="+", choices=(*PARTS, "order"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--data", type=Path, help="folder with the real cells and their genome, for the part real")
    options = parser.parse_args()
    require_tensorflow()
    for name in options.parts:
        if name == "order":
            show_orders(Cells.simulated(options.folder), options.folder, options.seeds)
        else:
            cells = Cells.real(options.folder, options.data) if PARTS[name].is_real else Cells.simulated(options.folder)
            show(name, cells, options.folder, options.seeds)


@dataclass(frozen=True)
class Cells:
    """Cells, the peaks that networks are fitted to, and, for simulated cells, the true distances between cells.

    Attributes
    ----------
    prepared : PreparedPeaks
    true_logits : ndarray or None
        True logits without depth and without what all cells share, cells x peaks, of simulated cells.
    """

    prepared: Any
    true_logits: NDArray[np.float64] | None = None

    @classmethod
    def simulated(cls, folder: Path) -> Cells:
        """Simulate 400 cells x 4,000 peaks of real sequence, if they do not exist."""
        data, out = folder / "simulated", folder / "simulated_prepared"
        truth = load_simulation(data) if data.exists() else sz.simulate(data, n_cells=400, n_peaks=4_000, signal=SIGNAL, quiet=True)
        if not out.exists():
            sz.prepare(truth.matrix, genome=truth.genome, assembly="simulated", out=out, min_cell_fraction=0, quiet=True)
        logits = truth.activities.to_numpy(np.float64) @ truth.strengths.to_numpy(np.float64).T
        return cls(open_prepared(out), logits - logits.mean(axis=1, keepdims=True))

    @classmethod
    def real(cls, folder: Path, data: Path) -> Cells:
        """Prepare the cells of donor BM0828 (Buenrostro 2018) with the peaks of chromosomes 20 and 22, if that was not done."""
        out = folder / "real_prepared"
        if not out.exists():
            counts, genome = ad.read_h5ad(data / REAL_CELLS), data / HG19
            sz.prepare(
                counts, genome=genome, assembly="hg19", out=out, max_n_fraction=0.25, min_cell_fraction=0, quiet=True
            )  # fmt: skip
        return cls(open_prepared(out))

    @functools.cached_property
    def log_depth(self) -> NDArray[np.float64]:
        """Return the logarithm of the number of open peaks of each cell."""
        return np.log(self.prepared.cells["n_open_peaks"].to_numpy(np.float64))

    @functools.cached_property
    def true_distances(self) -> NDArray[np.float64]:
        """Return a multiple of the root mean square differences of the true logits, for all pairs of cells."""
        return pdist(self.true_logits)

    @functools.cached_property
    def cell_type(self) -> NDArray[Any]:
        """Return the type of each cell."""
        return self.prepared.cells["cell_type"].astype(str).to_numpy()


def ours(*, width: float, batch_size: int) -> Fitter:
    """Return a function that fits scbasset_zoo."""

    def fit(prepared: Any, seed: int, order_seed: int) -> Iterator[State]:
        from scbasset_zoo.training.fit import Fit
        from scbasset_zoo.training.train_options import TrainingOptions

        options = TrainingOptions(seed=seed, width=width, batch_size=batch_size, precision="float32")
        fitted = Fit(prepared, options, None)
        # The network has its first weights by now. What follows draws the order, the augmentation and the dropout.
        fitted.options = options.model_copy(update={"seed": order_seed})
        head = fitted.network.cell_head
        while True:
            peak_embedding = _embed(prepared, lambda x: fitted.network.trunk(x, training=False))
            yield State(peak_embedding, head.kernel.numpy().T, head.bias.numpy())
            for _ in fitted.epoch():
                pass
            fitted.end_epoch()

    return fit


def in_keras(*, width: float, batch_size: int) -> Fitter:
    """Return a function that fits the published recipe in plain Keras."""

    def fit(prepared: Any, seed: int, order_seed: int) -> Iterator[State]:
        import keras

        keras.utils.set_random_seed(seed)
        model, rng = published.network(prepared.n_cells, width), np.random.default_rng(order_seed)
        head = model.get_layer("cells")
        trunk = keras.Model(model.input, head.input)
        while True:
            peak_embedding = _embed(prepared, lambda x: trunk(x, training=False))
            yield State(peak_embedding, head.kernel.numpy().T, head.bias.numpy())
            for sequence, labels in published.epoch(prepared, rng, batch_size):
                model.train_on_batch(sequence, labels)

    return fit


def _embed(prepared: Any, trunk: Callable[[Array], Any]) -> Array:
    """Return the embeddings of the training peaks, from windows that are not shifted."""
    rows, start, length = prepared.rows("train"), prepared.flank, prepared.sequence_length
    parts = []
    for first in range(0, len(rows), WINDOWS_AT_ONCE):
        codes = np.asarray(prepared.sequences[rows[first : first + WINDOWS_AT_ONCE]])[:, start : start + length]
        parts.append(np.asarray(trunk(dna.one_hot(codes)), dtype=np.float32))
    return np.concatenate(parts)


PARTS = {
    "quarter": Part("scbasset_zoo, width 0.25", ours(width=0.25, batch_size=32), (2, 4, 6, 8, 12, 16)),
    "keras": Part("published recipe in plain Keras, width 0.25", in_keras(width=0.25, batch_size=32), (2, 4, 6, 8)),
    "full": Part("scbasset_zoo, full width", ours(width=1.0, batch_size=128), (5, 10, 15)),
    "real": Part(
        "BM0828, scbasset_zoo, width 0.25", ours(width=0.25, batch_size=32), (10, 20, 30, 40, 50, 60), is_real=True, threshold=0.98
    ),
}


def states(
    name: str, cells: Cells, folder: Path, seed: int, epochs: Sequence[int], order_seed: int | None = None
) -> Iterator[State]:
    """Yield the state of a fit after some epochs; 0 is before the first. What is not in the folder is fitted."""
    order_seed = seed if order_seed is None else order_seed
    out = folder / name / (f"seed{seed}" if order_seed == seed else f"seed{seed}_order{order_seed}")
    files = {epoch: out / f"epoch{epoch}.npz" for epoch in epochs}
    if all(file.exists() for file in files.values()):
        yield from (State(**np.load(file)) for file in files.values())
        return
    out.mkdir(parents=True, exist_ok=True)
    for epoch, state in enumerate(PARTS[name].fit(cells.prepared, seed, order_seed)):
        if epoch in files:
            np.savez(files[epoch], **state._asdict())
            yield state
        if epoch == epochs[-1]:
            return


class Look(NamedTuple):
    """What one epoch shows in one space. Correlations with depth are over cells, with the log number of open peaks."""

    depth: float
    "Correlation of the intercept, or the depth, with depth."
    neighbours: float
    "Share of cells of the same type among the 10 nearest."
    neighbours_without_depth: float
    "The same, after a line on depth is taken from each axis."
    follows_depth: float
    "Share of the variance of the cells that lines on depth explain."
    distances: float
    "Correlation of distances with the true ones; NaN for real cells."
    denoised: float
    "Absolute correlation of a cell's mean denoised accessibility with depth."
    denoised_change: float
    "Change of that mean if depth rises by one standard deviation, divided by the mean."


SHOWN_BY_SEED = ("depth", "neighbours")


class Reason(NamedTuple):
    """Why the canonical space differs from the published one."""

    along_mean: float
    "Absolute correlation of the product of cell embedding and mean peak embedding, m W, with depth."
    first_axis: float
    "Share of the variance of the cells along the first canonical axis."
    first_axis_depth: float
    "Absolute correlation of that axis with depth."


REASONS = {
    "along_mean": "abs. r of m W with log depth",
    "first_axis": "variance along the first canonical axis",
    "first_axis_depth": "abs. r of that axis with log depth",
}
MEASURES = {
    "depth": "r of the intercept / of the depth with log depth",
    "neighbours": "same type among 10 nearest",
    "neighbours_without_depth": "same, lines on log depth taken out",
    "follows_depth": "variance of the cells that log depth explains",
    "distances": "r of distances with true distances",
    "denoised": "abs. r of mean denoised accessibility with log depth",
    "denoised_change": "its change with 1 sd of log depth",
}


def look(state: State, cells: Cells) -> dict[Space, Look]:
    """Measure one epoch in both spaces."""
    gauge = gauge_of(state.peak_embedding)
    space = CanonicalSpace.of(gauge, state.cell_embedding)
    canonical, depth = space.embedding(state.cell_embedding), space.depth(state.cell_embedding, state.cell_intercept)
    logits = state.peak_embedding @ state.cell_embedding.T
    denoised = {
        "published": expit(logits).mean(axis=0),
        "canonical": expit(logits - logits.mean(axis=0) + depth.mean()).mean(axis=0),
    }
    looks = {}
    for name, embedding, level in (
        ("published", state.cell_embedding, state.cell_intercept),
        ("canonical", canonical, depth),
    ):
        rest, follows_depth = _without_line(embedding, cells.log_depth)
        r = _r(denoised[name], cells.log_depth)
        looks[name] = Look(
            depth=_r(level, cells.log_depth),
            neighbours=same_type_share(embedding, cells.cell_type),
            neighbours_without_depth=same_type_share(rest, cells.cell_type),
            follows_depth=follows_depth,
            distances=np.nan if cells.true_logits is None else _r(pdist(embedding), cells.true_distances),
            denoised=abs(r),
            denoised_change=r * float(denoised[name].std() / denoised[name].mean()),
        )
    return looks  # type: ignore[return-value]


def reason(state: State, cells: Cells) -> Reason:
    """Measure what depth has to do with the canonical space at one epoch."""
    gauge = gauge_of(state.peak_embedding)
    canonical = CanonicalSpace.of(gauge, state.cell_embedding).embedding(state.cell_embedding)
    variance = canonical.var(axis=0, dtype=np.float64)
    return Reason(
        abs(_r(state.cell_embedding @ gauge.mean, cells.log_depth)),
        float(variance[0] / variance.sum()),
        abs(_r(canonical[:, 0], cells.log_depth)),
    )


def _without_line(embedding: NDArray[Any], x: NDArray[np.float64]) -> tuple[Array, float]:
    """Return an embedding less the line on x that fits each axis best, and the share of the variance that the lines explain."""
    centred, x = embedding - embedding.mean(axis=0), x - x.mean()
    rest = centred - np.outer(x, x @ centred / (x @ x))
    return rest.astype(np.float32), float(1 - (rest**2).sum() / (centred**2).sum())


def _r(x: NDArray[Any], y: NDArray[Any]) -> float:
    return float(np.corrcoef(x, y)[0, 1])


def show(name: str, cells: Cells, folder: Path, seeds: Sequence[int]) -> None:
    """Fit once for each seed, and print what the epochs show and which requirements are met."""
    part = PARTS[name]
    looks: dict[int, dict[int, dict[Space, Look]]] = {}
    reasons: dict[int, dict[int, Reason]] = {}
    for seed in seeds:
        # The state before the first epoch is kept for the part order.
        _, *shown = states(name, cells, folder, seed, (0, *part.epochs))
        looks[seed] = {epoch: look(state, cells) for epoch, state in zip(part.epochs, shown, strict=True)}
        reasons[seed] = {epoch: reason(state, cells) for epoch, state in zip(part.epochs, shown, strict=True)}
    header = ("published / canonical", *(f"epoch {epoch}" for epoch in part.epochs))
    table = markdown(header, list(_rows(part, looks, reasons)))
    n = pd.Series(cells.cell_type).value_counts()
    chance = float((n * (n - 1)).sum() / (n.sum() * (n.sum() - 1)))
    by_depth = same_type_share(cells.log_depth[:, None].astype(np.float32), cells.cell_type)
    facts = (
        f"By chance, {chance:.2f} of the neighbours have the same type, and {by_depth:.2f} if cells are compared by depth alone."
    )
    if cells.true_logits is not None:
        facts += f" Log depth explains {_without_line(cells.true_logits, cells.log_depth)[1]:.2f} of the variance of the truth."
    requirements = _requirements(part, looks, cells.true_logits is not None)
    text = (
        f"**{part.title}**: {cells.prepared.n_cells:,} cells x {cells.prepared.n_peaks:,} peaks. {facts}\n\n{table}\n\n"
        f"{requirements}\n\n{machine('tensorflow', 'keras')}"
    )
    print(f"\n{text}", flush=True)


def _rows(part: Part, looks: Any, reasons: Any) -> Iterator[tuple[str, ...]]:
    """Yield the rows of a table: each seed for the measures with a requirement, and means over seeds for the others."""
    for measure, text in MEASURES.items():
        by_seed = [[[getattr(of[epoch][space], measure) for space in SPACES] for epoch in part.epochs] for of in looks.values()]
        if np.isnan(by_seed).all():
            continue
        if measure in SHOWN_BY_SEED:
            for seed, values in zip(looks, by_seed, strict=True):
                yield f"{text}, seed {seed}", *(f"{a:.2f} / {b:.2f}" for a, b in values)
        else:
            yield text, *(f"{a:.2f} / {b:.2f}" for a, b in np.mean(by_seed, axis=0))
    for measure, text in REASONS.items():
        yield text, *(f"{np.mean([getattr(of[epoch], measure) for of in reasons.values()]):.2f}" for epoch in part.epochs)


def _requirements(part: Part, looks: dict[int, dict[int, dict[Space, Look]]], is_truth_known: bool) -> str:
    """Return a table of what was required: in how many looks it holds, and the epochs of each seed in which it does not."""
    requirements: dict[str, Callable[[Look, Look], bool]] = {
        f"r of the depth is {part.threshold:g} or more": lambda _, canonical: canonical.depth >= part.threshold,
        "r of the depth is not lower than that of the intercept": lambda published, canonical: canonical.depth >= published.depth,
    }
    names = {"neighbours": "same type among 10 nearest", "neighbours_without_depth": "same type, depth taken out"}
    if is_truth_known:
        names["distances"] = "r of distances with true distances"
    for measure, text in names.items():
        requirements[f"{text}: canonical is not lower"] = functools.partial(_is_not_lower, measure)
    rows = []
    for text, is_met in requirements.items():
        met = {seed: {epoch: is_met(*pair.values()) for epoch, pair in of_seed.items()} for seed, of_seed in looks.items()}
        failed = {seed: [str(epoch) for epoch, each in of_seed.items() if not each] for seed, of_seed in met.items()}
        count = sum(sum(of_seed.values()) for of_seed in met.values())
        where = "; ".join(f"seed {seed}, epoch {', '.join(epochs)}" for seed, epochs in failed.items() if epochs)
        rows.append((text, f"{count} of {sum(map(len, met.values()))}", where))
    return markdown(("requirement", "looks", "not met at"), rows)


def _is_not_lower(measure: str, published: Look, canonical: Look) -> bool:
    return bool(getattr(canonical, measure) >= getattr(published, measure))


def show_orders(cells: Cells, folder: Path, seeds: Sequence[int]) -> None:
    """Print how alike two fits are, a quarter as wide as the paper's.

    They start from the same first weights and go through the batches in another order, or they start from other weights. Fits from
    the same first weights may be alike because they still resemble these. So each fit is compared with its first weights too.
    """
    ends, first = {}, {}
    for seed in seeds:
        for order_seed in (seed, seed + OTHER_ORDER):
            start, end = states("quarter", cells, folder, seed, (0, EPOCHS_OF_ORDERS), order_seed)
            first[seed], ends[seed, order_seed] = _Fitted(start, cells), _Fitted(end, cells)
    pairs = {f"seed {seed}, two orders": (ends[seed, seed], ends[seed, seed + OTHER_ORDER]) for seed in seeds}
    pairs |= {f"seeds {a} and {b}": (ends[a, a], ends[b, b]) for a, b in combinations(seeds, 2)}
    pairs |= {f"seed {seed}, first weights and end": (first[seed], ends[seed, seed]) for seed in seeds}
    measures = ("distances", "neighbours", "procrustes", "axes", "depth")
    rows = []
    for name, pair in pairs.items():
        tables = [compare_models(*pair, space=space) for space in SPACES]  # type: ignore[arg-type]
        for kind in ("value", "chance"):
            values = (" / ".join(f"{table.loc[measure, kind]:.2f}" for table in tables) for measure in measures)
            rows.append((name if kind == "value" else f"{name}, by chance", *values))
    text = f"{markdown(('published / canonical', *measures), rows)}\n\n{machine('tensorflow', 'keras')}"
    print(f"\n{text}", flush=True)


class _Fitted:
    """What `compare_models` reads of a model."""

    def __init__(self, state: State, cells: Cells):
        self.cells, self.n_cells = cells.prepared.cells, cells.prepared.n_cells
        self.cell_embedding, self.cell_intercept = state.cell_embedding, state.cell_intercept
        space = CanonicalSpace.of(gauge_of(state.peak_embedding), state.cell_embedding)
        self.canonical_embedding = space.embedding(state.cell_embedding)
        self.depth = space.depth(state.cell_embedding, state.cell_intercept)


if __name__ == "__main__":
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    main()
