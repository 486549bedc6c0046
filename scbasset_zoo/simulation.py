"""A single-cell ATAC-seq experiment with a known answer: a genome with planted motifs, cells along a lineage, open peaks.

Peak p is open in cell c with probability sigmoid(intercept + base[p] + log depth[c] + activity[c] @ strength[p]).
`activity` says how much each transcription factor (TF) opens peaks in the cell, in logits, and `strength` how well the
peak's planted motif instances bind it. All of it is written down beside the data.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp
from Bio.Data.IUPACData import ambiguous_dna_values
from Bio.SeqIO.FastaIO import SimpleFastaParser
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from scbasset_zoo import __version__
from scbasset_zoo.blood import BATCH_TF, CONSENSUS, LINEAGE
from scbasset_zoo.dna import ALPHABET, Codes, N, decode, encode, reverse_complement, shuffle
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import check_destination, holding, new_folder
from scbasset_zoo.progress import progress

ASSEMBLY = "simulated"
BACKGROUND = Path(__file__).with_name("data") / "hg19_chr20_slice.fa.gz"

# Each peak has a stretch of its own; 1,344 bp around its centre, with 8 bp on each side for shifts, never leave it.
STRETCH = 1_400
JITTER = 20
STRETCHES_PER_CHROMOSOME = 3_000
SLOTS, SLOT = 25, 16  # motifs lie in slots of 16 bp, within 200 bp of the peak's centre
SITES_PER_SLOT = 0.02  # chance that a slot holds a motif of one given TF: 0.5 instances a peak
MOST_SITES = 3  # of one TF in one peak

CONSENSUS_SHARE = 0.94  # of a PWM column, shared among the bases of the consensus letter
DEPTH_SPREAD = 0.4  # standard deviation of log depth
BASE_SPREAD = 0.5  # of what opens a peak and is not in its sequence, in logits
BATCH_DEPTH = 0.6  # log depth of the last batch less that of the first
BATCH_ACTIVITY = 1.5  # activity of the stress factor in the last batch; 0 in the first
PROGRESS_SPREAD = 0.4  # cells lie at 0.6 .. 1.4 of the way from their type's parent to their type
ACTIVITY_SPREAD = 0.1  # of a cell's own variation of each active TF

VALUES_AT_ONCE = 1 << 22  # cells x peaks held dense at a time


@dataclass(frozen=True)
class Simulation:
    """A simulated experiment on disk; tables are read when first asked for.

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
        Summed strength of each TF's planted motif instances in each peak, times `signal`.
    motif_sites : DataFrame
        Planted instances: chrom, start, end (0-based, half-open), strand, tf, peak, score (log-odds over the best possible).
    """

    folder: Path
    assembly: str = ASSEMBLY

    @property
    def matrix(self) -> Path:
        """Cells x peaks, 0/1 uint8 in CSR."""
        return self.folder / "matrix.h5ad"

    @property
    def fasta(self) -> Path:
        """The simulated genome."""
        return self.folder / "genome.fa"

    @cached_property
    def parameters(self) -> dict[str, Any]:
        """What was asked, and what came of it (`intercept`, `density`, `best_auroc`)."""
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
        return pd.read_parquet(self.folder / "strengths.parquet")

    @cached_property
    def motif_sites(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "motif_sites.parquet")

    @cached_property
    def motifs(self) -> dict[str, NDArray[np.float64]]:
        """PWM of each TF, active or not: (length, 4) probabilities of A C G T."""
        return {tf: _pwm(CONSENSUS[tf]) for tf in self.tfs.index}

    def probabilities(self, cells: slice | NDArray[np.intp]) -> NDArray[np.float32]:
        """True accessibility of some cells, (n, n_peaks)."""
        depth = self.cells["depth"].to_numpy()[cells]
        activity = self.activities.to_numpy()[cells]
        base = self.peaks["base_logit"].to_numpy() + np.float32(self.parameters["intercept"])
        probabilities: NDArray[np.float32] = expit(_logits(activity, depth, self.strengths.to_numpy(), base))
        return probabilities

    @cached_property
    def _truth(self) -> ad.AnnData:
        return ad.read_h5ad(self.folder / "truth.h5ad")


def simulate(
    out: str | os.PathLike[str],
    *,
    n_cells: int = 400,
    n_peaks: int = 4_000,
    n_types: int = 6,
    n_batches: int = 0,
    density: float = 0.12,
    signal: float = 1.0,
    peak_width: int = 500,
    seed: int = 0,
    fasta: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Simulation:
    """Simulate cells x peaks with a genome that explains them, and write both with the truth behind them.

    Parameters
    ----------
    out : path
        Folder to write: matrix.h5ad, genome.fa (with .fai), motifs.meme, truth.h5ad, strengths.parquet,
        motif_sites.parquet, simulation.json and README.md.
    n_cells, n_peaks : int
        Memory stays bounded: cells are drawn and written in chunks.
    n_types : int
        Cell types of a haematopoietic lineage, stem cells first, in equal shares.
    n_batches : int
        0 for none. Batches differ in depth and in how far one stress factor (HSF1) opens its peaks; cells of each type
        are spread over them at random.
    density : float
        Mean accessibility, over 0 and at most 0.5.
    signal : float
        Scales the effect of every motif.
    peak_width : int
        In bp, at most 1,344.
    seed : int
        The same arguments and seed give the same data.
    fasta : path, optional
        Background sequence, plain or (b)gzip; its N-free stretches are used in order. By default 4.2 Mb of hg19's chr20.
        Where it ends, dinucleotide-shuffled copies of it follow.
    overwrite : bool
    quiet : bool
        Show no progress.

    Raises
    ------
    InputError
        Numbers out of range, a FASTA without usable sequence, or `out` exists.
    """
    _check(n_cells, n_peaks, n_types, n_batches, density, signal, peak_width, seed)
    check_destination(out, overwrite=overwrite, replaceable=holding("simulation.json"), inputs=[fasta])
    background = _background(Path(fasta) if fasta is not None else BACKGROUND, n_peaks)
    motifs = {tf: _pwm(consensus) for tf, consensus in CONSENSUS.items()}
    cells, activities, type_activities = _cells(n_cells, n_types, n_batches, np.random.default_rng([seed, 0]))

    with new_folder(out, overwrite=overwrite) as folder:
        peaks, strengths, sites = _genome(
            folder / "genome.fa", background, motifs, n_peaks, peak_width, np.random.default_rng([seed, 1]), quiet
        )
        strengths *= np.float32(signal)
        peaks["base_logit"] = np.random.default_rng([seed, 2]).normal(0, BASE_SPREAD, n_peaks).astype(np.float32)
        base = peaks["base_logit"].to_numpy()
        depth = cells["depth"].to_numpy()
        intercept = _intercept(activities, depth, strengths, base, density)
        n_open = _write_matrix(
            folder / "matrix.h5ad", cells, peaks, activities, strengths, intercept, np.random.default_rng([seed, 3]), quiet
        )
        tfs = pd.DataFrame({"consensus": CONSENSUS.values(), "active": (activities != 0).any(axis=0)}, index=list(CONSENSUS))
        truth = ad.AnnData(activities, obs=cells, var=tfs, varm={"type_activity": type_activities.T})
        truth.write_h5ad(folder / "truth.h5ad")
        pd.DataFrame(strengths, index=peaks.index, columns=list(CONSENSUS)).to_parquet(folder / "strengths.parquet")
        sites.to_parquet(folder / "motif_sites.parquet", index=False)
        (folder / "motifs.meme").write_text(_meme(motifs))
        parameters = {
            "n_cells": n_cells,
            "n_peaks": n_peaks,
            "n_types": n_types,
            "n_batches": n_batches,
            "density": density,
            "signal": signal,
            "peak_width": peak_width,
            "seed": seed,
            "background": Path(fasta).name if fasta is not None else "hg19 chr20:35200001-39400000",
        }
        sample = _evenly(depth, 200)
        some = slice(20_000)  # peaks are exchangeable: enough for a mean
        from_sequence = _logits(activities[sample], depth[sample], strengths[some], np.float32(intercept))
        logits = from_sequence + base[some]
        outcome = {
            "density": n_open / (n_cells * n_peaks),
            "intercept": intercept,
            "best_auroc": _expected_auroc(logits, expit(logits)),
            "best_auroc_from_sequence": _expected_auroc(from_sequence, expit(logits)),
        }
        written = {"scbasset_zoo": __version__, "assembly": ASSEMBLY, **outcome, "asked": parameters}
        (folder / "simulation.json").write_text(json.dumps(written, indent=2) + "\n")
        (folder / "README.md").write_text(_readme(written))
    return Simulation(Path(out))


def load_simulation(folder: str | os.PathLike[str]) -> Simulation:
    """Open a folder that :func:`simulate` wrote.

    Raises
    ------
    InputError
        It is not such a folder.
    """
    folder = Path(folder)
    if not (folder / "simulation.json").is_file():
        raise InputError(f"{folder} holds no simulation.json. Give the folder that `scbasset-zoo simulate` wrote.")
    return Simulation(folder)


def shuffle_labels(adata: ad.AnnData, seed: int = 0) -> ad.AnnData:
    """A control with no signal: each cell's open peaks move to peaks drawn at random, so each cell keeps its depth.

    Parameters
    ----------
    adata : AnnData (n_cells, n_peaks)
        In memory or backed; X sparse or dense.
    seed : int

    Returns
    -------
    AnnData
        In memory: X in CSR with each cell's values kept, .obs, .var and .uns; no layers, which would show the answer.
    """
    rng = np.random.default_rng(seed)
    matrix = sp.csr_matrix(adata.to_memory().X, copy=True)
    matrix.eliminate_zeros()
    for first, end in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True):
        matrix.indices[first:end] = rng.choice(matrix.shape[1], end - first, replace=False, shuffle=True)
    matrix.has_sorted_indices = False
    matrix.sort_indices()
    return ad.AnnData(matrix, obs=adata.obs.copy(), var=adata.var.copy(), uns=dict(adata.uns))


def _check(
    n_cells: int, n_peaks: int, n_types: int, n_batches: int, density: float, signal: float, peak_width: int, seed: int
) -> None:
    if not 1 <= n_types <= len(LINEAGE):
        raise InputError(f"n_types must lie in 1..{len(LINEAGE)}, the types of the built-in lineage; found {n_types}.")
    if n_cells < n_types:
        raise InputError(f"{n_cells} cells cannot cover {n_types} cell types. Ask for more cells, or fewer types.")
    if n_peaks < 2:
        raise InputError(f"n_peaks must be 2 or more; found {n_peaks}.")
    if n_batches < 0 or n_batches == 1:
        raise InputError(f"n_batches must be 0 (none) or at least 2; found {n_batches}.")
    if n_cells < n_batches:
        raise InputError(f"{n_cells} cells cannot cover {n_batches} batches. Ask for more cells, or fewer batches.")
    if not 0 < density <= 0.5:
        raise InputError(f"density must be over 0 and at most 0.5, the mean accessibility; found {density}.")
    if not (np.isfinite(signal) and signal >= 0):
        raise InputError(f"signal must be 0 or more; found {signal}.")
    if not 1 <= peak_width <= 1_344:
        raise InputError(f"peak_width must lie in 1..1,344 bp, since peaks do not overlap; found {peak_width}.")
    if seed < 0:
        raise InputError(f"seed must be 0 or more; found {seed}.")


def _background(fasta: Path, n_stretches: int) -> Codes:
    """The first N-free stretches of a FASTA, at most n_stretches: (n, STRETCH)."""
    if not fasta.is_file():
        raise InputError(f"Background FASTA {fasta} does not exist.")
    with open(fasta, "rb") as raw:
        zipped = raw.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(fasta, "rt") if zipped else open(fasta) as file:
            stretches = list(islice(_stretches(file), n_stretches))
    except (UnicodeDecodeError, gzip.BadGzipFile, EOFError, ValueError) as error:
        raise InputError(f"Background {fasta} is not a FASTA file, plain or gzip: {error}") from error
    if not stretches:
        raise InputError(
            f"Background FASTA {fasta} has no {STRETCH:,} bp in a row without N. Give a FASTA of chromosomes, or leave it "
            "out to use the piece of hg19 that comes with scbasset_zoo."
        )
    return np.stack(stretches)


def _stretches(file: Any) -> Iterator[Codes]:
    for _, sequence in SimpleFastaParser(file):
        codes = encode(sequence)
        ends = np.append(np.flatnonzero(codes == N), len(codes))
        starts = np.append(0, ends[:-1] + 1)
        for first, end in zip(starts, ends, strict=True):
            for start in range(first, end - STRETCH + 1, STRETCH):
                yield codes[start : start + STRETCH]


def _genome(
    path: Path,
    background: Codes,
    motifs: dict[str, NDArray[np.float64]],
    n_peaks: int,
    peak_width: int,
    rng: np.random.Generator,
    quiet: bool,
) -> tuple[pd.DataFrame, NDArray[np.float32], pd.DataFrame]:
    """Write the genome a chromosome at a time; return its peaks, their motif strengths and the planted sites."""
    all_peaks, all_strengths, all_sites = [], [], []
    # The index is closed last: readers rebuild one that is older than its FASTA.
    with (
        path.with_name(path.name + ".fai").open("w") as index,
        path.open("w") as fasta,
        progress("planting motifs", n_peaks, quiet=quiet) as advance,
    ):
        for number, first in enumerate(range(0, n_peaks, STRETCHES_PER_CHROMOSOME), start=1):
            rows = np.arange(first, min(first + STRETCHES_PER_CHROMOSOME, n_peaks))
            stretches = background[rows % len(background)]
            for row in np.flatnonzero(rows >= len(background)):
                stretches[row] = shuffle(stretches[row], rng)[0]
            chromosome = f"chrS{number}"
            jitter = rng.integers(-JITTER, JITTER + 1, len(rows))
            start = np.arange(len(rows)) * STRETCH + STRETCH // 2 + jitter - peak_width // 2
            peaks = pd.DataFrame({"chr": chromosome, "start": start, "end": start + peak_width})
            peaks.index = pd.Index([f"{chromosome}:{s}-{s + peak_width}" for s in start], name="peak")
            strengths, sites = _plant(stretches, STRETCH // 2 + jitter, motifs, rng)
            sites.insert(0, "chrom", chromosome)
            sites["start"] += sites["row"] * STRETCH
            sites["end"] += sites["row"] * STRETCH
            sites["peak"] = peaks.index.to_numpy()[sites.pop("row")]
            _write_chromosome(fasta, index, chromosome, decode(stretches.reshape(-1)))
            all_peaks.append(peaks)
            all_strengths.append(strengths)
            all_sites.append(sites)
            advance(len(rows))
    peaks = pd.concat(all_peaks)
    peaks["chr"] = peaks["chr"].astype("category")
    return peaks, np.concatenate(all_strengths), pd.concat(all_sites, ignore_index=True)


def _plant(
    stretches: Codes, centres: NDArray[np.intp], motifs: dict[str, NDArray[np.float64]], rng: np.random.Generator
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Write motif instances into the stretches, in place; return (n, n_tfs) strengths and a table of the sites."""
    n_tfs = len(motifs)
    chances = np.full(n_tfs + 1, SITES_PER_SLOT)
    chances[-1] = 1 - n_tfs * SITES_PER_SLOT
    chosen = rng.choice(n_tfs + 1, size=(len(stretches), SLOTS), p=chances)
    strengths = np.zeros((len(stretches), n_tfs), dtype=np.float32)
    tables = []
    for tf, (name, pwm) in enumerate(motifs.items()):
        here = chosen == tf
        here &= here.cumsum(axis=1) <= MOST_SITES
        row, slot = np.nonzero(here)
        width = len(pwm)
        start = centres[row] - SLOTS * SLOT // 2 + slot * SLOT + rng.integers(0, SLOT - width + 1, len(row))
        instances = (rng.random((len(row), width, 1)) > pwm.cumsum(axis=1)[:, :3]).sum(axis=2).astype(np.int8)
        score = np.clip(_score(instances, pwm), 0, None)
        np.add.at(strengths[:, tf], row, score)
        forward = rng.random(len(row)) < 0.5
        written = np.where(forward[:, None], instances, reverse_complement(instances))
        stretches[row[:, None], start[:, None] + np.arange(width)] = written
        strand = np.where(forward, "+", "-")
        tables.append(
            pd.DataFrame({"start": start, "end": start + width, "strand": strand, "tf": name, "score": score, "row": row})
        )
    sites = pd.concat(tables).sort_values(["row", "start"], ignore_index=True)
    return strengths, sites


