"""What the command line says about counted fragments."""

from __future__ import annotations

import json
from textwrap import indent
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    import anndata as ad

_SCORES = ("in peaks", "chance", "TSS enrichment")


def summary(result: ad.AnnData) -> str:
    """Describe in plain text what :func:`scbasset_zoo.count` returned."""
    made = result.uns["scbasset_zoo"]
    density = result.X.nnz / max(1, result.n_obs * result.n_vars)
    lines = [f"{result.n_obs:,} cells x {result.n_vars:,} peaks, {density:.2%} above 0; {made['counting']} are counted", ""]
    table = pd.DataFrame([_shown(row) for row in json.loads(made["samples"])]).to_string(index=False, justify="right")
    # Indented, as messages print all lines but the first.
    return "\n".join([*lines, indent(table, "  ")])


def _shown(row: dict[str, Any]) -> dict[str, str]:
    """Return the numbers of a sample as texts, each score with its value by chance."""
    shown = {name: value if isinstance(value, str) else f"{value:,}" for name, value in row.items() if name not in _SCORES}
    shown["insertions in peaks"] = f"{row['in peaks']:.1%} (chance {100 * row['chance']:.2g}%)"
    if "TSS enrichment" in row:
        shown["TSS enrichment"] = f"{row['TSS enrichment']:.1f} (chance 1)"
    return shown
