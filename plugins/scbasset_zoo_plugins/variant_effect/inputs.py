"""Options of `variant-effect`, and the files and objects that they name: opened and checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from scbasset_zoo import InputError
from scbasset_zoo.extend.analysis import Options
from scbasset_zoo.extend.cell_groups import CellGroups
from scbasset_zoo.extend.console import option, say
from scbasset_zoo.extend.genes import read_start_sites
from scbasset_zoo.extend.sequences import Genome
from scbasset_zoo_plugins.motifs.loading import load_motifs
from scbasset_zoo_plugins.motifs.motif import Motif
from scbasset_zoo_plugins.variant_effect.checking import BLOCK, NO_CHROMOSOME, NO_PEAK, SWAPPED, AlleleBlocks, Tally
from scbasset_zoo_plugins.variant_effect.places import NearestGenes, PeakFinder, in_windows_of_peaks, names_of_peaks
from scbasset_zoo_plugins.variant_effect.variant_files import Allele, readers_of

if TYPE_CHECKING:
    from scbasset_zoo import Model

Array = NDArray[np.float32]

# The share of mismatches that one cause explains, and how many there must be: a quarter of SNVs agree with any base by chance.
_NEARLY_ALL, _FEWEST = 0.9, 6


class VariantEffectOptions(Options):
    """The variants, the cells, and what the effects are compared with."""

    vcf: Path | None = Field(None, description="Variants: VCF (plain, gzip or bgzip) or BCF.")
    variants: Path | Any | None = Field(
        None, description="Variants: a table with a header: chrom, pos (from 1, as in a VCF), ref, alt and, if known, id or rsid."
    )
    genome: Path | Any = Field(description="Genome of the model's assembly: FASTA, .2bit, or a name such as hg38.")
    force: bool = Field(False, description="Use a genome of another assembly than the model's too.")
    group_by: str | None = Field(
        None, description="Column of the cells with their groups, to score the mean of each; by default the card's default group."
    )
    cells: list[str] | None = Field(None, description="Score each of these cells, by barcode, instead of groups.")
    latent: bool = Field(False, description="Give changes of the peak embedding instead of groups or cells.")
    in_peaks: bool = Field(
        False, description="Score each variant in the window of every peak that it lies in, instead of a window centred on it."
    )
    peaks: Path | Any | None = Field(
        None, description="Peaks (BED) for windows, annotation and random SNVs; by default the training peaks."
    )
    both_strands: bool = Field(False, description="Score the mean of both strands of the window.")
    max_mismatches: float = Field(
        0.1, ge=0, le=1, description="Share of variants whose REF may differ from the genome; they are left out and listed."
    )
    null: Literal["random", "shuffled", "none"] = Field(
        "random",
        description="What percentiles refer to: random SNVs in the peaks, the same SNVs in shuffled windows, or none.",
    )
    n_null: int = Field(1_000, ge=100, description="Number of random SNVs, or of SNVs in shuffled windows.")
    gtf: Path | None = Field(None, description="GTF of genes, to name the nearest transcription start site of each variant.")
    motifs: str | None = Field(
        None, description="Motifs that top variants gain or lose: MEME file, or name of a collection, such as jaspar-vertebrates."
    )
    motif_names: list[str] | None = Field(None, description="Only these motifs, by identifier or factor.")
    fimo_p: float = Field(1e-4, gt=0, lt=1, description="A match of a motif has a p-value by FIMO below this.")
    n_top: int = Field(100, ge=1, description="Variants with the largest effects that figures, tables and motifs are about.")
    n_logos: int = Field(3, ge=0, description="Top variants whose surroundings are mutated with both alleles, for logos.")
    seed: int = Field(0, ge=0, description="Seed of the random SNVs and of shuffles.")

    @model_validator(mode="after")
    def _check_combination(self) -> Self:
        if (self.vcf is None) == (self.variants is None):
            raise ValueError(f"give one of {option('vcf')} and {option('variants')}")
        if (self.group_by is not None) + (self.cells is not None) + self.latent > 1:
            raise ValueError(f"give one of {option('group_by')}, {option('cells')} and {option('latent', True)}")
        if self.motif_names is not None and self.motifs is None:
            raise ValueError(f"{option('motif_names')} needs {option('motifs')}, the MEME file or collection to choose from")
        return self


@dataclass(frozen=True)
class VariantEffectInputs:
    """Inputs of `variant-effect`.

    Attributes
    ----------
    dimension : "group", "cell" or "latent"
    obs : DataFrame
        The groups, cells or latent dimensions; of groups, `n_cells`.
    projection : float32 array (embedding_size, number of rows of `obs`), or None
        Mean embeddings of the groups, or embeddings of the cells; None for latent effects.
    genome : Genome
    peaks : DataFrame or None
        `on` (chromosome, as the genome names it), start, end and name.
    genes : NearestGenes or None
    motifs : list of Motif
        Empty if none are given.
    source : str
        The file of variants, for messages.
    tally : Tally
        Counts of the variants, after all are read once.
    snvs : DataFrame
        SNVs drawn from all of them, if a null of shuffled windows needs them.
    blocks : AlleleBlocks
        All variants.
    options : VariantEffectOptions
    finder : PeakFinder or None
        Finds the peaks.
    n_rows : int
        Rows that are scored in all.
    """

    dimension: str
    obs: pd.DataFrame
    projection: Array | None
    genome: Genome
    peaks: pd.DataFrame | None
    genes: NearestGenes | None
    motifs: list[Motif]
    source: str
    tally: Tally
    snvs: pd.DataFrame
    blocks: AlleleBlocks
    options: VariantEffectOptions
    finder: PeakFinder | None
    n_rows: int

    @property
    def n_blocks(self) -> int:
        """Number of blocks of alleles."""
        return -(-self.tally.n_alleles // BLOCK)

    def rows(self, number: int, length: int) -> pd.DataFrame:
        """Return the rows of a block that are scored: variants, or pairs of variant and peak.

        The columns are those of :meth:`AlleleBlocks.block`, and for windows of peaks `peak` and `window_start`.
        """
        block = self.blocks.block(number)
        if not self.options.in_peaks or not len(block):
            return block
        assert self.peaks is not None
        assert self.finder is not None
        return in_windows_of_peaks(block, self.peaks, self.finder, length)

    def annotated(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Add `variant` (the name of the row) and, where they are known, `peak` (with semicolons between several),
        `nearest_gene` and `tss_distance`."""
        sites = zip(rows["chrom"], rows["pos"], rows["ref"], rows["alt"], strict=True)
        names = [f"{chrom}:{pos}:{ref}>{alt}" for chrom, pos, ref, alt in sites]
        if self.options.in_peaks:
            rows = rows.assign(variant=[f"{name} in {peak}" for name, peak in zip(names, rows["peak"], strict=True)])
        else:
            rows = rows.assign(variant=names)
            if self.peaks is not None and self.finder is not None:
                rows["peak"] = names_of_peaks(rows, self.peaks, self.finder)
        if self.genes is not None:
            rows["nearest_gene"], rows["tss_distance"] = self.genes.nearest(rows["on"], rows["start"].to_numpy(np.int64))
        return rows


