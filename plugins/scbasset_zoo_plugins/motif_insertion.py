"""How much each motif opens chromatin in each cell: motifs put into shuffled sequences, scored before and after."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator
from scipy import sparse
from scipy.special import expit

from scbasset_zoo import dna
from scbasset_zoo.analysis import Analysis, Context, Options
from scbasset_zoo.errors import InputError
from scbasset_zoo.genome import Genome
from scbasset_zoo.progress import say
from scbasset_zoo.runtime.memory import require_memory
from scbasset_zoo.runtime.output import write_anndata
from scbasset_zoo.runtime.predictions import BLOCK_CELLS, Block
from scbasset_zoo.runtime.windows import Windows, peak_windows
from scbasset_zoo_plugins.cell_groups import CellGroups
from scbasset_zoo_plugins.factor_scores import Contrast, compare_expression, parse_contrast, positions_by_name
from scbasset_zoo_plugins.measured import Measured
from scbasset_zoo_plugins.motifs import Motif, choose, load_motifs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from scbasset_zoo.runtime.model import Model

Array = NDArray[np.float32]

# Up to so many values the raw scores are kept beside the z-scores; above, .var holds what gives them back.
MOST_RAW_VALUES = 1 << 27
MOST_N = 0.25
_BACKGROUNDS_AT_ONCE = 64


class MotifInsertionOptions(Options):
    """Which motifs, put into what, and what to compare the scores with."""

    motifs: str = Field(description="MEME file, or a collection's name, as jaspar-vertebrates.")
    genome: Path | Any = Field(description="FASTA of the model's assembly, plain or bgzip.")
    names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    peaks: Path | Any | None = Field(None, description="Peaks to shuffle (BED); those of training by default.")
    n_backgrounds: int = Field(1_000, ge=1, description="How many peaks are drawn and shuffled, keeping dinucleotides.")
    instances: Literal["sampled", "consensus"] = Field(
        "sampled", description="Draw each instance from the PWM, or put its consensus."
    )
    both_strands: bool = Field(False, description="Mean of the motif and its reverse complement.")
    scale: Literal["logit", "probability"] = Field("logit", description="Score differences of logits, or of their sigmoid.")
    group_by: str | None = Field(
        None, description="Column of the cells for the heat map; the card's default group if there is one."
    )
    rna: Path | Any | None = Field(
        None, description="Expression of the same cells (.h5ad), log-normalised; genes named as factors."
    )
    compare_with: Path | Any | None = Field(None, description="Other scores, cells x factors (.h5ad), as chromVAR's; needs rna.")
    contrast: str | None = Field(None, description="COLUMN:A:B: how well each score tells cells of A from those of B.")
    umap: Path | Any | None = Field(
        None, description="Result of the analysis embedding (.h5ad), whose UMAP is drawn; by default one is made for figures."
    )
    show: list[str] | None = Field(None, description="Factors of the UMAPs and curves; those that differ most by default.")
    seed: int = Field(0, ge=0, description="Of the backgrounds and the drawn instances.")

    @field_validator("contrast")
    @classmethod
    def _three_parts(cls, value: str | None) -> str | None:
        if value is not None:
            parse_contrast(value)
        return value

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.compare_with is not None and self.rna is None:
            raise ValueError("compare_with needs rna: the scores are compared by their correlation with expression")
        return self


class MotifInsertion(Analysis):
    """Activity of each motif's factor in each cell, by inserting the motif into shuffled peaks.

    Yuan & Kelley 2022, Methods: peaks are shuffled, keeping dinucleotides; an instance of the motif replaces the bases at the
    centre. With ``norm`` the logit without its intercept (or the sigmoid of that), a cell's score is the mean over backgrounds of
    ``norm(with the motif) - norm(without)``, standardised over cells. The result is cells x motifs; logits stay latent until
    the last product, ``.varm["latent"]``.
    """

    name = "motif-insertion"
    Options = MotifInsertionOptions

    def check(self, model: Model, options: MotifInsertionOptions) -> None:
        self._inputs = _read_inputs(model, options)
        for measured in (self._inputs.rna, self._inputs.other):
            if measured is not None:
                measured.require_finite()

    def run(self, model: Model, options: MotifInsertionOptions, context: Context) -> ad.AnnData:
        inputs = self._inputs
        n_values = model.n_cells * len(inputs.motifs)
        stream = context.out is not None and n_values > MOST_RAW_VALUES
        if not stream:
            require_memory(4 * n_values, "The result", "Give out=FILE.h5ad.")
        backgrounds = shuffled_backgrounds(inputs.windows, options.n_backgrounds, options.seed, context)
        scores = score_motifs(model, inputs.motifs, backgrounds, options, context)
        var = pd.DataFrame(
            {"tf": [motif.tf for motif in inputs.motifs], "mean": scores.mean, "deviation": scores.deviation},
            index=pd.Index([motif.name for motif in inputs.motifs], name="motif"),
        )
        var["consensus"] = [dna.decode(motif.consensus) for motif in inputs.motifs]
        result = ad.AnnData(obs=model.cells.copy(), var=var)
        result.varm["latent"], result.obsm["X_scbasset"] = scores.latent, model.cell_embedding
        if inputs.umap is not None:
            result.obsm["X_umap"] = inputs.umap
        result.uns["motif_insertion"] = {
            "group_by": inputs.groups.column if inputs.groups is not None else "",
            "contrast": options.contrast or "",
            "show": ",".join(inputs.show),
            "scale": options.scale,
        }
        if inputs.groups is not None:
            result.uns["group_means"] = _group_means(scores, var["tf"], inputs.groups)
        if inputs.contrast is not None:
            result.uns["contrast"] = inputs.contrast.table(var, scores.of_cells)
        if inputs.rna is not None:
            result.uns["expression"], tests = compare_expression(var, scores.of_cells, inputs.rna, inputs.other)
            if tests is not None:
                result.uns["expression_tests"] = tests
        if stream:
            assert context.out is not None
            result.uns["scbasset_zoo"] = dict(context.provenance)
            write_anndata(result, scores.blocks(), context.out)
            return result
        result.X = np.empty(result.shape, dtype=np.float32)
        for block in scores.blocks():
            result.X[block.rows, block.peaks] = block.values
        if n_values <= MOST_RAW_VALUES:
            result.layers["score"] = result.X * scores.deviation.astype(np.float32) + scores.mean.astype(np.float32)
        return result

    def plot(self, result: ad.AnnData) -> Mapping[str, Figure]:
        from scbasset_zoo_plugins import motif_figures

        return motif_figures.figures(result)


@dataclass(frozen=True)
class Scores:
    """Scores of motifs in cells, standardised over cells when they are asked for.

    Attributes
    ----------
    latent : float32 (n_motifs, k)
        Mean change of the peak embedding by each motif.
    n_cells : int
    mean, deviation : float64 (n_motifs,)
        Of the raw scores over cells; a deviation of 1 stands for none.
    raw : callable
        Raw scores (cells, motifs) of cells and motifs by position, in a new array.
    """

    latent: Array
    n_cells: int
    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    raw: Callable[[Any, Any], Array]

    def of_cells(self, cells: NDArray[np.intp] | slice, motifs: NDArray[np.intp] | slice) -> Array:
        """z-scores, (cells, motifs)."""
        scores = self.raw(cells, motifs)
        scores -= self.mean[motifs].astype(np.float32)
        scores /= self.deviation[motifs].astype(np.float32)
        return scores

    def blocks(self) -> Iterator[Block]:
        """All z-scores, some cells at a time."""
        for first in range(0, self.n_cells, BLOCK_CELLS):
            rows = slice(first, min(first + BLOCK_CELLS, self.n_cells))
            yield Block(rows, slice(0, len(self.latent)), self.of_cells(rows, slice(None)))


def score_motifs(
    model: Model, motifs: list[Motif], backgrounds: dna.Codes, options: MotifInsertionOptions, context: Context
) -> Scores:
    """Insert every motif into every background and score them.

    Of logits only the mean embedding is kept; probabilities are summed over backgrounds for some cells and one motif at a time.

    Parameters
    ----------
    model : Model
    motifs : list of Motif
    backgrounds : int8 codes (n, length)
    options : MotifInsertionOptions
    context : Context
    """
    cells = model.cell_embedding
    total = np.zeros((len(motifs), cells.shape[1]))
    probabilities = np.zeros((len(cells), len(motifs)), np.float32) if options.scale == "probability" else None
    n = len(backgrounds) * (2 if options.both_strands else 1)
    for without, embedded in _insertions(model, motifs, backgrounds, options, context):
        total += (embedded - without).sum(axis=1, dtype=np.float64)
        if probabilities is not None:
            _add_probabilities(probabilities, cells, without, embedded)
    latent = (total / n).astype(np.float32)
    if probabilities is None:
        return _linear(cells, latent)
    probabilities /= np.float32(n)
    blocks = [probabilities[first : first + BLOCK_CELLS] for first in range(0, len(cells), BLOCK_CELLS)]
    mean = sum(block.sum(axis=0, dtype=np.float64) for block in blocks) / len(cells)
    variance = sum(((block - mean) ** 2).sum(axis=0) for block in blocks) / len(cells)
    return Scores(
        latent, len(cells), mean, _deviation(variance, mean), lambda rows, columns: probabilities[rows][:, columns].copy()
    )


def shuffled_backgrounds(windows: Windows, n: int, seed: int, context: Context | None = None) -> dna.Codes:
    """Dinucleotide-shuffled sequences of peaks drawn at random, (n, length) codes.

    Parameters
    ----------
    windows : Windows
        The peaks; those with more than a quarter N are passed over. If there are fewer than n, some are drawn again.
    n, seed : int
    context : Context, optional
        Shows progress.

    Raises
    ------
    InputError
        No peak with known sequence.
    """
    rng = np.random.default_rng([seed, 0])
    found: list[dna.Codes] = []
    n_found, shown = 0, context or Context(None, True, {})
    with shown.progress("shuffling peaks", n) as advance:
        while n_found < n:
            before = n_found
            for position in rng.permutation(len(windows)):
                codes = windows.read(position, position + 1)
                if (codes == dna.N).mean() <= MOST_N:
                    found.append(dna.shuffle(codes[0], rng))
                    n_found += 1
                    advance(1)
                if n_found == n:
                    break
            if n_found == before:
                raise InputError(f"None of the {len(windows):,} peaks has known sequence: each is more than a quarter N.")
    return np.concatenate(found)


def instances(motif: Motif, n: int, options: MotifInsertionOptions) -> dna.Codes:
    """The n sequences put into the backgrounds, (n, width) codes: the same whichever other motifs are scored."""
    if options.instances == "consensus":
        return np.tile(motif.consensus, (n, 1))
    return motif.sample(n, np.random.default_rng([options.seed, 1, zlib.crc32(motif.name.encode())]))


@dataclass(frozen=True)
class _Inputs:
    """What the options name, opened and checked."""

    motifs: list[Motif]
    show: list[str]
    windows: Windows
    groups: CellGroups | None
    contrast: Contrast | None
    rna: Measured | None
    other: Measured | None
    umap: NDArray[Any] | None


def _read_inputs(model: Model, options: MotifInsertionOptions) -> _Inputs:
    motifs = load_motifs(options.motifs, options.names, longest=model.sequence_length)
    show = [motif.name for motif in choose(motifs, options.show, "show")] if options.show is not None else []
    column = options.group_by or model.card.cells.default_group
    try:
        groups = CellGroups(model, column) if column is not None else None
    except InputError as error:
        if options.group_by is not None:
            raise
        say(f"No means of groups: {error}")
        groups = None
    contrast = Contrast(model, options.contrast) if options.contrast is not None else None
    rna = Measured(options.rna, model.cells.index, "rna") if options.rna is not None else None
    other = Measured(options.compare_with, model.cells.index, "compare_with") if options.compare_with is not None else None
    if rna is not None:
        _require_expressed(motifs, rna)
    umap = _umap(options.umap, model) if options.umap is not None else None
    windows = _windows(model, options)
    if not len(windows):
        raise InputError("There are no peaks: give at least one.")
    return _Inputs(motifs, show, windows, groups, contrast, rna, other, umap)


def _windows(model: Model, options: MotifInsertionOptions) -> Windows:
    """The peaks to shuffle: those given, or those of training whose chromosomes the FASTA has; what is left out is said."""
    if options.peaks is not None:
        return peak_windows(options.peaks, options.genome, model.card)
    genome = options.genome if isinstance(options.genome, Genome) else Genome(options.genome)
    peaks = model.package.peaks()
    if peaks is None:
        raise InputError(f"{model.card.id} {model.card.version} does not bring its training peaks: give peaks=FILE.bed.")
    if "split" in peaks and (peaks["split"] == "train").any():
        peaks = peaks[peaks["split"] == "train"]
    present = peaks["chrom"].isin(list(genome.chromosome_sizes))
    if not present.any():
        genome.require(peaks["chrom"].unique())
    if not present.all():
        say(
            f"{int((~present).sum()):,} of {len(peaks):,} training peaks are left out: {genome.path} does not have their "
            "chromosomes."
        )
    return peak_windows(peaks[present], genome, model.card)


def _require_expressed(motifs: list[Motif], rna: Measured) -> None:
    names = pd.Series([motif.tf for motif in motifs])
    if (positions_by_name(rna.columns, names) < 0).all():
        raise InputError(
            f"rna has none of the {len(motifs):,} factors among its genes, which look like {rna.columns[0]!r}; the factors "
            f"look like {names.iloc[0]!r}. Name the genes by symbol."
        )


def _umap(data: Any, model: Model) -> NDArray[Any]:
    other = Measured(data, model.cells.index, "umap")
    if "X_umap" not in other.adata.obsm or len(other.cells) < model.n_cells:
        raise InputError(
            f"umap must have .obsm['X_umap'] of all {model.n_cells:,} cells; the analysis embedding writes such a file."
        )
    return other.obsm("X_umap", np.arange(model.n_cells))


def _insertions(
    model: Model, motifs: list[Motif], backgrounds: dna.Codes, options: MotifInsertionOptions, context: Context
) -> Iterator[tuple[Array, Array]]:
    """Embeddings of some backgrounds without (n, k) and with each motif (n_motifs, n, k), on one strand."""
    n, length = backgrounds.shape
    drawn = [instances(motif, n, options) for motif in motifs]
    starts = np.array([(length - len(motif.pwm)) // 2 for motif in motifs])
    strands = (lambda codes: codes, dna.reverse_complement)[: 2 if options.both_strands else 1]
    with context.progress("inserting motifs", n * len(motifs) * len(strands)) as advance:
        for first in range(0, n, _BACKGROUNDS_AT_ONCE):
            some = backgrounds[first : first + _BACKGROUNDS_AT_ONCE]
            without = model.embed(some)
            for strand in strands:
                bases = [dna.decode(codes) for of_motif in drawn for codes in strand(of_motif[first : first + len(some)])]
                reference = np.tile(np.arange(len(some)), len(motifs))
                embedded = model.mutations.mutate(some, np.repeat(starts, len(some)), bases, reference=reference, quiet=True)
                yield without, embedded.reshape(len(motifs), len(some), -1)
                advance(len(bases))


def _group_means(scores: Scores, factors: pd.Series, groups: CellGroups) -> pd.DataFrame:
    """Mean z-score of each motif in each group, the motifs whose raw scores differ most first."""
    sums = np.zeros((len(groups.names), len(scores.latent)))
    for block in scores.blocks():
        codes = groups.codes[block.rows]
        members = sparse.csr_matrix((np.ones(len(codes)), (codes, np.arange(len(codes)))), shape=(len(sums), len(codes)))
        sums += members @ block.values
    table = pd.DataFrame((sums / groups.sizes[:, None]).T, index=factors.index, columns=groups.names)
    order = np.argsort(-np.ptp(table.to_numpy(), axis=1) * scores.deviation, kind="stable")
    table.insert(0, "tf", factors)
    return table.iloc[order]


def _linear(cells: Array, latent: Array) -> Scores:
    """Scores of logits: mean and deviation over cells follow from the cells' mean and covariance."""
    of_motifs = latent.astype(np.float64)
    mean = cells.mean(axis=0, dtype=np.float64)
    blocks = (cells[first : first + BLOCK_CELLS] - mean for first in range(0, len(cells), BLOCK_CELLS))
    covariance = sum(block.T @ block for block in blocks) / len(cells)
    variance = ((of_motifs @ covariance) * of_motifs).sum(axis=1)
    mean = of_motifs @ mean
    return Scores(latent, len(cells), mean, _deviation(variance, mean), lambda rows, columns: cells[rows] @ latent[columns].T)


def _add_probabilities(total: Array, cells: Array, without: Array, embedded: Array) -> None:
    """Add each cell's change of probability by each motif, summed over backgrounds, to `total` (n_cells, n_motifs)."""
    for first in range(0, len(cells), BLOCK_CELLS):
        rows = slice(first, first + BLOCK_CELLS)
        before = expit(cells[rows] @ without.T).sum(axis=1)
        for number, after in enumerate(embedded):
            total[rows, number] += expit(cells[rows] @ after.T).sum(axis=1) - before


def _deviation(variance: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviations; 1 where there is none but rounding."""
    return np.where(variance <= 1e-12 * np.maximum(mean**2, 1e-12), 1.0, np.sqrt(np.maximum(variance, 0)))