def _score(instances: Codes, pwm: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log-odds of instances (n, width) against uniform background, as a share of the best possible."""
    log_odds = np.log2(pwm / 0.25)
    found = log_odds[np.arange(len(pwm)), instances].sum(axis=1)
    return (found / log_odds.max(axis=1).sum()).astype(np.float32)


def _pwm(consensus: str) -> NDArray[np.float64]:
    columns = []
    for letter in consensus:
        allowed = np.isin(list(ALPHABET), list(ambiguous_dna_values[letter]))
        if allowed.all():
            columns.append(np.full(4, 0.25))
        else:
            columns.append(np.where(allowed, CONSENSUS_SHARE / allowed.sum(), (1 - CONSENSUS_SHARE) / (~allowed).sum()))
    return np.stack(columns)


def _write_chromosome(fasta: Any, index: Any, name: str, sequence: str, line: int = 60) -> None:
    fasta.write(f">{name}\n")
    index.write(f"{name}\t{len(sequence)}\t{fasta.tell()}\t{line}\t{line + 1}\n")
    fasta.writelines(sequence[at : at + line] + "\n" for at in range(0, len(sequence), line))


def _cells(
    n_cells: int, n_types: int, n_batches: int, rng: np.random.Generator
) -> tuple[pd.DataFrame, NDArray[np.float32], pd.DataFrame]:
    """Cells with type, batch, depth and progress; their TF activities; the TF activities of their types."""
    types = list(LINEAGE)[:n_types]
    parents = [types.index(LINEAGE[name][0] or name) for name in types]
    own = np.zeros((n_types, len(CONSENSUS)), dtype=np.float32)
    for number, name in enumerate(types):
        own[number] = own[parents[number]] + np.array([LINEAGE[name][1].get(tf, 0) for tf in CONSENSUS], dtype=np.float32)
    own[np.abs(own) < 1e-6] = 0
    change = own - own[parents]

    type_of = rng.permutation(np.arange(n_cells) % n_types)
    way = rng.uniform(1 - PROGRESS_SPREAD, 1 + PROGRESS_SPREAD, n_cells).astype(np.float32)
    activities = own[type_of] + (way - 1)[:, None] * change[type_of]
    active = (own != 0).any(axis=0)
    activities[:, active] += ACTIVITY_SPREAD * rng.standard_normal((n_cells, active.sum()), dtype=np.float32)
    log_depth = DEPTH_SPREAD * rng.standard_normal(n_cells, dtype=np.float32)
    cells = pd.DataFrame({"cell_type": pd.Categorical.from_codes(type_of, pd.Index(types))})
    cells.index = pd.Index([f"cell{number:0{len(str(n_cells))}d}" for number in range(1, n_cells + 1)], name="barcode")
    if n_batches:
        batch_of = rng.permutation(np.arange(n_cells) % n_batches)
        share = np.linspace(0, 1, n_batches, dtype=np.float32)[batch_of]
        activities[:, list(CONSENSUS).index(BATCH_TF)] = BATCH_ACTIVITY * share
        log_depth += BATCH_DEPTH * (share - np.float32(0.5))
        names = pd.Index([f"batch{number}" for number in range(1, n_batches + 1)])
        cells["batch"] = pd.Categorical.from_codes(batch_of, names)
    cells["depth"] = np.exp(log_depth)
    cells["progress"] = way
    index = pd.Index(types, name="cell_type")
    return cells, activities, pd.DataFrame(own, index=index, columns=list(CONSENSUS))


def _logits(
    activities: NDArray[np.float32],
    depth: NDArray[np.float32],
    strengths: NDArray[np.float32],
    base: NDArray[np.float32] | np.float32,
) -> NDArray[np.float32]:
    logits: NDArray[np.float32] = activities @ strengths.T
    logits += base
    logits += np.log(depth)[:, None]
    return logits


def _intercept(
    activities: NDArray[np.float32],
    depth: NDArray[np.float32],
    strengths: NDArray[np.float32],
    base: NDArray[np.float32],
    density: float,
) -> float:
    """The intercept that gives the mean accessibility asked for, solved on cells and peaks spread evenly."""
    cell = _evenly(depth, 1_000)
    peak = _evenly(strengths @ activities[cell].mean(axis=0) + base, 4_000)
    logits = _logits(activities[cell], depth[cell], strengths[peak], base[peak])
    return float(brentq(lambda x: expit(logits + np.float32(x)).mean(dtype=np.float64) - density, -40, 40, xtol=1e-4))


def _evenly(values: NDArray[np.float32], at_most: int) -> NDArray[np.intp]:
    middles = (np.arange(min(len(values), at_most)) + 0.5) * (len(values) / min(len(values), at_most))
    return np.argsort(values)[middles.astype(np.intp)]


def _write_matrix(
    path: Path,
    cells: pd.DataFrame,
    peaks: pd.DataFrame,
    activities: NDArray[np.float32],
    strengths: NDArray[np.float32],
    intercept: float,
    rng: np.random.Generator,
    quiet: bool,
) -> int:
    """Draw and write cells x peaks, chunk by chunk; return the number of ones."""
    ad.AnnData(obs=cells, var=peaks).write_h5ad(path)
    base, depth = peaks["base_logit"].to_numpy() + np.float32(intercept), cells["depth"].to_numpy()
    compression = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
    n_open = 0
    step = max(1, VALUES_AT_ONCE // len(peaks))
    with h5py.File(path, "r+") as file, progress("drawing cells", len(cells), quiet=quiet) as advance:
        for first in range(0, len(cells), step):
            chunk = slice(first, first + step)
            # u < 1 / (1 + exp(-logit)), without a second array of the chunk's size
            odds = _logits(activities[chunk], depth[chunk], strengths, base)
            np.negative(odds, out=odds)
            np.exp(odds, out=odds)
            odds += 1
            odds *= rng.random(odds.shape, dtype=np.float32)
            is_open = odds < 1
            ones = _csr(is_open)
            if first == 0:
                ad.io.write_elem(file, "X", ones, dataset_kwargs=compression)
            else:
                ad.io.sparse_dataset(file["X"]).append(ones)
            n_open += ones.nnz
            advance(len(is_open))
    return n_open


def _csr(is_open: NDArray[np.bool_]) -> sp.csr_matrix:
    n_cells, n_peaks = is_open.shape
    indptr = np.zeros(n_cells + 1, dtype=np.int64)
    np.cumsum(np.count_nonzero(is_open, axis=1), out=indptr[1:])
    indices = (np.flatnonzero(is_open) % n_peaks).astype(np.int32)
    matrix = sp.csr_matrix((n_cells, n_peaks), dtype=np.uint8)
    # Assigned one by one: the constructor would narrow indptr, which must hold the whole matrix's count.
    matrix.data, matrix.indices, matrix.indptr = np.ones(len(indices), dtype=np.uint8), indices, indptr
    return matrix


def _expected_auroc(scores: NDArray[np.float32], probabilities: NDArray[np.float32]) -> float:
    """Mean over cells of the AUROC to expect of these scores when labels are drawn from these probabilities."""
    order = np.argsort(scores, axis=1)
    p = np.take_along_axis(probabilities.astype(np.float64), order, axis=1)
    below = np.cumsum(1 - p, axis=1) - (1 - p)
    pairs = p.sum(axis=1) * (1 - p).sum(axis=1) - (p * (1 - p)).sum(axis=1)
    return float(np.mean((p * below).sum(axis=1) / pairs))


def _meme(motifs: dict[str, NDArray[np.float64]]) -> str:
    lines = ["MEME version 4", "", f"ALPHABET= {ALPHABET}", "", "strands: + -", ""]
    lines += ["Background letter frequencies", " ".join(f"{base} 0.25" for base in ALPHABET), ""]
    for tf, pwm in motifs.items():
        lines.append(f"MOTIF {tf}")
        lines.append(f"letter-probability matrix: alength= 4 w= {len(pwm)} nsites= 100 E= 0")
        lines += [" ".join(f"{p:.6f}" for p in column) for column in pwm]
        lines.append("")
    return "\n".join(lines)


def _readme(written: dict[str, Any]) -> str:
    asked = written["asked"]
    return f"""# A simulated scATAC-seq experiment

{asked["n_cells"]:,} cells of {asked["n_types"]} types x {asked["n_peaks"]:,} peaks, seed {asked["seed"]}, made by
scbasset_zoo {written["scbasset_zoo"]}. None of it was measured: use it to test methods, not to learn biology.

| file | what |
|---|---|
| `matrix.h5ad` | cells x peaks, 0/1 |
| `genome.fa` | the genome, assembly "{written["assembly"]}", motifs planted |
| `motifs.meme` | PWMs of all TFs, active and inactive |
| `motif_sites.parquet` | every planted motif instance, 0-based half-open |
| `strengths.parquet` | peaks x TFs: summed strength of the planted instances |
| `truth.h5ad` | cells x TFs: true activities; by type in `.varm["type_activity"]` |
| `simulation.json` | parameters and outcome |

Peak p is open in cell c with probability
sigmoid(intercept + base_logit[p] + log(depth[c]) + activity[c] @ strength[p]).
A model that knew these probabilities would reach a mean AUROC per cell of {written["best_auroc"]:.3f};
one that knew all that the sequence explains, {written["best_auroc_from_sequence"]:.3f}.
"""
