"""Counts of genes in the cells of a matrix of peaks, as multiome experiments have them: read, and written as .h5ad."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from anndata.utils import make_index_unique
from numpy.typing import NDArray
from scipy import sparse

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.inputs.matrix_entries import Entries, NotCounts
from scbasset_zoo.progress import say

GENES = "Gene Expression"
GENE_IDS = "gene_ids"


@dataclass(frozen=True)
class GeneCounts:
    """Cells x genes: a table of the genes, and a reader of the counts.

    Attributes
    ----------
    where : str
        Name of the file, for messages.
    genes : DataFrame
        One row a gene, indexed by name; names may repeat. The column ``gene_ids`` has the identifiers.
    columns : int array (n_genes,)
        Column of each gene in the file.
    cells : int array
        For each row of the file, the number of the cell among those of the matrix of peaks; -1 if it is not among them.
    n_columns : int
        Number of columns in the file.
    """

    where: str
    genes: pd.DataFrame
    columns: NDArray[np.intp]
    cells: NDArray[np.intp]
    n_columns: int
    _read: Callable[[], Iterator[Entries]]

    def counts(self, kept: NDArray[np.bool_]) -> tuple[NDArray[np.intp], sparse.csr_matrix]:
        """Read the counts of some cells into memory.

        Parameters
        ----------
        kept : bool array (n_cells,)
            The cells of the matrix of peaks that are wanted.

        Returns
        -------
        cells : int array
            Numbers of the kept cells that have gene expression, ascending.
        counts : float32 csr_matrix (len(cells), n_genes)

        Raises
        ------
        InputError
            The file is damaged, or a value is no count.
        """
        cells = np.sort(self.cells[self.cells >= 0])
        cells = cells[kept[cells]]
        row_of_cell = np.full(len(kept), -1, dtype=np.int32)
        row_of_cell[cells] = np.arange(len(cells))
        row_of_line = np.where(self.cells >= 0, row_of_cell[self.cells], -1)
        gene_of_column = np.full(self.n_columns, -1, dtype=np.int32)
        gene_of_column[self.columns] = np.arange(len(self.columns))
        parts: list[tuple[NDArray[Any], ...]] = [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
        with readable(self.where):
            for line, column, value in self._counts():
                if len(line) and (
                    min(line.min(), column.min()) < 0 or line.max() >= len(self.cells) or column.max() >= self.n_columns
                ):
                    raise InputError(f"{self.where} is damaged: entries lie outside {len(self.cells):,} x {self.n_columns:,}.")
                row, gene = row_of_line[line], gene_of_column[column]
                selected = (row >= 0) & (gene >= 0)
                parts.append((row[selected], gene[selected], value[selected].astype(np.float32)))
        rows, genes, values = map(np.concatenate, zip(*parts, strict=True))
        n_fractions = np.count_nonzero(values != np.round(values))
        if n_fractions:
            say(f"{self.where}: {n_fractions:,} values of genes are no whole numbers. Are they counts, or were they normalised?")
        return cells, sparse.coo_matrix((values, (rows, genes)), shape=(len(cells), len(self.columns))).tocsr()

    def _counts(self) -> Iterator[Entries]:
        try:
            yield from self._read()
        except TypeError as error:
            raise InputError(f"{self.where}: X has {error}") from error
        except NotCounts as error:
            raise InputError(
                f"{self.where}: the value in row {error.row:,}, column {error.column:,} (counting from 0) is {error.value}; "
                "expected counts of genes, none of them missing (NaN), infinite or negative."
            ) from error


def gene_columns(types: NDArray[Any] | None) -> NDArray[np.intp]:
    """Return the positions of the genes among features of several types; none if the types are not given."""
    return np.flatnonzero(pd.Series(types).astype(str) == GENES) if types is not None else np.zeros(0, dtype=np.intp)


def write_gene_counts(file: Any, parts: Sequence[GeneCounts], kept: Sequence[NDArray[np.bool_]], barcodes: pd.Index) -> None:
    """Write the counts of the kept cells as .h5ad, cells x genes. The counts of one part at a time are in memory.

    Parameters
    ----------
    file : path, or object that h5py writes to
    parts : sequence of GeneCounts
        Those of each sample.
    kept : sequence of bool arrays
        The cells of each part that are wanted.
    barcodes : Index
        Names of all cells, of one part after the other.

    Raises
    ------
    InputError
        The parts have different genes, no kept cell has gene expression, or see :meth:`GeneCounts.counts`.
    """
    orders = [_order_of_genes(parts[0], part) for part in parts]
    genes = parts[0].genes
    names, first = [], 0
    with h5py.File(file, "w") as opened:
        for part, is_kept, order in zip(parts, kept, orders, strict=True):
            cells, counts = part.counts(is_kept)
            counts = counts[:, order] if order is not None else counts
            counts.sort_indices()
            if "X" in opened:
                ad.io.sparse_dataset(opened["X"]).append(counts)
            else:
                ad.io.write_elem(opened, "X", counts)
            names.append(barcodes[first + cells])
            n_missing = int(is_kept.sum()) - len(cells)
            if n_missing:
                say(
                    f"{part.where}: {n_missing:,} of {is_kept.sum():,} kept cells have no gene expression; they are left out of it."
                )
            first += len(is_kept)
        n_cells = sum(map(len, names))
        if not n_cells:
            raise InputError(f"{parts[0].where}: none of the kept cells has gene expression.")
        obs = pd.DataFrame(index=pd.Index(np.concatenate(names), dtype=object))
        var = genes.set_axis(make_index_unique(pd.Index(genes.index.astype(str), dtype=object)), axis=0)
        shell = ad.AnnData(obs=obs, var=var)
        for name in ("obs", "var", "obsm", "varm", "obsp", "varp", "layers", "uns"):
            ad.io.write_elem(opened, name, getattr(shell, name) if name in ("obs", "var") else {})
        opened.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})


def check_same_genes(parts: Sequence[GeneCounts]) -> None:
    """Raise InputError unless all parts have the genes of the first one, in any order."""
    for part in parts:
        _order_of_genes(parts[0], part)


def _order_of_genes(first: GeneCounts, other: GeneCounts) -> NDArray[np.intp] | None:
    """Return the position of each gene of the first in the other; None if the order is the same."""
    expected, found = (pd.Index(part.genes[GENE_IDS].astype(str)) for part in (first, other))
    if expected.equals(found):
        return None
    missing, more = expected.difference(found), found.difference(expected)
    if len(missing) or len(more) or not (expected.is_unique and found.is_unique):
        examples = ", ".join([*missing[:3], *more[:3]]) or "genes that repeat"
        raise InputError(
            f"{first.where} and {other.where} have different genes: {len(missing):,} are only in the first and {len(more):,} only "
            f"in the second, such as {examples}. Count all samples with one annotation of genes."
        )
    return found.get_indexer(expected)
