"""New cells in a fitted model: cells that were hidden from the training, and the fit beside scikit-learn; docs/benchmarks.md.

Run `python -m benchmarks.new_cells FOLDER` in the root of the repository. On two cores it takes half an hour. FOLDER keeps the
data and the fitted models; the next run uses those that exist. `--data` has the cells of donor BM0828 and their genome.
"""

from __future__ import annotations

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scbasset_zoo_plugins.batch_correction.lsi import lsi
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

import scbasset_zoo as sz
from benchmarks.table import DOCUMENT, interleaved, machine, markdown, median, peak_memory, write_section
from scbasset_zoo.graph.gauge import gauge_of
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.new_cells.regression import CellRegression
from scbasset_zoo.simulation.experiment import load_simulation

ROOT = Path(__file__).parents[1]
REAL_CELLS, HG19 = "buenrostro2018_bm0828.h5ad", "hg19.chr20_chr22part.fa.gz"
HIDDEN, N_NEIGHBOURS, N_VOTES = 0.2, 10, 15
LABELS = "cell_type"
SEEDS = (0, 1, 2)

N_PEAKS, DENSITY, EMBEDDING_SIZE = 20_000, 0.02, 32
NUMBERS_OF_CELLS = (5_000, 10_000, 20_000, 40_000)
N_BESIDE, RIDGE = 24, 10.0


