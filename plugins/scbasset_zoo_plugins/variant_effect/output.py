"""Where scored variants go: an AnnData in memory, or a table that is written block by block; and the variants that stand out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import anndata as ad
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo.extend.blocks import require_memory
from scbasset_zoo.extend.console import option

Array = NDArray[np.float32]


class Sink(Protocol):
    """Takes scored variants block by block."""

    def add(self, variants: pd.DataFrame, effects: Array, percentiles: Array | None) -> None:
        """Add variants, a row each, and their effects and percentiles (n, columns)."""


class InMemory:
    """Keeps all variants, for an AnnData.

    Parameters
    ----------
    n_variants, n_columns : int
        Expected sizes, to check the memory.
    """

    def __init__(self, n_variants: int, n_columns: int) -> None:
        require_memory(2 * 4 * n_variants * n_columns, "The result", f"Give {option('out')}, a file that ends in .parquet.")
        self._variants: list[pd.DataFrame] = []
        self._effects: list[Array] = []
        self._percentiles: list[Array] = []

    def add(self, variants: pd.DataFrame, effects: Array, percentiles: Array | None) -> None:
        """Add variants, a row each, and their effects and percentiles (n, columns)."""
        self._variants.append(variants)
        self._effects.append(effects)
        if percentiles is not None:
            self._percentiles.append(percentiles)

    def anndata(self, obs: pd.DataFrame) -> ad.AnnData:
        """Return columns x variants; `.layers["percentile"]` if there are any."""
        percentiles = np.concatenate(self._percentiles) if self._percentiles else None
        return as_anndata(obs, pd.concat(self._variants, ignore_index=True), np.concatenate(self._effects), percentiles)


class TableFile:
    """Writes a row for each variant and column into a Parquet or TSV file, in constant memory.

    Parameters
    ----------
    path : Path
        Its suffix says the format. A TSV begins with a line of provenance, after "# ".
    dimension : str
        Name of the column with the group, cell or latent dimension.
    columns : list of str
    provenance : dict
        In the metadata of a Parquet file, as JSON, under "scbasset_zoo".
    """

    def __init__(self, path: Path, dimension: str, columns: list[str], provenance: dict[str, str]) -> None:
        self._path, self._dimension, self._columns, self._provenance = path, dimension, columns, provenance
        self._writer: Any = None

    def add(self, variants: pd.DataFrame, effects: Array, percentiles: Array | None) -> None:
        """Add variants, a row each, and their effects and percentiles (n, columns)."""
        values = {"effect": effects} | ({} if percentiles is None else {"percentile": percentiles})
        self.add_values(variants, values)

    def add_values(self, variants: pd.DataFrame, values: dict[str, Array]) -> None:
        """Add variants, a row each, and any values (n, columns) by name."""
        n = len(self._columns)
        table = variants.iloc[np.repeat(np.arange(len(variants)), n)].reset_index(drop=True)
        table[self._dimension] = pd.Categorical.from_codes(np.tile(np.arange(n), len(variants)), pd.Index(self._columns))
        for name, of_variants in values.items():
            table[name] = np.ascontiguousarray(of_variants).ravel()
        if self._path.suffix == ".tsv":
            self._add_text(table)
        else:
            self._add_parquet(table)

    def close(self) -> None:
        """Finish the file."""
        if self._writer is not None:
            self._writer.close()

    def _add_text(self, table: pd.DataFrame) -> None:
        is_first = self._writer is None
        if is_first:
            self._writer = self._path.open("w", encoding="utf-8", newline="\n")
            self._writer.write(f"# {json.dumps({'scbasset_zoo': self._provenance})}\n")
        table.to_csv(self._writer, sep="\t", index=False, header=is_first, float_format="%.6g")

    def _add_parquet(self, table: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = pa.Table.from_pandas(table, preserve_index=False)
        if self._writer is None:
            schema = rows.schema.with_metadata({"scbasset_zoo": json.dumps(self._provenance)})
            self._writer = pq.ParquetWriter(self._path, schema)
        self._writer.write_table(rows.replace_schema_metadata(self._writer.schema.metadata))


class TopVariants:
    """Keeps the variants with the largest effects, in units of the effects by chance where these are known.

    Parameters
    ----------
    n : int
    scale : float array (columns,)
        Unit of effects in each column.
    """

    def __init__(self, n: int, scale: Array) -> None:
        self._n = n
        self._scale = np.where(scale > 0, scale, 1)
        self._kept: tuple[pd.DataFrame, Array, Any] | None = None

    def add(self, variants: pd.DataFrame, effects: Array, percentiles: Array | None) -> None:
        """Add variants, a row each, and their effects and percentiles (n, columns)."""
        if self._kept is not None:
            variants = pd.concat([self._kept[0], variants], ignore_index=True)
            effects = np.concatenate([self._kept[1], effects])
            percentiles = None if percentiles is None else np.concatenate([self._kept[2], percentiles])
        size = np.abs(effects / self._scale).max(axis=1)
        rows = np.argsort(-size, kind="stable")[: self._n]
        self._kept = variants.iloc[rows], effects[rows], None if percentiles is None else percentiles[rows]

    @property
    def kept(self) -> tuple[pd.DataFrame, Array, Array | None]:
        """The variants, their effects and their percentiles; the largest effect comes first."""
        assert self._kept is not None
        return self._kept


def as_anndata(obs: pd.DataFrame, variants: pd.DataFrame, effects: Array, percentiles: Array | None) -> ad.AnnData:
    """Return an AnnData of columns x variants. Variants of the same name are numbered, as anndata does."""
    from anndata.utils import make_index_unique

    var = variants.set_index("variant")
    var.index = make_index_unique(var.index.astype(str))
    result = ad.AnnData(np.ascontiguousarray(effects.T), obs=obs, var=var)
    if percentiles is not None:
        result.layers["percentile"] = np.ascontiguousarray(percentiles.T)
    return result
