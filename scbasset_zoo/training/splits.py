"""Splits peaks into training, validation and test: at random, by chromosome, or by a column."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.training.prepare_options import PrepareOptions
from scbasset_zoo.wording import did_you_mean, option

# Peaks for testing are optional: training needs none.
NEEDED_SPLITS = ("train", "validation")
_SPLIT_OF_WORD = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}


def assign_splits(peaks: pd.DataFrame, options: PrepareOptions, column: NDArray[np.object_] | None) -> NDArray[np.object_]:
    """Assign each kept peak to a split.

    Parameters
    ----------
    peaks : DataFrame
        The kept peaks.
    options : PrepareOptions
    column : object array of shape (n_peaks,), optional
        The split of each peak, where a column gives it.

    Returns
    -------
    object array of shape (n_peaks,)
        "train", "validation" or "test". There may be no test peak.

    Raises
    ------
    InputError
        There is no peak for training or validation, or a chromosome of the split has none.
    """
    if column is not None:
        split, method = column, f"{option('split_column')} {options.split_column!r}"
    elif options.test_chroms:
        split, method = _by_chromosome(peaks, options), option("test_chroms")
    else:
        split, method = _at_random(len(peaks), options), option("split", options.split)
    empty = [name for name in NEEDED_SPLITS if not (split == name).any()]
    if empty:
        raise InputError(
            f"The split by {method} leaves no peak for {' and '.join(empty)} ({len(peaks):,} peaks are kept). Choose another "
            "split, or keep more peaks."
        )
    return split


def read_split_column(peaks: pd.DataFrame, column: str, where: str) -> NDArray[np.object_]:
    """Read the split of each peak from a column of the input.

    Raises
    ------
    InputError
        There is no such column, or it has a word that names no split.
    """
    if column not in peaks:
        raise InputError(
            f"{option('split_column')}: .var of {where} has no column {column!r}; it has {', '.join(peaks.columns)}."
            f"{did_you_mean(column, peaks.columns)}"
        )
    split = peaks[column].astype(object).map(lambda value: _SPLIT_OF_WORD.get(str(value).strip().lower()))
    is_wrong = split.isna().to_numpy()
    if is_wrong.any():
        row = int(np.flatnonzero(is_wrong)[0])
        raise InputError(
            f".var[{column!r}] of {where}, row {peaks.index[row]} (counting from 0, {peaks['name'].iloc[row]!r}): expected "
            f"train, validation (val, valid) or test, found {peaks[column].iloc[row]!r}."
        )
    return split.to_numpy(dtype=object)


def _by_chromosome(peaks: pd.DataFrame, options: PrepareOptions) -> NDArray[np.object_]:
    split = np.full(len(peaks), "train", dtype=object)
    chrom = peaks["chrom"].to_numpy()
    for name, keyword in (("test", "test_chroms"), ("validation", "validation_chroms")):
        chroms = list(getattr(options, keyword))
        absent = [c for c in chroms if c not in set(chrom)]
        if absent:
            raise InputError(
                f"{option(keyword)}: no peak is left on {', '.join(absent)}; there are peaks on {', '.join(dict.fromkeys(chrom))}."
            )
        split[np.isin(chrom, chroms)] = name
    if not options.validation_chroms:
        rest = np.flatnonzero(split == "train")
        drawn = np.random.default_rng(options.seed).permutation(rest)
        split[drawn[: _number_of(len(rest), options.split_shares[1])]] = "validation"
    return split


def _at_random(n_peaks: int, options: PrepareOptions) -> NDArray[np.object_]:
    split = np.full(n_peaks, "train", dtype=object)
    n_validation, n_test = (_number_of(n_peaks, share) for share in options.split_shares[1:])
    drawn = np.random.default_rng(options.seed).permutation(n_peaks)
    split[drawn[:n_validation]] = "validation"
    split[drawn[n_validation : n_validation + n_test]] = "test"
    return split


def _number_of(n_peaks: int, share: float) -> int:
    return max(1, round(n_peaks * share)) if share else 0