def main() -> None:
    """Measure all parts, print them and write them into docs/benchmarks.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--parts", nargs="+", choices=("hidden", "fit"), default=["hidden", "fit"])
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    parser.add_argument("--time-of-cells", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.time_of_cells:
        print(json.dumps(time_of_cells(options.time_of_cells)))
        return
    if "hidden" in options.parts:
        write_section("new cells", hidden_cells(options), options.document)
    if "fit" in options.parts:
        write_section("fit of new cells", fits(), options.document)


@dataclass(frozen=True)
class Experiment:
    """Cells with labels, their genome, and the options of the networks that are fitted to them."""

    name: str
    matrix: ad.AnnData
    genome: Path
    assembly: str
    folder: Path
    prepare_options: dict[str, Any]
    train_options: dict[str, Any]

    @classmethod
    def simulated(cls, folder: Path) -> Experiment:
        """Simulate 500 cells of six types x 4,000 peaks, if they do not exist."""
        where = folder / "simulated"
        made = {"n_cells": 500, "n_peaks": 4_000, "density": 0.2, "signal": 1.5, "quiet": True}
        data = load_simulation(where / "data") if where.exists() else sz.simulate(where / "data", **made)
        train = {"width": 0.25, "batch_size": 32, "epochs": 24}
        return cls("simulated", ad.read_h5ad(data.matrix), Path(data.genome), "simulated", where, {}, train)

    @classmethod
    def real(cls, folder: Path, data: Path) -> Experiment:
        """Donor BM0828 of Buenrostro 2018, with the peaks of chromosome 20 and the known part of 22."""
        matrix = ad.read_h5ad(data / REAL_CELLS)
        train = {"width": 0.25, "batch_size": 32, "epochs": 40}
        return cls("BM0828", matrix, data / HG19, "hg19", folder / "bm0828", {"max_n_fraction": 0}, train)

    @functools.cached_property
    def is_hidden(self) -> NDArray[np.bool_]:
        """Which cells are hidden: a fifth of each label, (n_cells,)."""
        labels = self.matrix.obs[LABELS].astype(str).to_numpy()
        rng = np.random.default_rng(0)
        is_hidden = np.zeros(len(labels), dtype=bool)
        for label in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == label))
            is_hidden[rows[: round(HIDDEN * len(rows))]] = True
        return is_hidden

    def model(self, cells: str, seed: int) -> Any:
        """Return the network that was fitted to "all" cells or to the "rest". It is fitted if it does not exist."""
        package = self.folder / f"{cells}_{seed}"
        if not package.exists():
            prepared, run = self.folder / f"prepared_{cells}", self.folder / f"run_{cells}_{seed}"
            if not prepared.exists():
                matrix = self.matrix if cells == "all" else self.matrix[~self.is_hidden].copy()
                sz.prepare(
                    matrix, genome=self.genome, assembly=self.assembly, out=prepared, quiet=True, min_cell_fraction=0.01,
                    min_peaks_per_cell=1, **self.prepare_options,
                )  # fmt: skip
            sz.train(prepared, out=run, seed=seed, resume=run.exists(), quiet=True, **self.train_options)
            sz.export(run, out=package, about=ROOT / "examples" / "demo.yaml")
        return sz.open_model(package, device="cpu")


def hidden_cells(options: argparse.Namespace) -> str:
    """Return the section on cells that were hidden from the training."""
    experiments = [Experiment.simulated(options.folder), Experiment.real(options.folder, options.data)]
    header = ["of the hidden cells", *(experiment.name for experiment in experiments)]
    columns, counts = [], []
    for experiment in experiments:
        measured = pd.DataFrame([measure(experiment, seed) for seed in options.seeds])
        print(experiment.name, measured.to_string(), sep="\n", flush=True)
        columns.append({name: shown(measured[name]) for name in measured})
        width, epochs = (experiment.train_options[name] for name in ("width", "epochs"))
        counts.append(
            f"{experiment.name}: {int(experiment.is_hidden.sum())} of {experiment.matrix.n_obs} cells, "
            f"{experiment.model('rest', options.seeds[0]).card.peaks.n_peaks:,} peaks, width {width:g}, {epochs} epochs"
        )
    rows = [(name, *(column[name] for column in columns)) for name in columns[0]]
    return (
        "## New cells\n\nA fifth of the cells of each type was hidden from the training and embedded afterwards, from the peaks of "
        "the training alone. The table compares them with models of all cells, and with the trained cells. Each number is "
        f"{_of_seeds(len(options.seeds))}. Hidden cells without an open peak are left out.\n\n"
        f"{'; '.join(counts)}. Labels are cell types. "
        f"`python -m benchmarks.new_cells FOLDER`\n\n{machine('tensorflow', 'onnxruntime-gpu')}\n\n{markdown(header, rows)}\n"
    )


def measure(experiment: Experiment, seed: int) -> dict[str, float]:
    """Embed the hidden cells with a model of the rest, and compare with a model of all cells."""
    model = experiment.model("rest", seed)
    of_all = experiment.model("all", seed)
    peaks = model.package.peaks()
    names = {split: peak_names(peaks[peaks["split"] == split]) for split in ("train", "test")}
    matrix = experiment.matrix
    hidden = matrix[experiment.is_hidden]
    # Cells without an open peak of either kind cannot be placed by it.
    are_open = [np.asarray((hidden[:, names[split]].X > 0).sum(axis=1)).ravel() > 0 for split in names]
    hidden = hidden[np.logical_and(*are_open)]
    settings = {
        "genome": experiment.genome,
        "group_by": LABELS,
        "min_cell_fraction": 0,
        "max_n_fraction": 1,
        "graph": False,
        "quiet": True,
    }
    rest = matrix[model.cells.index]
    new = sz.embed_cells(model, hidden[:, names["train"]].copy(), training_matrix=rest[:, names["train"]].copy(), **settings)
    others = sz.embed_cells(model, hidden[:, names["test"]].copy(), **settings)
    labels = pd.concat([model.cells[LABELS], hidden.obs[LABELS]]).astype(str).to_numpy()
    is_new = np.arange(len(labels)) >= model.n_cells
    together = {
        name: np.concatenate([model.canonical_embedding, result.obsm["X_scbasset_canonical"]])
        for name, result in (("train", new), ("test", others))
    }
    order = of_all.cells.index.isin(hidden.obs_names)
    labels_of_all = of_all.cells[LABELS].astype(str).to_numpy()
    truth = hidden.obs[LABELS].astype(str)
    frequencies = truth.value_counts(normalize=True)
    held_out = names["test"]
    embedded = model.embed(windows_of(model, held_out, experiment.genome))
    aurocs = {
        "new": auroc_of_cells(hidden[:, held_out].X, embedded, new.obsm["X_scbasset"]),
        "trained": auroc_of_cells(rest[:, held_out].X, embedded, model.cell_embedding),
    }
    return {
        "label score at 10 among all cells": same_label(together["train"], labels, is_new),
        "the same in a model of all cells": same_label(of_all.canonical_embedding, labels_of_all, order),
        "the same by chance": float((frequencies**2).sum()),
        "label score at 10, from held-out peaks alone": same_label(together["test"], labels, is_new),
        "right labels, by the nearest cells": float((new.obs[f"{LABELS}_of_model"].astype(str) == truth).mean()),
        "right labels, nearest cells in LSI": lsi_labels(
            matrix[:, names["train"]], matrix.obs_names.isin(hidden.obs_names), ~experiment.is_hidden
        ),
        "right labels, by chance: the most frequent one": float(frequencies.max()),
        "AUROC over held-out peaks": aurocs["new"],
        "the same, of the trained cells": aurocs["trained"],
        "share of cells called unlike the model (chance 0.01)": float(new.obs["unlike_model"].mean()),
    }


def windows_of(model: Any, names: Sequence[str], genome: Path) -> NDArray[np.int8]:
    """Return the sequences of peaks of the model, (n_peaks, length)."""
    windows = model.peak_windows(list(names), genome)
    return windows.read(0, len(windows))


def same_label(embedding: NDArray[Any], labels: NDArray[Any], cells: NDArray[np.bool_]) -> float:
    """Return the share of equal labels among the 10 nearest other cells, as a mean over some cells."""
    nearest = NearestNeighbors(n_neighbors=N_NEIGHBOURS + 1).fit(embedding).kneighbors(embedding[cells], return_distance=False)
    return float((labels[nearest[:, 1:]] == labels[cells][:, None]).mean())


def lsi_labels(matrix: ad.AnnData, is_hidden: NDArray[np.bool_], is_rest: NDArray[np.bool_]) -> float:
    """Return the share of hidden cells whose label is the most frequent one of the nearest other cells, in LSI of all cells."""
    embedding = lsi(sparse.csr_matrix(matrix.X > 0))
    labels = matrix.obs[LABELS].astype(str).to_numpy()
    rest = np.flatnonzero(is_rest)
    nearest = NearestNeighbors(n_neighbors=N_VOTES).fit(embedding[rest]).kneighbors(
        embedding[is_hidden], return_distance=False
    )  # fmt: skip
    votes = pd.DataFrame(labels[rest][nearest]).mode(axis=1)[0].to_numpy()
    return float((votes == labels[is_hidden]).mean())


def auroc_of_cells(counts: Any, peak_embedding: NDArray[Any], cell_embedding: NDArray[Any]) -> float:
    """Return the AUROC of each cell over peaks, as a mean over the cells that have open and closed ones."""
    is_open = np.asarray(sparse.csr_matrix(counts).todense()) > 0
    logits = cell_embedding @ peak_embedding.T
    defined = is_open.any(axis=1) & ~is_open.all(axis=1)
    return float(np.mean([roc_auc_score(*pair) for pair in zip(is_open[defined], logits[defined], strict=True)]))


def shown(values: pd.Series) -> str:
    """Return the mean, with its standard error if the values differ."""
    error = values.std() / np.sqrt(len(values))
    return f"{values.mean():.3f}" + (f" ± {error:.3f}" if error > 5e-4 else "")


def fits() -> str:
    """Return the section on the time and the memory of the fit, and on scikit-learn's."""
    rows = []
    for n_cells in NUMBERS_OF_CELLS:
        command = [sys.executable, "-m", "benchmarks.new_cells", ".", "--time-of-cells", str(n_cells)]
        used = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        rows.append((f"{n_cells:,}", f"{used['seconds']:.1f} s", f"{1e3 * used['seconds'] / n_cells:.2f} ms", _gb(used["memory"])))
        print(rows[-1], flush=True)
    times, difference = beside_scikit_learn()
    ratio = median(times["scikit-learn"]) / median(times["scbasset_zoo"])
    per_cell = {name: 1e3 * median(seconds) / N_BESIDE for name, seconds in times.items()}
    print(per_cell, difference, flush=True)
    return (
        f"## Fit of new cells\n\nEach cell is a logistic regression on the embeddings of {N_PEAKS:,} peaks, of which {DENSITY:.0%} "
        "are open. The embeddings are random, the open peaks are drawn from random cells. The embedding of the peaks itself comes "
        "before, and takes as long as a prediction. Two threads:\n\n"
        f"{markdown(('cells', 'time', 'time a cell', 'memory of the process'), rows)}\n\n"
        f"Beside scikit-learn's `LogisticRegression`, one cell after the other: {N_BESIDE} cells, the same ridge, one thread each, "
        f"in turns, medians of five: {per_cell['scikit-learn']:.1f} ms a cell, and {per_cell['scbasset_zoo']:.2f} ms with "
        f"scbasset_zoo, {ratio:.1f} times as fast. The logits differ by at most {difference:.1e}.\n\n"
        f"{machine('scikit-learn', 'numpy')}\n"
    )


