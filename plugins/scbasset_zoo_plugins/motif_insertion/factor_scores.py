"""Compares scores of transcription factors in cells with the factors' expression, and between two groups of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, stats

from scbasset_zoo import InputError
from scbasset_zoo.extend.cell_groups import column_of
from scbasset_zoo.extend.console import option, say

if TYPE_CHECKING:
    from scbasset_zoo import Model
    from scbasset_zoo.extend.companion_data import CompanionData

Scores = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32]]
"""A function that returns the scores (cells, factors) of cells and factors at some positions."""

_FACTORS_PER_BATCH, _CELLS_PER_BATCH = 64, 1 << 14


def check_contrast(text: str) -> None:
    """Raise ValueError unless a text may be "COLUMN:GROUP:OTHER"."""
    if not _splits(text):
        raise ValueError(
            "must be COLUMN:GROUP:OTHER, a column of the cells and two of its values, such as treatment:dexamethasone:control"
        )


def parse_contrast(text: str, cells: pd.DataFrame) -> tuple[str, str, str]:
    """Return the column, the first and the second group of "COLUMN:GROUP:OTHER".

    Names may have colons: the text is split where `cells` have the column and both groups.

    Raises
    ------
    InputError
        The cells have the groups of several splits.
    """
    splits = _splits(text)
    in_cells = [split for split in splits if split[0] in cells]
    fitting = [split for split in in_cells if {*split[1:]} <= set(cells[split[0]].dropna().astype(str))]
    if len(fitting) > 1:
        meanings = " or ".join(f"{first!r} and {second!r} of {column!r}" for column, first, second in fitting)
        raise InputError(f"{option('contrast')}: {text!r} may mean {meanings}. Rename the column or its values.")
    return (fitting or in_cells or splits)[0]


def _splits(text: str) -> list[tuple[str, str, str]]:
    """Return every way to split a text at two of its colons into a column and two different groups."""
    parts = text.split(":")
    splits = [(":".join(parts[:i]), ":".join(parts[i:j]), ":".join(parts[j:])) for i, j in combinations(range(1, len(parts)), 2)]
    return [split for split in splits if all(split) and split[1] != split[2]]


class Contrast:
    """Two groups of cells that a factor's score should tell apart.

    Parameters
    ----------
    model : Model
    text : str
        "COLUMN:GROUP:OTHER": a column of the cells and two of its values.

    Attributes
    ----------
    cells : int array
        Positions of the cells of the first group, then those of the second.
    is_first : bool array
        Whether each of `cells` is in the first group.

    Raises
    ------
    InputError
        The cells do not have the column, no cell is in one of the groups, or the text has several meanings.
    """

    def __init__(self, model: Model, text: str) -> None:
        column, first, second = parse_contrast(text, model.cells)
        values = column_of(model, column, "contrast")
        has_value, texts = values.notna().to_numpy(), values.astype(str).to_numpy()
        groups = {group: np.flatnonzero(has_value & (texts == group)) for group in (first, second)}
        for group, members in groups.items():
            if not len(members):
                distinct = ", ".join(sorted(set(texts[has_value]))[:8])
                raise InputError(f"{option('contrast')}: no cell has the {column} {group!r}; the values are {distinct}.")
        self.cells = np.concatenate(list(groups.values()))
        self.is_first = np.arange(len(self.cells)) < len(groups[first])

    def table(self, factors: pd.DataFrame, scores: Scores) -> pd.DataFrame:
        """Return AUROC and AUPR (average precision) of each factor's score for the first group; NaN for NaN scores.

        `difference` is the mean raw score of the first group less that of the other; 0 for a score that is the same in all cells.
        Rows are sorted by the distance of AUROC from 0.5, and then by the deviation of the raw scores, the largest first. Ignored
        motifs are the last.
        """
        from sklearn.metrics import average_precision_score, roc_auc_score

        rows = [
            (np.nan, np.nan, 0.0)
            if np.isnan(score).any()
            else (
                roc_auc_score(self.is_first, score),
                average_precision_score(self.is_first, score),
                score[self.is_first].mean() - score[~self.is_first].mean(),
            )
            for _, block in _blocks(self.cells, np.arange(len(factors)), scores)
            for score in block.T
        ]
        table = pd.DataFrame(rows, columns=["auroc", "aupr", "difference"], index=factors.index)
        table["difference"] *= factors["deviation"]
        table.insert(0, "tf", factors["tf"])
        table["auroc_by_chance"], table["aupr_by_chance"] = 0.5, self.is_first.mean()
        responds = factors.get("responds", pd.Series(True, factors.index)).astype(bool)
        if "responds" in factors:
            table["responds"] = responds
        return table.iloc[np.lexsort((-factors["deviation"], -(table["auroc"] - 0.5).abs(), ~responds))]


def compare_expression(
    factors: pd.DataFrame, scores: Scores, rna: CompanionData, other: CompanionData | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Correlate each factor's score with its expression over cells, and compare with the correlations of other scores.

    A factor is called activating if its correlation is positive and repressive if it is negative. If there are other scores, the
    mean of both correlations decides, so that neither is favoured. Yuan & Kelley 2022 also keep the two kinds apart.

    Parameters
    ----------
    factors : DataFrame
        Its index names motifs; its column `tf` names their transcription factors.
    scores : function
        Returns the scores (cells, factors) of cells and factors at some positions.
    rna : CompanionData
        Genes are matched with `tf`; upper and lower case do not matter.
    other : CompanionData, optional
        Other scores, cells x motifs or factors.

    Returns
    -------
    DataFrame
        tf, r, kind, and r_other if there are other scores; a row for each motif whose factor is expressed and varies. `chance` and
        `chance_sd` are mean and standard deviation of r over all permutations of the cells. `responds` is that of `factors`.
    DataFrame or None
        For each kind: n, median |r| of both and by chance, and statistic and p of the two-sided Wilcoxon signed-rank test of |r|
        against |r_other|. None without other scores. The column `note` says why a test is NaN.
    """
    cells = rna.cells if other is None else np.intersect1d(rna.cells, other.cells)
    genes = positions_by_name(rna.adata.var_names, factors["tf"])
    expressed = np.flatnonzero(genes >= 0)
    table = pd.DataFrame({"tf": factors["tf"].to_numpy()[expressed]}, index=factors.index[expressed])
    table["r"] = _correlations(cells, scores, expressed, rna, genes[expressed])
    if other is not None:
        columns = positions_by_name(other.adata.var_names, factors.index.to_series())
        columns = np.where(columns < 0, positions_by_name(other.adata.var_names, factors["tf"]), columns)
        has_both = columns[expressed] >= 0
        both = expressed[has_both]
        r_other = _correlations(cells, lambda cells, columns: _read(other, cells, columns), columns[both], rna, genes[both])
        table = table[has_both].assign(r_other=r_other)
    is_undefined = table.isna().any(axis=1)
    if is_undefined.any():
        say(
            f"{is_undefined.sum():,} of {len(table):,} factors have no correlation with expression: their score or their gene does "
            "not vary."
        )
    table = table[~is_undefined]
    mean_r = table[["r", "r_other"]].mean(axis=1) if other is not None else table["r"]
    # Over all permutations of n values, r has mean 0 and variance 1 / (n - 1).
    kind = np.where(mean_r > 0, "activating", "repressive")
    table = table.assign(kind=kind, chance=0.0, chance_sd=(len(cells) - 1) ** -0.5)
    if "responds" in factors:
        table["responds"] = factors["responds"].loc[table.index].astype(bool)
    table = table.sort_values("r", ascending=False)
    if other is None:
        return table, None
    tests = signed_rank(table)
    # Half of the values of a normal distribution with mean 0 are further from 0 than this.
    tests.insert(3, "median_abs_r_by_chance", stats.norm.ppf(0.75) * (len(cells) - 1) ** -0.5)
    return table, tests


