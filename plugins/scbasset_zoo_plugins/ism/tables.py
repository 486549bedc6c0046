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

MAX_Q = 0.05
_COLUMNS = {
    "match": ["region", "motif", "tf", "start", "end", "strand", "fimo_p"],
    "comparison": ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p", "q"],
}


def table(result: xr.Dataset, dimension: str, *, on_genome: bool = False) -> pd.DataFrame:
    """Return a table of a result, as computed or as read from its file.

    Parameters
    ----------
    result : Dataset
    dimension : "match" or "comparison"
        The matches of motifs, or each motif's scores by group.
    on_genome : bool
        Start and end of matches are positions on the chromosome, if the regions have one; else they are positions in the window.

    Returns
    -------
    DataFrame
        A match has one row. Its group is the one with the largest score, and `score`, `p` and `q` are those of this group. The
        values of all groups are in the result's `match_score`, `match_p` and `match_q`. `relative_score` is a dot product divided
        by the group's `random_spread`.
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
        if "random_spread" in result and result.attrs.get("measure") == "dot":
            spread = result["random_spread"].to_numpy()[best]
            rows.insert(list(rows).index("score") + 1, "relative_score", rows["score"] / np.where(spread > 0, spread, np.nan))
        if on_genome and "chrom" in result.variables:
            of_region = pd.Index(result["region"].to_numpy()).get_indexer(rows["region"])
            for name in ("start", "end"):
                rows[name] += result["window_start"].to_numpy()[of_region]
            rows.insert(0, "chrom", result["chrom"].to_numpy()[of_region])
        rows = rows.sort_values(["p", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return rows


def effects_table(result: xr.Dataset) -> pd.DataFrame:
    """Return the spread, the largest importance, and p against shuffled regions, for each group or cell."""
    spread, largest = result["random_spread"].to_numpy(), result["largest_importance"].to_numpy().max(axis=0)
    return pd.DataFrame(
        {
            result["random_spread"].dims[0]: result[result["random_spread"].dims[0]].to_numpy(),
            "largest": largest,
            "times_spread": largest / np.where(spread > 0, spread, np.nan),
            "spread": spread,
            "p": result["random_p"].to_numpy(),
        }
    )


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