def open_inputs(model: Model, options: VariantEffectOptions) -> VariantEffectInputs:
    """Open and check what the options name; raise InputError if it cannot be used. All variants are read once."""
    dimension, obs, projection = _columns(model, options)
    motifs = load_motifs(options.motifs, options.motif_names, max_width=model.sequence_length) if options.motifs else []
    genome = model.open_genome(options.genome, force=options.force)
    peaks = _peaks(model, options, genome)
    genes = _genes(options, genome) if options.gtf is not None else None
    longest = model.sequence_length // 2
    source, _ = readers_of(options.vcf, options.variants)
    blocks = AlleleBlocks(_Alleles(options), genome, longest)
    tally = Tally()
    sample = _Sample(options.n_null if options.null == "shuffled" else 0, options.seed)
    finder = PeakFinder(peaks) if peaks is not None else None
    n_rows = 0
    for block in blocks.tallied(tally):
        sample.add(block)
        if options.in_peaks and peaks is not None and finder is not None and len(block):
            rows = in_windows_of_peaks(block, peaks, finder, model.sequence_length)
            keys, keys_in_peaks = (pd.MultiIndex.from_frame(each[["line", "alt"]]) for each in (block, rows))
            tally.leave_out_of_peaks(int((~keys.isin(keys_in_peaks)).sum()))
            n_rows += len(rows)
        else:
            n_rows += len(block)
    _require_variants(source, tally, genome, options)
    if options.null == "shuffled" and not len(sample.rows):
        raise InputError(f"{source} has no SNVs, which {option('null', 'shuffled')} needs.")
    return VariantEffectInputs(
        dimension, obs, projection, genome, peaks, genes, motifs, source, tally, sample.rows, blocks, options, finder, n_rows
    )


@dataclass(frozen=True)
class _Alleles:
    """Opens the source of variants again; it can be sent to another process."""

    options: VariantEffectOptions

    def __call__(self) -> Iterator[Allele]:
        return readers_of(self.options.vcf, self.options.variants)[1]


