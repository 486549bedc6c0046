"""Which peaks are for training, validation and test: at random, by chromosome, or by a column."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.package.card import SPLITS

_SPLIT_WORDS = {"train": "train", "validation": "validation", "val": "validation", "valid": "validation", "test": "test"}


def assign_splits(
    peaks: pd.DataFrame, shares: tuple[float, float, float], parameters: dict[str, Any], column: NDArray[np.object_] | None
) -> NDArray[np.object_]:
    """The split of each kept peak."""
    rng = np.random.default_rng(parameters["seed"])
    split = np.full(len(peaks), "train", dtype=object)
    if column is not None:
        split, how = column, f"column {parameters['split_column']!r}"
    elif parameters["test_chroms"]:
        how = "chromosome"
        chrom = peaks["chrom"].to_numpy()
        for name, chroms in (("test", parameters["test_chroms"]), ("validation", parameters["validation_chroms"])):
            absent = [c for c in chroms if c not in set(chrom)]
            if absent:
                raise InputError(
                    f"No peak is left on {', '.join(absent)}, asked for as {name} chromosome; there are peaks on "
                    f"{', '.join(dict.fromkeys(chrom))}."
                )
            split[np.isin(chrom, chroms)] = name
        if not parameters["validation_chroms"]:
            rest = np.flatnonzero(split == "train")
            split[rng.permutation(rest)[: _share(len(rest), shares[1])]] = "validation"
    else:
        how = f"--split {parameters['split']}"
        n_validation, n_test = _share(len(peaks), shares[1]), _share(len(peaks), shares[2])
        drawn = rng.permutation(len(peaks))
        split[drawn[:n_validation]] = "validation"
        split[drawn[n_validation : n_validation + n_test]] = "test"
    empty = [name for name in SPLITS if not (split == name).any()]
    if empty:
        raise InputError(
            f"The split by {how} leaves no peak for {' and '.join(empty)} ({len(peaks):,} peaks remain). Split "
            "otherwise, or keep more peaks."
        )
    return split


def _share(n: int, share: float) -> int:
    return max(1, round(n * share))


def split_words(peaks: pd.DataFrame, column: str, where: str) -> NDArray[np.object_]:
    if column not in peaks:
        raise InputError(f".var of {where} has no column {column!r} to split by; it has {', '.join(peaks.columns)}.")
    words = peaks[column].astype(object).map(lambda value: _SPLIT_WORDS.get(str(value).strip().lower()))
    wrong = words.isna().to_numpy()
    if wrong.any():
        at = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f".var[{column!r}] of {where}, row {peaks.index[at]} (counting from 0, {peaks['name'].iloc[at]!r}): expected "
            f"train, validation (val, valid) or test, found {peaks[column].iloc[at]!r}."
        )
    return words.to_numpy(dtype=object)


def shares(split: str) -> tuple[float, float, float]:
    try:
        train, validation, test = (float(part) / 100 for part in split.split("/"))
        if min(train, validation, test) > 0 and abs(train + validation + test - 1) < 1e-9:
            return train, validation, test
    except ValueError:
        pass
    raise InputError(f"--split must be three percentages above zero that add up to 100, as 90/5/5; found {split!r}.")
