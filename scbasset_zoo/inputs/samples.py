"""Names of samples, and of their cells: SAMPLE#BARCODE, as ArchR writes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

MARK = "#"


def check_samples(samples: Sequence[str], files: Sequence[str]) -> None:
    """Raise InputError unless there is a distinct name for each file that can stand before a barcode.

    Parameters
    ----------
    samples : sequence of str
    files : sequence of str
        For messages.
    """
    if len(samples) != len(files):
        raise InputError(
            f"{option('samples')}: {len(files)} files need {len(files)} names of samples, in their order; found {len(samples)}. "
            f"The files are {', '.join(files)}."
        )
    for name in samples:
        if not name.strip() or name != name.strip() or MARK in name or not name.isprintable():
            raise InputError(
                f"{option('samples')}: {name!r} cannot be the name of a sample: a name has letters, none of them {MARK!r}, and no "
                "blanks at its ends."
            )
    if repeated := [name for number, name in enumerate(samples) if name in samples[:number]]:
        raise InputError(f"{option('samples')}: two samples are called {repeated[0]!r}. Names must be distinct.")


def with_sample(sample: str, barcodes: Iterable[str]) -> pd.Index:
    """Return the names of the cells of a sample: SAMPLE#BARCODE."""
    return pd.Index([f"{sample}{MARK}{barcode}" for barcode in barcodes], dtype=object)
