"""A simulated experiment on disk, with its true parameters."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.errors import InputError
from scbasset_zoo.simulation.accessibility import true_logits
from scbasset_zoo.simulation.lineage import CONSENSUS
from scbasset_zoo.simulation.motifs import motif_pwm

ASSEMBLY = "simulated"


FILES = (
    "genome.fa", "genome.fa.fai", "matrix.h5ad", "truth.h5ad", "motifs.meme", "strengths.parquet", "motif_sites.parquet",
    "simulation.json", "README.md",
)  # fmt: skip


@dataclass(frozen=True)
class Simulation:
    """A simulated experiment on disk. Tables are read when they are first used.

    Attributes
    ----------
    folder : Path
    cells : DataFrame
        Cell type, batch (if any), depth and progress (0 at the parent type, 1 at the type) by barcode.
    activities : DataFrame (n_cells, n_tfs)
        TF activity of each cell, in logits per unit of motif strength.
    type_activities : DataFrame (n_types, n_tfs)
    tfs : DataFrame
        Consensus of each TF, and whether any cell uses it (`active`).
    strengths : DataFrame (n_peaks, n_tfs)
        Summed strength of the planted motif instances of each TF in each peak, times `signal`.
    motif_sites : DataFrame
        Planted instances: chrom, start, end (0-based, half-open), strand, tf, peak, score (log-odds divided by the best
        possible).
    """

    folder: Path
    assembly: str = ASSEMBLY

    @property
    def matrix(self) -> Path:
        """Cells x peaks, 0/1 uint8 in CSR."""
        return self.folder / "matrix.h5ad"

    @property
    def genome(self) -> Path:
        """FASTA of the simulated genome."""
        return self.folder / "genome.fa"

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """The `options`, and the outcome (`intercept`, `density`, `best_auroc`, `best_auroc_from_sequence`)."""
        parameters: dict[str, Any] = json.loads((self.folder / "simulation.json").read_text())
        return parameters

    @cached_property
    def cells(self) -> pd.DataFrame:
        return self._truth.obs

    @cached_property
    def activities(self) -> pd.DataFrame:
        return self._truth.to_df()

    @cached_property
    def type_activities(self) -> pd.DataFrame:
        table: pd.DataFrame = self._truth.varm["type_activity"]
        return table.T

    @cached_property
    def tfs(self) -> pd.DataFrame:
        return self._truth.var

    @cached_property
    def peaks(self) -> pd.DataFrame:
        """Chromosome, start, end and base logit of each peak."""
        with h5py.File(self.matrix) as file:
            table: pd.DataFrame = ad.io.read_elem(file["var"])
        return table

    @cached_property
    def strengths(self) -> pd.DataFrame:
        return _table(self.folder / "strengths.parquet")

    @cached_property
    def motif_sites(self) -> pd.DataFrame:
        return _table(self.folder / "motif_sites.parquet")

    @cached_property
    def motifs(self) -> dict[str, NDArray[np.float64]]:
        """PWM of each TF, active or not: (length, 4) probabilities of A C G T."""
        return {tf: motif_pwm(CONSENSUS[tf]) for tf in self.tfs.index}

    def probabilities(self, cells: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        """Return the true accessibility of some cells, (n, n_peaks)."""
        depth = self.cells["depth"].to_numpy()[cells]
        activity = self.activities.to_numpy()[cells]
        base = self.peaks["base_logit"].to_numpy() + np.float32(self.parameters["intercept"])
        probabilities: NDArray[np.float32] = expit(true_logits(activity, depth, self.strengths.to_numpy(), base))
        return probabilities

    @cached_property
    def _truth(self) -> ad.AnnData:
        return ad.read_h5ad(self.folder / "truth.h5ad")


def load_simulation(folder: str | os.PathLike[str]) -> Simulation:
    """Open a folder that :func:`simulate` wrote.

    Raises
    ------
    InputError
        The folder has no simulation.json.
    """
    folder = Path(folder)
    if not (folder / "simulation.json").is_file():
        raise InputError(f"{folder} has no simulation.json. Give a folder that `scbasset-zoo simulate` wrote.")
    return Simulation(folder)


def _table(path: Path) -> pd.DataFrame:
    import pyarrow.parquet as pq

    # pandas.read_parquet starts threads that can abort the process at its end.
    table: pd.DataFrame = pq.read_table(path).to_pandas()
    return table
