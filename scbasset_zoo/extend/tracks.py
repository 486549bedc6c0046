"""Tracks of an analysis: values of groups along the genome, for bigWig files and for the genome browser in the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.inputs.windows import Windows

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Tracks:
    """The tracks of a result: one for each group or cell.

    They are stated before the work, so that what cannot be written is refused early. The values are read from the result
    afterwards.

    Attributes
    ----------
    names : sequence of str
        Names of the tracks, such as those of groups. At most 200 tracks are written.
    windows : Windows
        The peaks or regions, with coordinates in a genome: what ``model.peak_windows`` returns.
    values : function of (result, first, last)
        Returns the values of the regions `first` to `last`: (regions, tracks), or (regions, length, tracks) if each base has a
        value. It is called for a few regions at a time.
    unit : str
        What the values are, such as "importance (logit)".
    length : int, optional
        Length of the windows in bp, if each of their bases has a value. Without it, each peak has one value.
    marks : function of result, optional
        Returns a table of places on the genome, such as matches of motifs: `chrom`, `start`, `end` (0-based, half-open), `name`,
        and `strand` if they have one. The genome browser shows them.
    """

    names: Sequence[str]
    windows: Windows
    values: Callable[[Any, int, int], NDArray[np.float32]]
    unit: str
    length: int | None = None
    marks: Callable[[Any], pd.DataFrame] | None = None


__all__ = ["Tracks"]