class _Sample:
    """Draws n SNVs from all blocks, each with the same chance: those with the smallest random numbers."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._rng = n, np.random.default_rng([seed, 3])
        self.rows = pd.DataFrame(columns=["on", "start", "old", "new", "random"])

    def add(self, block: pd.DataFrame) -> None:
        if not self._n:
            return
        snvs = block.loc[(block["old"].str.len() == 1) & (block["new"].str.len() == 1), ["on", "start", "old", "new"]]
        snvs = snvs.assign(random=self._rng.random(len(snvs)))
        both = snvs if self.rows.empty else pd.concat([self.rows, snvs])
        self.rows = both.nsmallest(self._n, "random").reset_index(drop=True)


def _columns(model: Model, options: VariantEffectOptions) -> tuple[str, pd.DataFrame, Array | None]:
    """Return the name of the dimension, its table, and the embedding to project on."""
    if options.latent:
        return "latent", pd.DataFrame(index=[str(i) for i in range(model.cell_embedding.shape[1])]), None
    if options.cells is not None:
        positions = model.positions(options.cells)
        return "cell", model.cells.iloc[positions].copy(), model.cell_embedding[positions].T
    column = options.group_by or model.card.cells.default_group
    if column is None:
        columns = ", ".join(map(str, model.cells.columns)) or "none"
        raise InputError(
            f"The card names no groups of cells. Give {option('group_by')}, one of these columns: {columns}; or "
            f"{option('cells')} or {option('latent', True)}."
        )
    groups = CellGroups(model, column)
    return "group", pd.DataFrame({"n_cells": groups.sizes}, index=groups.names), groups.means(model.cell_embedding).T


def _peaks(model: Model, options: VariantEffectOptions, genome: Genome) -> pd.DataFrame | None:
    """Return the peaks that are given, or the training peaks that the genome has; None if there are none and none are needed."""
    given = options.peaks if options.peaks is not None else model.package.peaks()
    if given is None:
        need = option("in_peaks", True) if options.in_peaks else option("null", "random") if options.null == "random" else ""
        if need:
            raise InputError(f"{need} needs peaks, and the package has none. Give {option('peaks')}, a BED file.")
        return None
    peaks = model.peak_windows(given, genome, force=options.force, strict=False).var[["chrom", "start", "end"]]
    on = peaks["chrom"].map(lambda name: genome.other_names.get(name, name))
    names = [f"{chrom}:{start}-{end}" for chrom, start, end in peaks.itertuples(index=False)]
    return peaks.assign(on=on, name=names).reset_index(drop=True)


def _genes(options: VariantEffectOptions, genome: Genome) -> NearestGenes:
    assert options.gtf is not None
    sites = read_start_sites(options.gtf)
    on = sites["chrom"].map(lambda name: genome.other_names.get(name, name))
    return NearestGenes(sites.assign(on=on))


def _require_variants(source: str, tally: Tally, genome: Genome, options: VariantEffectOptions) -> None:
    """Raise InputError if nothing can be scored or too many REF differ; say in a line how many variants are left out."""
    if not tally.n_alleles:
        raise InputError(f"{source} has no variants.")
    n_compared = tally.n_scored + tally.left_out[NO_PEAK] + tally.n_mismatches
    if tally.n_mismatches > options.max_mismatches * n_compared:
        line, chrom, pos, ref, alt, bases, _ = tally.mismatches[0]
        advice = _advice(tally, genome)
        raise InputError(
            f"{source}, line {line}: REF is {ref}, ALT is {alt}, but {genome.path} has {bases} at {chrom}:{pos:,}. REF differs in "
            f"{tally.n_mismatches:,} of {n_compared:,} alleles; at most a share of {options.max_mismatches:g} may "
            f"({option('max_mismatches')}). {advice}"
        )
    reasons = "; ".join(f"{n:,} {reason}" for reason, n in tally.left_out.most_common())
    if not tally.n_scored:
        if tally.left_out[NO_PEAK]:
            raise InputError(
                f"{source}: none of {tally.left_out[NO_PEAK]:,} variants lies in a peak. Leave out {option('in_peaks', True)}."
            )
        if set(tally.left_out) == {NO_CHROMOSOME}:
            _, alleles = readers_of(options.vcf, options.variants)
            genome.require([next(alleles).chrom])
        raise InputError(f"{source} has no variant that can be scored: of {tally.n_alleles:,} alleles, {reasons}.")
    if reasons:
        n_out = tally.left_out.total()
        first = f" The first whose REF differs is in line {tally.mismatches[0][0]:,} of {source}." if tally.mismatches else ""
        say(f"{n_out:,} of {tally.n_alleles:,} alleles are not scored: {reasons}.{first}")


def _advice(tally: Tally, genome: Genome) -> str:
    """Return what is wrong with variants whose REF differs, as far as the genome tells."""
    n_swapped = tally.left_out[SWAPPED]
    swapped = f"In {n_swapped:,} of them REF and ALT are swapped: the genome has ALT. " if n_swapped else ""
    # Of alleles at wrong places, a third have the genome's base as ALT by chance.
    if n_swapped > _NEARLY_ALL * tally.n_mismatches:
        return f"{swapped}Exchange REF and ALT in the file."
    for offset, where, first in ((1, "after", 0), (-1, "before", 2)):
        if len(tally.mismatches) >= _FEWEST and tally.share_of_mismatches_at(offset, genome) > _NEARLY_ALL:
            return f"The genome has REF one base {where} these positions: they count from {first}, and must count from 1."
    return f"{swapped}Are the variants of the model's assembly, and do their positions count from 1?"
