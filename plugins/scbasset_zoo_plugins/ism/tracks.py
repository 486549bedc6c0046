"""Tracks of `ism`: the importance of each base, for each group or cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo import InputError
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.tracks import Tracks
from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.tables import MAX_Q, table

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def tracks(inputs: IsmInputs) -> Tracks:
    """Return the tracks of a result; raise InputError if its scores are latent."""
    if inputs.projection is None:
        raise InputError(f"Tracks need {option('group_by')} or {option('cells')}: latent scores have no sign of their own.")
    return Tracks(
        names=inputs.columns,
        windows=inputs.windows,
        values=_values,
        unit="importance (logit)",
        length=inputs.length,
        marks=_matches if inputs.search is not None else None,
    )


def _values(result: xr.Dataset, first: int, last: int) -> NDArray[np.float32]:
    return result["importance"][first:last].to_numpy()


def _matches(result: xr.Dataset) -> pd.DataFrame:
    """Return the matches with q up to 0.05."""
    matches = table(result, "match", on_genome=True)
    return matches[matches["q"] <= MAX_Q].rename(columns={"tf": "name"})[["chrom", "start", "end", "name", "strand"]]
