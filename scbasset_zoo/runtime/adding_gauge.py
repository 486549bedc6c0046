"""`sz.add_gauge`: computes the gauge of a package that has none, such as an imported one or one of an earlier release."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.gauge import gauge_of, with_gauge
from scbasset_zoo.package.card import TRAINING_PEAKS, Card
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import write_again
from scbasset_zoo.runtime.model import Model
from scbasset_zoo.runtime.options import DeviceName
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike


def add_gauge(
    package: str | os.PathLike[str],
    *,
    genome: GenomeLike,
    peaks: PeaksLike | None = None,
    out: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    force: bool = False,
    device: DeviceName = "auto",
) -> Package:
    """Add mean and covariance of the peak embeddings to a package, so that its depth and canonical embedding can be computed.

    Its predictions do not change. A package made by :func:`scbasset_zoo.export` has them already.

    Parameters
    ----------
    package : path
        Folder of a package. It is replaced, unless `out` is given.
    genome : path or Genome
        Genome of the model's assembly: FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38.
    peaks : path, DataFrame, AnnData or sequence of str, optional
        The peaks to compute them from, which should be those of the training. By default the training peaks of the package.
    out : path, optional
        Folder for the new package.
    overwrite : bool
        Replace a package that is in `out`.
    force : bool
        Use a FASTA of another assembly too, with a line on standard error.
    device : "auto", "cpu" or "cuda"

    Returns
    -------
    Package

    Raises
    ------
    InputError
        The package has no training peaks and none are given, the genome is another assembly or lacks peaks, or `out` exists.
    PackageError
        The package is not complete, or its network is not the file that its card describes.
    """
    opened = Package.open(package)
    model = Model(opened, device)
    source = TRAINING_PEAKS if peaks is None else "peaks that were given when the gauge was added"
    given = _training_peaks(opened) if peaks is None else peaks
    embedded = model.predict(given, genome, output="peak_embedding", strict=True, force=force).varm["peak_embedding"]
    network = with_gauge(opened.network(), gauge_of(embedded))
    card = Card.from_fields({**opened.card.model_dump(), "gauge": {"n_peaks": len(embedded), "peaks": source}})
    folder = opened.folder if out is None else Path(out)
    return write_again(opened.folder, card, network, out=folder, overwrite=overwrite or out is None)


def _training_peaks(package: Package) -> PeaksLike:
    """Return the training peaks of a package: those with split train, or all if the package does not say."""
    peaks = package.peaks()
    if peaks is None:
        raise InputError(f"{package.folder} does not list its training peaks: give them with {option('peaks')}.")
    return peaks[peaks["split"] == "train"] if "split" in peaks else peaks
