"""Tables of motif matches in the result of `ism`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo_plugins.ism.inputs import IsmInputs
from scbasset_zoo_plugins.ism.motif_labels import MotifLabels

if TYPE_CHECKING:
    import xarray as xr


_COLUMNS = {
    "match": ["region", "motif", "tf", "start", "end", "strand", "fimo_p"],
    "comparison": ["motif", "tf", "group", "n", "median", "median_of_others", "statistic", "p", "q"],
}


def table(result: xr.Dataset, dimension: str) -> pd.DataFrame:
    """A table of a result: "match", the motifs' matches, or "comparison", each motif's scores by group.

    Of a match's scores the largest is given with its p and q, and the group or cell that has it as `group`; all are in the
    result's `match_score`, `match_p` and `match_q`.
    """
    prefix = f"{dimension}_"
    of_table = result[[name for name in result.data_vars if str(name).startswith(prefix)]].load()
    plain = {str(name).removeprefix(prefix): of_table[name].to_numpy() for name in of_table if of_table[name].ndim == 1}
    found = pd.DataFrame({name: plain[name] for name in _COLUMNS[dimension]})
    if dimension == "match":
        columns = result[of_table["match_score"].dims[1]].to_numpy()
        best = of_table["match_score"].to_numpy().argmax(axis=1)
        found["group"] = columns[best]
        for name in ("score", "p", "q"):
            found[name] = of_table[f"match_{name}"].to_numpy()[np.arange(len(best)), best]
        found = found.sort_values(["p", "score"], ascending=[True, False], kind="stable", ignore_index=True)
    return found


def match_tables(labels: MotifLabels, inputs: IsmInputs) -> xr.Dataset:
    import xarray as xr

    matches, scores, p, q = labels.matches()
    of_columns = {"match_score": scores, "match_p": p, "match_q": q}
    variables: dict[str, Any] = {f"match_{name}": ("match", _plain(matches[name])) for name in matches}
    variables |= {name: (("match", inputs.dimension), values) for name, values in of_columns.items()}
    comparisons = labels.by_group()
    variables |= {f"comparison_{name}": ("comparison", _plain(comparisons[name])) for name in comparisons}
    return xr.Dataset(variables)


def _plain(values: pd.Series) -> NDArray[Any]:
    return values.to_numpy(str) if values.dtype == object else values.to_numpy()
