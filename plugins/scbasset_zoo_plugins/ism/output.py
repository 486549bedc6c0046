"""The arrays of a result of `ism`, in memory or in a Zarr file that is written region by region."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from scbasset_zoo.extend.analysis import Context
from scbasset_zoo.extend.blocks import require_memory

if TYPE_CHECKING:
    import xarray as xr

# Dimensions with their sizes, and the type, of each array.
Shapes: TypeAlias = Mapping[str, tuple[dict[str, int], type]]

_ZARR_FORMAT: Literal[2] = 2  # format 3 has no standard type for texts


class Output:
    """Arrays to be filled, and the result that they become.

    Parameters
    ----------
    head : Dataset
        Coordinates and attributes of the result.
    shapes : mapping
        Dimensions with their sizes, and the type, of each array.
    context : Context
        If its `out` ends in .zarr, the arrays are in that file; otherwise in memory.

    Attributes
    ----------
    head : Dataset
    arrays : dict
        The arrays by name. The first dimension is the region.

    Raises
    ------
    InputError
        The arrays do not fit in memory.
    """

    def __init__(self, head: xr.Dataset, shapes: Shapes, context: Context) -> None:
        self.head, self._shapes = head, shapes
        self._zarr = context.out if context.out is not None and context.out.suffix == ".zarr" else None
        if self._zarr is not None:
            self.head = head.assign_attrs(scbasset_zoo=json.dumps(context.provenance))
            self.head.to_zarr(self._zarr, mode="w", zarr_format=_ZARR_FORMAT)
            self.arrays = _zarr_arrays(self._zarr, shapes)
        else:
            _require_memory(shapes)
            self.arrays = {name: np.empty(tuple(sizes.values()), kind) for name, (sizes, kind) in shapes.items()}

    def with_tables(self, tables: xr.Dataset) -> xr.Dataset:
        """Return the result: the arrays, which are filled by now, and other variables."""
        import xarray as xr

        if self._zarr is not None:
            self.head.merge(tables).to_zarr(self._zarr, mode="a", zarr_format=_ZARR_FORMAT, consolidated=True)
            return xr.open_zarr(self._zarr)
        filled = {name: (tuple(sizes), self.arrays[name]) for name, (sizes, _) in self._shapes.items()}
        return self.head.assign(filled).merge(tables).assign_attrs(self.head.attrs)


def _zarr_arrays(path: Path, shapes: Shapes) -> dict[str, Any]:
    """Create empty arrays in a Zarr group that xarray wrote; each region is a chunk."""
    import zarr

    group = zarr.open_group(path, mode="r+")
    return {
        name: group.create_array(
            name,
            shape=tuple(sizes.values()),
            dtype=kind,
            chunks=(1, *tuple(sizes.values())[1:]),
            fill_value=None,  # xarray would read it as missing
            attributes={"_ARRAY_DIMENSIONS": list(sizes)},
        )
        for name, (sizes, kind) in shapes.items()
    }


def _require_memory(shapes: Shapes) -> None:
    n_bytes = sum(int(np.prod(list(sizes.values()))) * np.dtype(kind).itemsize for sizes, kind in shapes.values())
    require_memory(n_bytes, "The result", "Give out=FILE.zarr, which is written region by region, or fewer regions or cells.")