def random_cells(n_cells: int) -> tuple[NDArray[np.float32], sparse.csr_matrix]:
    """Return embeddings of peaks, and open entries of cells that are drawn from random cells in blocks."""
    rng = np.random.default_rng(0)
    peak_embedding = rng.normal(size=(N_PEAKS, EMBEDDING_SIZE)).astype(np.float32)
    intercept = np.log(DENSITY / (1 - DENSITY)) - 0.5
    blocks = []
    for first in range(0, n_cells, 500):
        cells = 0.2 * rng.normal(size=(min(500, n_cells - first), EMBEDDING_SIZE)).astype(np.float32)
        blocks.append(
            sparse.csr_matrix(rng.random((len(cells), N_PEAKS), np.float32) < expit(cells @ peak_embedding.T + intercept))
        )
    return peak_embedding, sparse.vstack(blocks, format="csr", dtype=np.int8)


def time_of_cells(n_cells: int) -> dict[str, float]:
    """Fit cells in this process."""
    peak_embedding, is_open = random_cells(n_cells)
    regression = CellRegression(peak_embedding, gauge_of(peak_embedding))
    start = time.perf_counter()
    regression.fit(is_open, RIDGE)
    return {"seconds": time.perf_counter() - start, "memory": peak_memory()}


def beside_scikit_learn() -> tuple[Mapping[str, list[float]], float]:
    """Return the seconds of both for the same cells, and the largest difference of a logit."""
    peak_embedding, is_open = random_cells(N_BESIDE)
    gauge = gauge_of(peak_embedding)
    values, vectors = np.linalg.eigh(gauge.covariance)
    whitened = ((peak_embedding - gauge.mean) @ (vectors / np.sqrt(values))).astype(np.float64)
    labels = is_open.toarray()
    regression = CellRegression(peak_embedding, gauge)

    def alone() -> NDArray[Any]:
        peer = functools.partial(LogisticRegression, C=1 / RIDGE, tol=1e-8, max_iter=1_000)
        return np.array([peer().fit(whitened, cell).decision_function(whitened) for cell in labels])

    def together() -> NDArray[Any]:
        fit = regression.fit(is_open, RIDGE, threads=1)
        return fit.embedding.astype(float) @ peak_embedding.T.astype(float) + fit.intercept[:, None]

    with threadpool_limits(1):
        times = interleaved({"scikit-learn": alone, "scbasset_zoo": together})
        return times, float(np.abs(alone() - together()).max())


def _of_seeds(n: int) -> str:
    return "of one seed of training" if n == 1 else f"the mean over {n} seeds of training, with its standard error"


def _gb(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:.2f} GB"


if __name__ == "__main__":
    main()