def positions_by_name(names: pd.Index, factors: pd.Series) -> NDArray[np.intp]:
    """Return the position of each factor in `names`, -1 if it is missing; exact matches come before those in another case."""
    exact = {name: position for position, name in reversed(list(enumerate(names)))}
    upper_case = {str(name).upper(): position for name, position in exact.items()}
    return np.array([exact.get(name, upper_case.get(str(name).upper(), -1)) for name in factors], dtype=np.intp)


def _correlations(
    cells: NDArray[np.intp], scores: Scores, columns: NDArray[np.intp], rna: CompanionData, genes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return the Pearson correlation over cells of each column of the scores with its gene; NaN if either does not vary."""
    correlations: list[float] = []
    for part, block in _blocks(cells, columns, scores):
        expression = _read(rna, cells, genes[part])
        correlations += [
            stats.pearsonr(score, gene).statistic if np.ptp(score) > 0 and np.ptp(gene) > 0 else np.nan
            for score, gene in zip(block.T.astype(np.float64), expression.T.astype(np.float64), strict=True)
        ]
    return np.array(correlations, dtype=np.float64)


def _read(data: CompanionData, cells: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Read some columns, dense (cells, columns), in batches of cells."""
    blocks = []
    for first in range(0, len(cells), _CELLS_PER_BATCH):
        rows = sparse.csr_matrix(data.read(cells[first : first + _CELLS_PER_BATCH])[:, columns])
        blocks.append(rows.toarray().astype(np.float32))
    return np.concatenate(blocks)


def signed_rank(table: pd.DataFrame) -> pd.DataFrame:
    """Test |r| against |r_other| for each kind of factors."""
    rows = []
    for kind, part in table.groupby("kind"):
        r, r_other = part["r"].abs(), part["r_other"].abs()
        if len(part) < 2:
            tested = np.nan, np.nan, "there is one factor"
        elif (r == r_other).all():
            tested = np.nan, np.nan, "both scores have the same correlations"
        else:
            test = stats.wilcoxon(r, r_other)
            tested = test.statistic, test.pvalue, ""
        rows.append((kind, len(part), r.median(), r_other.median(), *tested))
    columns = ["kind", "n", "median_abs_r", "median_abs_r_other", "statistic", "p", "note"]
    return pd.DataFrame(rows, columns=columns).set_index("kind")


def _blocks(cells: NDArray[np.intp], columns: NDArray[np.intp], scores: Scores) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Yield scores (cells, some columns) with the slice of `columns` that they are for."""
    for first in range(0, len(columns), _FACTORS_PER_BATCH):
        part = slice(first, first + _FACTORS_PER_BATCH)
        yield part, scores(cells, columns[part])
