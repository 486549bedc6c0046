"""Reads the tables of a result that was computed before, for notebooks and scripts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scbasset_zoo import plugin_manager
from scbasset_zoo.errors import InputError
from scbasset_zoo.running.results import opened, provenance_in

if TYPE_CHECKING:
    import pandas as pd

    from scbasset_zoo.extend.analysis import Result

MATCHES = "motif_matches"


def read_tables(result: Result | str | os.PathLike[str]) -> dict[str, pd.DataFrame]:
    """Return the tables that a report shows of a result of :func:`scbasset_zoo.run`.

    Parameters
    ----------
    result : AnnData, xarray.Dataset, or path
        What `run` returned, or the file that it wrote: .h5ad, .nc or .zarr.

    Returns
    -------
    dict of str to DataFrame

    Raises
    ------
    InputError
        The file cannot be read, no analysis made the result, or the analysis is not installed.
    """
    with opened(result) as read:
        analysis = plugin_manager.analyses().get(provenance_in(read)["analysis"])()
        return dict(analysis.tables(read))


def read_matches(result: Result | str | os.PathLike[str]) -> pd.DataFrame:
    """Return the motif matches of a result of the analysis `ism`, a row each.

    Parameters
    ----------
    result : xarray.Dataset, or path
        What ``sz.run("ism", ..., motifs=...)`` returned, or the file that it wrote: .nc or .zarr.

    Returns
    -------
    DataFrame
        Region, motif, factor, start and end (0-based, half-open, in bp; on the chromosome if the regions have one), strand, p-value
        of FIMO, and the score of the match with its p and q.

    Raises
    ------
    InputError
        As for :func:`read_tables`, or the result has no motif matches.
    """
    tables = read_tables(result)
    if MATCHES not in tables:
        raise InputError("The result has no motif matches. The analysis ism writes them if it is given motifs.")
    return tables[MATCHES]
