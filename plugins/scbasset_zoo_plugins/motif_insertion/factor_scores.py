"""What scores of transcription factors in cells agree with: the factors' expression, and a contrast of two groups of cells."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse, stats

from scbasset_zoo import InputError
from scbasset_zoo.extend.cell_groups import column_of

if TYPE_CHECKING:
    from scbasset_zoo import Model
    from scbasset_zoo.extend.companion_data import CompanionData

ScoresOf = Callable[[NDArray[np.intp], NDArray[np.intp]], NDArray[np.float32]]
"""Scores (cells, factors) of cells and factors given by position."""

_AT_ONCE, _CELLS_AT_ONCE = 64, 1 << 14


def parse_contrast(text: str) -> tuple[str, str, str]:
    """Column, first and second group of "COLUMN:A:B"."""
    parts = text.split(":")
    if len(parts) != 3 or not all(parts) or parts[1] == parts[2]:
        raise ValueError("must be COLUMN:A:B, a column of the cells and two of its values, as treatment:dexamethasone:control")
    return parts[0], parts[1], parts[2]


class Contrast:
    """Two groups of cells, to be told apart by a factor's score.

    Attributes
    ----------
    cells : positions
        Those of the first group, then those of the second.
    is_first : bool array
        For each of them.

    Raises
    ------
    InputError
        No such column, or no cell of one of the groups.
    """

    def __init__(self, model: Model, text: str) -> None:
        column, first, second = parse_contrast(text)
        values = column_of(model, column, "contrast").astype(str).to_numpy()
        found = [np.flatnonzero(values == group) for group in (first, second)]
        for group, members in zip((first, second), found, strict=True):
            if not len(members):
                known = ", ".join(sorted(set(values))[:8])
                raise InputError(f"contrast: no cell has the {column} {group!r}; the values are {known}.")
        self.cells = np.concatenate(found)
        self.is_first = np.arange(len(self.cells)) < len(found[0])

    def table(self, factors: pd.DataFrame, scores: ScoresOf) -> pd.DataFrame:
        """AUROC and AUPR (average precision) of each factor's score for the first group; best first, of equals the strongest."""
        from sklearn.metrics import average_precision_score, roc_auc_score

        rows = [
            (roc_auc_score(self.is_first, score), average_precision_score(self.is_first, score))
            for _, block in _blocks(self.cells, np.arange(len(factors)), scores)
            for score in block.T
        ]
        table = pd.DataFrame(rows, columns=["auroc", "aupr"], index=factors.index)
        table.insert(0, "tf", factors["tf"])
        table["aupr_by_chance"] = self.is_first.mean()
        return table.iloc[np.lexsort((-factors["deviation"], -(table["auroc"] - 0.5).abs()))]


def compare_expression(
    factors: pd.DataFrame, scores: ScoresOf, rna: CompanionData, other: CompanionData | None
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Correlation over cells of each factor's score with its expression, and a test against other scores' correlations.

    A factor is activating if its correlation is positive, repressive if it is negative; with other scores, the mean of both
    correlations decides, so that neither is favoured (Yuan & Kelley 2022 keep the two kinds apart likewise).

    Parameters
    ----------
    factors : DataFrame
        Index motifs, column `tf`.
    scores : callable
    rna : CompanionData
        Genes are matched with `tf`, in any case of letters.
    other : CompanionData, optional
        Cells x factors or motifs.

    Returns
    -------
    DataFrame
        tf, r, kind, and r_other if there are other scores; a row for each motif whose factor is expressed and varies.
    DataFrame or None
        For each kind: n, median |r| of both, Wilcoxon signed-rank statistic and p of |r| against |r_other|, two-sided.
    """
    cells = rna.cells if other is None else np.intersect1d(rna.cells, other.cells)
    genes = positions_by_name(rna.adata.var_names, factors["tf"])
    found = np.flatnonzero(genes >= 0)
    table = pd.DataFrame({"tf": factors["tf"].to_numpy()[found]}, index=factors.index[found])
    table["r"] = _correlations(cells, scores, found, rna, genes[found])
    if other is not None:
        theirs = positions_by_name(other.adata.var_names, factors.index.to_series())
        theirs = np.where(theirs < 0, positions_by_name(other.adata.var_names, factors["tf"]), theirs)
        both = found[theirs[found] >= 0]
        r_other = _correlations(cells, lambda cells, columns: _read(other, cells, columns), theirs[both], rna, genes[both])
        table["r_other"] = pd.Series(r_other, index=factors.index[both])
    table = table.dropna()
    judged = table[["r", "r_other"]].mean(axis=1) if other is not None else table["r"]
    table["kind"] = np.where(judged > 0, "activating", "repressive")
    table = table.sort_values("r", ascending=False)
    return table, _signed_rank(table) if other is not None else None


def positions_by_name(names: pd.Index, wanted: pd.Series) -> NDArray[np.intp]:
    """Where each wanted name stands, exactly or else in another case of letters; -1 where it does not."""
    exact = {name: position for position, name in reversed(list(enumerate(names)))}
    folded = {str(name).upper(): position for name, position in exact.items()}
    return np.array([exact.get(name, folded.get(str(name).upper(), -1)) for name in wanted], dtype=np.intp)


def _correlations(
    cells: NDArray[np.intp], scores: ScoresOf, columns: NDArray[np.intp], rna: CompanionData, genes: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Pearson correlation over cells of each column of the scores with the gene beside it; NaN where either does not vary."""
    found = []
    for part, block in _blocks(cells, columns, scores):
        expression = _read(rna, cells, genes[part])
        found += [
            stats.pearsonr(score, gene).statistic if np.ptp(score) and np.ptp(gene) else np.nan
            for score, gene in zip(block.T.astype(np.float64), expression.T.astype(np.float64), strict=True)
        ]
    return np.array(found, dtype=np.float64)


def _read(measured: CompanionData, cells: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.float32]:
    """Some columns of an AnnData, dense (cells, columns), read some cells at a time."""
    blocks = []
    for first in range(0, len(cells), _CELLS_AT_ONCE):
        rows = sparse.csr_matrix(measured.read(cells[first : first + _CELLS_AT_ONCE])[:, columns])
        blocks.append(rows.toarray().astype(np.float32))
    return np.concatenate(blocks)


def _signed_rank(table: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for kind, part in table.groupby("kind"):
        ours, theirs = part["r"].abs(), part["r_other"].abs()
        test = stats.wilcoxon(ours, theirs) if (ours != theirs).any() else None
        rows.append(
            (kind, len(part), ours.median(), theirs.median(), test.statistic if test else np.nan, test.pvalue if test else 1.0)
        )
    columns = ["kind", "n", "median_abs_r", "median_abs_r_other", "statistic", "p"]
    return pd.DataFrame(rows, columns=columns).set_index("kind")


def _blocks(cells: NDArray[np.intp], columns: NDArray[np.intp], scores: ScoresOf) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    for first in range(0, len(columns), _AT_ONCE):
        part = slice(first, first + _AT_ONCE)
        yield part, scores(cells, columns[part])
