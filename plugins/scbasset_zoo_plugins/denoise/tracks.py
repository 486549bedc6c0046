"""Tracks of `denoise`: the mean of each peak over the cells of each group."""

from __future__ import annotations

import numpy as np
import pandas as pd
from anndata import AnnData
from numpy.typing import NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend.blocks import BLOCK_CELLS
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.tracks import Tracks
from scbasset_zoo_plugins.denoise.inputs import DenoiseInputs, DenoiseOptions


def tracks(inputs: DenoiseInputs, options: DenoiseOptions) -> Tracks:
    """Return the tracks of a result; raise InputError if there are no groups, or its columns are genes."""
    if options.columns == "genes":
        raise InputError(f"Tracks are of peaks: leave {option('columns', 'genes')} out.")
    if inputs.labels is None:
        raise InputError(f"Tracks need {option('group_by')}: there is one for each group of cells.")
    codes, names = pd.factorize(inputs.labels, sort=True)
    n_cells = np.bincount(codes)

    def values(result: AnnData, first: int, last: int) -> NDArray[np.float32]:
        sums = np.zeros((last - first, len(names)))
        for start in range(0, len(codes), BLOCK_CELLS):
            cells = slice(start, min(start + BLOCK_CELLS, len(codes)))
            block = np.asarray(result.X[cells, first:last], dtype=np.float64)
            for group in np.unique(codes[cells]):
                sums[:, group] += block[codes[cells] == group].sum(axis=0)
        return (sums / n_cells).astype(np.float32)

    return Tracks([str(name) for name in names], inputs.windows, values, unit=f"denoised {options.output}")
