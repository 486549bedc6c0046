"""Merges called peaks of several samples into one set of peaks of one width without overlaps."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Unpack

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.counting.called_peaks import SCORES, CalledPeaks, Score, read_called_peaks
from scbasset_zoo.counting.merge_peaks_options import MergePeaksKeywords, MergePeaksOptions
from scbasset_zoo.errors import InputError
from scbasset_zoo.files import destination, new_file
from scbasset_zoo.inputs.assemblies import check_assembly, chosen_assembly, naming_hint, some_names
from scbasset_zoo.inputs.assembly_table import find_assembly
from scbasset_zoo.inputs.blacklist import check_blacklist, read_blacklist
from scbasset_zoo.inputs.chromosome_names import convention_of, two_names_of_one
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.inputs.intervals import overlaps, rows_by_chromosome
from scbasset_zoo.inputs.named_genome import genome_name
from scbasset_zoo.inputs.peaks import peak_names
from scbasset_zoo.inputs.samples import check_samples
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.progress import progress, say
from scbasset_zoo.wording import option


@dataclass(frozen=True)
class MergedPeaks:
    """A set of peaks of one width that do not overlap, and how it came about.

    Attributes
    ----------
    peaks : DataFrame
        chrom, start, end (0-based, half-open), name, score (per million), n_samples (files with a peak that overlaps it); sorted
        by chrom and start.
    samples : DataFrame
        A row for each file, with numbers of peaks: read, those left out by each step, those left, and the kept peaks that they
        overlap ("supports").
    n_overlapping : int
        Peaks that were left out because they overlap a higher one of another file.
    n_in_few_samples : int
        Peaks that were left out because peaks of too few files overlap them.
    width : int
        Width of each peak, in bp.
    min_samples : int
        Number of files that must support a peak.
    """

    peaks: pd.DataFrame
    samples: pd.DataFrame
    n_overlapping: int
    n_in_few_samples: int
    width: int
    min_samples: int

    def __repr__(self) -> str:
        return f"MergedPeaks({len(self.peaks):,} peaks of {self.width:,} bp from {len(self.samples):,} files)"

    def summary(self) -> str:
        """Describe in plain text what was read, left out and kept."""
        between = [f"{self.n_overlapping:,} for a higher peak of another file that they overlap"]
        if self.min_samples > 1:
            between.append(f"{self.n_in_few_samples:,} others in fewer than {self.min_samples:,} files")
        lines = [
            f"{len(self.peaks):,} peaks of {self.width:,} bp that do not overlap",
            "",
            _text_of(self.samples),
            "",
            f"left out between files: {'; '.join(between)}",
        ]
        return "\n".join(lines)


@declares_options(MergePeaksOptions)
def merge_peaks(
    peaks: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    quiet: bool = False,
    **options: Unpack[MergePeaksKeywords],
) -> MergedPeaks:
    """Merge called peaks of one or several samples into one set of peaks of one width that do not overlap.

    Each peak is its summit with `width` bases around it: from ``summit - width // 2``, as windows are cut around a centre. Peaks
    that reach beyond their chromosome or overlap the blacklist are left out. Then overlaps are removed iteratively, first within
    each file: the peak with the highest score is kept, the peaks that overlap it are left out, and so on with the peaks that
    remain. The scores of each file are then divided by their sum / 1e6, which makes them comparable ("score per million"), and
    overlaps are removed among the peaks of all files.

    Of peaks with the same score, the one with the lowest start goes first. So neither the order of the files nor that of their
    lines changes the result.

    The method, and the score per million of the peaks that are left in a sample, are those of Corces, Granja et al.,
    Science 2018, https://doi.org/10.1126/science.aav1898; see `createIterativeOverlapPeakSet.R` of
    https://github.com/corceslab/ATAC_IterativeOverlapPeakMerging. ArchR (Granja, Corces et al., Nature Genetics 2021,
    https://doi.org/10.1038/s41588-021-00790-6) removes overlaps in the same way, but compares samples by the quantiles of their
    scores, rounded to three digits. As in both, a file supports a kept peak if a peak overlaps it that was left in this file.

    Parameters
    ----------
    peaks : path or list of paths
        Called peaks, a file for each sample or cluster: narrowPeak, broadPeak or BED, plain or gzip. See
        :func:`scbasset_zoo.counting.called_peaks.read_called_peaks`.
    out : path
        BED to write: chrom, start, end, name, score per million, strand ".", number of files with a peak that overlaps it. It is
        gzip if its name ends in ".gz".
    overwrite : bool
        Replace an earlier file at `out`.
    quiet : bool
        Show no progress.
    **options
        See :class:`scbasset_zoo.counting.merge_peaks_options.MergePeaksOptions`.

    Returns
    -------
    MergedPeaks

    Raises
    ------
    InputError
        A file or option cannot be used, or no peak is kept; nothing is written.
    """
    settings = checked_options("merge-peaks", MergePeaksOptions, options)
    paths = [Path(path) for path in ([peaks] if isinstance(peaks, str | os.PathLike) else peaks)]
    names = _names_of_files(paths, settings)
    with destination(out, overwrite=overwrite, inputs=[*paths, *settings.blacklist, settings.genome]):
        sizes = _chromosome_sizes(settings)
        blacklist = read_blacklist(settings.blacklist)
        files = []
        with progress("reading files of peaks", len(paths), quiet=quiet) as advance:
            for path in paths:
                files.append(read_called_peaks(path))
                advance(1)
        check_blacklist(blacklist, _chromosomes_of_files(files))
        score = _common_score(files, settings)
        regions = pd.concat([table for _, table in blacklist]) if blacklist else None
        samples = [_Sample.of_file(file, score, settings.width, sizes, regions) for file in files]
        merged = _merged(dict(zip(names, samples, strict=True)), settings)
        with new_file(out, overwrite=overwrite) as partial:
            _write(merged.peaks, partial)
    return merged


def without_overlaps(peaks: pd.DataFrame, scores: NDArray[np.float64], width: int) -> NDArray[np.bool_]:
    """Return which peaks are kept if overlaps are removed iteratively, the highest score first.

    Of peaks with one score, the lowest start goes first; of equal peaks, the first in the table.

    Parameters
    ----------
    peaks : DataFrame of n rows
        chrom and start of peaks of one width, in any order.
    scores : float64 array of shape (n,)
    width : int
        Width of the peaks, in bp.

    Returns
    -------
    bool array of shape (n,)
    """
    is_kept = np.zeros(len(peaks), dtype=bool)
    all_starts = peaks["start"].to_numpy()
    for rows in rows_by_chromosome(peaks).values():
        rows = rows[np.lexsort((all_starts[rows], -scores[rows]))]
        # Kept peaks begin at least one width apart, so a bin of one width has the start of one at most.
        kept: dict[int, int] = {}
        for row, start in zip(rows.tolist(), all_starts[rows].tolist(), strict=True):
            at = start // width
            if at in kept or start - kept.get(at - 1, -math.inf) < width or kept.get(at + 1, math.inf) - start < width:
                continue
            kept[at] = start
            is_kept[row] = True
    return is_kept


@dataclass(frozen=True)
class _Sample:
    """The peaks that are left in one file, their scores per million, and numbers of peaks by step."""

    peaks: pd.DataFrame
    scores: NDArray[np.float64]
    counts: dict[str, int]

    @classmethod
    def of_file(
        cls,
        file: CalledPeaks,
        score: Score | None,
        width: int,
        sizes: Mapping[str, int] | None,
        blacklist: pd.DataFrame | None,
    ) -> _Sample:
        scores = np.ones(len(file.lines)) if score is None else file.scores[score]
        starts = file.summits - width // 2
        peaks = pd.DataFrame({"chrom": file.chroms, "start": starts, "end": starts + width})
        counts = {"read": len(peaks)}

        def leave_out(step: str, wrong: NDArray[np.bool_]) -> None:
            nonlocal peaks, scores
            counts[step] = int(wrong.sum())
            peaks, scores = peaks[~wrong], scores[~wrong]

        ends = _chromosome_ends(file, sizes)
        if sizes is not None:
            leave_out("other_chromosomes", np.isnan(ends))
        leave_out("beyond_the_end", (peaks["start"].to_numpy() < 0) | (peaks["end"].to_numpy() > ends[~np.isnan(ends)]))
        if blacklist is not None:
            leave_out("in_the_blacklist", overlaps(peaks, blacklist))
        leave_out("overlap_a_higher_peak", ~without_overlaps(peaks, scores, width))
        counts["left"] = len(peaks)
        # An exact sum does not depend on the order of the lines, and equal shares are equal numbers. It is 0 if no peak is left.
        return cls(peaks, scores / (math.fsum(scores) or 1.0) * 1e6, counts)


def _merged(samples: Mapping[str, _Sample], options: MergePeaksOptions) -> MergedPeaks:
    peaks = pd.concat([sample.peaks for sample in samples.values()], ignore_index=True)
    scores = np.concatenate([sample.scores for sample in samples.values()])
    is_kept = without_overlaps(peaks, scores, options.width)
    peaks = peaks[is_kept].assign(score=scores[is_kept])
    supports = {name: overlaps(peaks, sample.peaks) for name, sample in samples.items()}
    peaks["n_samples"] = np.sum(list(supports.values()), axis=0, dtype=np.int64)
    in_enough = (peaks["n_samples"] >= options.min_samples).to_numpy()
    table = pd.DataFrame.from_dict({name: sample.counts for name, sample in samples.items()}, orient="index")
    table["supports"] = [int((supported & in_enough).sum()) for supported in supports.values()]
    if not in_enough.any():
        remedy = f" Lower {option('min_samples')}, now {options.min_samples:,}." if len(peaks) else ""
        raise InputError(f"No peak is kept.{remedy} The peaks of each file, and those left out:\n{_text_of(table)}")
    peaks = peaks[in_enough].sort_values(["chrom", "start"], ignore_index=True)
    peaks.insert(3, "name", peak_names(peaks))
    return MergedPeaks(peaks, table, int((~is_kept).sum()), int((~in_enough).sum()), options.width, options.min_samples)


def _text_of(samples: pd.DataFrame) -> str:
    table = samples.rename(columns=lambda name: name.replace("_", " "))
    # Indented, as messages print all lines but the first.
    return indent(table.to_string(formatters=[lambda n: f"{n:,}"] * table.shape[1]), "  ")


def _names_of_files(paths: Sequence[Path], options: MergePeaksOptions) -> list[str]:
    """Return a name for each file; check what the number of files must be."""
    if not paths:
        raise InputError("No file of peaks is given.")
    if twice := [path for path in paths if sum(path.absolute() == other.absolute() for other in paths) > 1]:
        raise InputError(f"{twice[0]} is given twice. Give each file of peaks once.")
    if options.min_samples > len(paths):
        raise InputError(
            f"{option('min_samples', options.min_samples)} is more than the number of files, {len(paths)}: no peak could be kept."
        )
    if options.samples:
        check_samples(options.samples, list(map(str, paths)))
        return list(options.samples)
    names = [path.name for path in paths]
    return names if len(set(names)) == len(names) else list(map(str, paths))


def _chromosome_sizes(options: MergePeaksOptions) -> Mapping[str, int] | None:
    """Return chromosome lengths in bp, by each name of a chromosome; None if neither genome nor assembly is given."""
    name = None if options.genome is None else genome_name(options.genome)
    assembly = chosen_assembly(name, options.assembly)
    listed = None if assembly is None else find_assembly(assembly)
    if options.genome is not None and (name is None or listed is None):
        genome = Genome(options.genome)
        if assembly is None:
            return genome.chromosome_sizes
        check_assembly(options.genome, genome.chromosome_sizes, assembly)
        return genome.with_names_of(assembly).sizes_by_name
    if listed is not None:
        return {name: chromosome.length for name, chromosome in listed.by_name.items()}
    if assembly is not None:
        raise InputError(f"The chromosome lengths of {assembly} are not built in. Give its genome too, with {option('genome')}.")
    either = f"{option('assembly')} or {option('genome')}"
    say(f"Without {either}, peaks that reach beyond the end of their chromosome are not noticed.")
    return None


def _chromosomes_of_files(files: Sequence[CalledPeaks]) -> Collection[str]:
    """Return the chromosomes of all files.

    Raises
    ------
    InputError
        Two files have the same chromosomes under different names: their peaks would be kept beside each other.
    """
    names = [dict.fromkeys(file.chroms) for file in files]
    for number, (file, own) in enumerate(zip(files, names, strict=True)):
        whose_first, whose = convention_of(names[0]), convention_of(own)
        if not names[0].keys() & own.keys() and whose and whose_first and whose != whose_first:
            raise InputError(
                f"{file.path} names chromosomes as {whose} does, {files[0].path} as {whose_first} does. Give files with the same "
                "names."
            )
        for earlier, before in zip(files[:number], names[:number], strict=True):
            if twin := two_names_of_one(own, before):
                raise InputError(
                    f"{file.path} has the chromosome {twin[0]}, {earlier.path} has {twin[1]}: the same peak would be kept twice. "
                    "Give files with the same names."
                )
    return dict.fromkeys(chrom for own in names for chrom in own)


def _common_score(files: Sequence[CalledPeaks], options: MergePeaksOptions) -> Score | None:
    """Return the score that is compared, and say which; None if no file has any."""
    if options.score is not None:
        for file in files:
            file.require_score(options.score)
        return options.score
    common: Score | None = next((name for name in SCORES if all(file.has_score(name) for file in files)), None)
    if common is not None:
        say(f"Peaks are compared by {common}, the first of {', '.join(SCORES)} that all files have.")
    elif not any(file.has_score(name) for file in files for name in SCORES):
        say(
            "No file has scores. Of peaks that overlap in a file, the one with the lowest start is kept; between files, that of "
            "the smaller file."
        )
    else:
        having = [f"{file.path} has {', '.join(name for name in SCORES if file.has_score(name)) or 'none'}" for file in files]
        raise InputError(
            f"The files have no score in common, so their peaks cannot be compared: {some_names(having, separator='; ')}. "
            "Give files of one kind."
        )
    return common


def _chromosome_ends(file: CalledPeaks, sizes: Mapping[str, int] | None) -> NDArray[np.float64]:
    """Return the length of each peak's chromosome: infinite if no lengths are known, NaN for chromosomes that are not among them.

    Raises
    ------
    InputError
        A summit lies beyond the end, or no chromosome is among those with lengths.
    """
    if sizes is None:
        return np.full(len(file.chroms), np.inf)
    ends = np.asarray(pd.Series(file.chroms).map(dict(sizes)), dtype=np.float64)
    if np.isnan(ends).all():
        chroms = pd.unique(file.chroms)
        raise InputError(
            f"{file.path}: no peak lies on a chromosome of the genome. The peaks have {some_names(chroms)}; the genome has "
            f"{some_names(sizes)}.{naming_hint(chroms, sizes)}"
        )
    beyond = np.flatnonzero(file.summits >= ends)
    if len(beyond):
        row = beyond[0]
        chrom, summit, more = file.chroms[row], file.summits[row], len(beyond) - 1
        raise InputError(
            f"{file.path}, line {file.lines[row]}: the summit, base {summit:,}, lies beyond the end of {chrom} "
            f"({int(ends[row]):,} bp){f', and {more:,} more do' if more else ''}. Are the peaks of the same assembly?"
        )
    return ends


def _write(peaks: pd.DataFrame, path: Path) -> None:
    table = peaks.assign(strand=".")[["chrom", "start", "end", "name", "score", "strand", "n_samples"]]
    # Without the time in the header of gzip, equal peaks are equal files.
    compression = {"method": "gzip", "mtime": 0} if path.suffix == ".gz" else None
    table.to_csv(path, sep="\t", header=False, index=False, float_format="%.6g", lineterminator="\n", compression=compression)
