"""Names of samples, and of their cells: SAMPLE#BARCODE, as ArchR writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

MARK = "#"


def by_sample(inputs: Any, samples: Sequence[str], what: str) -> tuple[list[Any], Sequence[str]]:
    """Return inputs as a list, and the names of their samples.

    Parameters
    ----------
    inputs : one input, a list or tuple of them, or a mapping of sample to input
    samples : sequence of str
        Names that are given beside the inputs; empty for a mapping.
    what : str
        What the inputs are, for the message, such as "matrices".

    Raises
    ------
    InputError
        A mapping and names are given.
    """
    if isinstance(inputs, Mapping):
        if samples:
            raise InputError(f"{option('samples')} is given twice: leave it out, since the {what} are given by sample.")
        return list(inputs.values()), list(inputs)
    return (list(inputs) if isinstance(inputs, list | tuple) else [inputs]), samples


def check_samples(samples: Sequence[str], inputs: Sequence[object]) -> None:
    """Raise InputError unless there is a distinct name for each input that can stand before a barcode, and no input repeats.

    Parameters
    ----------
    samples : sequence of str
        It may be empty for a single input.
    inputs : sequence
        Paths or objects in memory. Only paths are compared.
    """
    paths = [os.path.realpath(each) for each in inputs if isinstance(each, str | os.PathLike)]
    if repeated := _repeated(paths):
        raise InputError(f"{repeated} is given twice. Give each file once.")
    if not samples and len(inputs) == 1:
        return
    if len(samples) != len(inputs):
        named = f"{len(samples)} names ({', '.join(samples)})" if samples else "no names"
        raise InputError(
            f"{option('samples')} has {named}, but there are {len(inputs)} inputs. Give a name for each, in their order, such as "
            "a,b. Cells are then called a#BARCODE."
        )
    for name in samples:
        if not name.strip() or name != name.strip() or MARK in name or not name.isprintable():
            raise InputError(
                f"{option('samples')}: {name!r} cannot be the name of a sample. A name has letters, none of them {MARK!r}, and no "
                "blanks at its ends."
            )
    if repeated := _repeated(samples):
        raise InputError(f"{option('samples')}: two samples are called {repeated!r}. Names must be distinct.")


def with_sample(sample: str, barcodes: Iterable[str]) -> pd.Index:
    """Return the names of the cells of a sample: SAMPLE#BARCODE."""
    return pd.Index([f"{sample}{MARK}{barcode}" for barcode in barcodes], dtype=object)


def _repeated(names: Sequence[str]) -> str | None:
    return next((name for number, name in enumerate(names) if name in names[:number]), None)
