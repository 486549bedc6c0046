"""Tables of motif matches: as variables of the result of `ism`, and as DataFrames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.motif_matches import MotifMatches

if TYPE_CHECKING:
    import xarray as xr

_COLUMNS = {
    "match": ["region", "motif", "tf", "start", "end", "strand", "fimo_p"],
    "comparison": ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p", "q"],
}


def table(result: xr.Dataset, dimension: str) -> pd.DataFrame:
    """Return a table of a result, as computed or as read from its file.

    Parameters
    ----------
    result : Dataset
    dimension : "match" or "comparison"
        The matches of motifs, or each motif's scores by group.

    Returns
    -------
    DataFrame
        A match has one row. Its group is the one with the largest score, and `score`, `p` and `q` are those of this group. The
        values of all groups are in the result's `match_score`, `match_p` and `match_q`.
    """
    prefix = f"{dimension}_"
    variables = result[[name for name in result.data_vars if str(name).startswith(prefix)]].load()
    columns = {name: variables[f"{prefix}{name}"].to_numpy() for name in _COLUMNS[dimension]}
    rows = pd.DataFrame(columns)
    if dimension == "match":
        groups = result[variables["match_score"].dims[1]].to_numpy()
        best = np.nan_to_num(variables["match_score"].to_numpy(), nan=-np.inf).argmax(axis=1)
        rows["group"] = groups[best]
        for name in ("score", "p", "q"):
            rows[name] = variables[f"match_{name}"].to_numpy()[np.arange(len(best)), best]
        rows = rows.sort_values(["p", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return rows


def match_variables(motif_matches: MotifMatches, inputs: IsmInputs) -> xr.Dataset:
    """Return matches and comparisons as variables of a Dataset, whose names :func:`table` reads."""
    import xarray as xr

    matches, scores, p, q = motif_matches.matches()
    by_column = {"match_score": scores, "match_p": p, "match_q": q}
    variables: dict[str, Any] = {f"match_{name}": ("match", _as_array(matches[name])) for name in matches}
    variables |= {name: (("match", inputs.dimension), values) for name, values in by_column.items()}
    comparisons = motif_matches.by_group()
    variables |= {f"comparison_{name}": ("comparison", _as_array(comparisons[name])) for name in comparisons}
    return xr.Dataset(variables)


def _as_array(values: pd.Series) -> NDArray[Any]:
    """Return a column as an array; texts get a fixed width, which files can hold."""
    return values.to_numpy(str) if values.dtype == object else values.to_numpy()
