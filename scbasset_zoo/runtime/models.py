"""Models: several fits of the same cells, such as other seeds, whose results are combined in logits or probabilities."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Unpack

import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.assemblies import same_assembly
from scbasset_zoo.options import checked_options, declares_options
from scbasset_zoo.package.reading import Package
from scbasset_zoo.runtime.model import Model
from scbasset_zoo.runtime.options import DeviceName, Precision, PredictKeywords, PredictOptions
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    import anndata as ad

    from scbasset_zoo.inputs.windows import GenomeLike, PeaksLike, Windows


class Models:
    """Several models of the same cells. Results are the mean over models, with the standard deviation.

    Open them with :func:`scbasset_zoo.open_models`. Cells are matched by barcode: all models have the cells, their order and their
    columns of the first. The latent spaces of fits differ, so only logits and probabilities are combined.

    Parameters
    ----------
    packages : sequence of Package
    device : "auto", "cpu" or "cuda"
    threads : int, optional
        Threads that compute on the CPU.
    common_cells : bool
        Keep the cells that all packages have, instead of refusing packages with different cells.
    precision : str
        As for :class:`scbasset_zoo.Model`.

    Attributes
    ----------
    models : tuple of Model
        In the order of the packages.
    cells : DataFrame
        The cells of all models, with the columns of the first.

    Raises
    ------
    InputError
        There is no package, a package is given twice, or the packages differ in their assembly, sequence length or cells.
    PackageError, DeviceError
        As for :class:`scbasset_zoo.Model`.
    """

    def __init__(
        self,
        packages: Sequence[Package],
        device: DeviceName = "auto",
        threads: int | None = None,
        *,
        common_cells: bool = False,
        precision: Precision = "float32",
    ) -> None:
        if not packages:
            raise InputError("No model is given: give one or more.")
        _require_different(packages)
        _require_same_input(packages)
        self.cells = _shared_cells(packages, common_cells=common_cells)
        self.models = tuple(Model(package, device, threads, self.cells, precision) for package in packages)

    def __len__(self) -> int:
        return len(self.models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __getitem__(self, number: int) -> Model:
        return self.models[number]

    def __repr__(self) -> str:
        names = ", ".join(f"{model.card.id} {model.card.version}" for model in self.models)
        return f"{type(self).__name__}({names}; {self.n_cells:,} cells, on {self.models[0].device})"

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return len(self.cells)

    @property
    def sequence_length(self) -> int:
        """Length of the models' input sequences, in bp."""
        return self.models[0].sequence_length

    @declares_options(PredictOptions)
    def predict(
        self, peaks: PeaksLike | Windows, genome: GenomeLike | None = None, **options: Unpack[PredictKeywords]
    ) -> ad.AnnData:
        """Predict peaks of a genome in every cell by every model.

        Parameters
        ----------
        peaks, genome
            As for :meth:`scbasset_zoo.Model.predict`.
        **options
            See :class:`scbasset_zoo.runtime.options.PredictOptions`.

        Returns
        -------
        AnnData, cells (or groups) x peaks
            The mean over models, and in ``.layers["std"]`` their standard deviation (with n - 1 in its denominator), of
            probabilities or logits. One model has no standard deviation. ``.uns["scbasset_zoo"]`` names all models.

        Raises
        ------
        InputError
            As for :meth:`scbasset_zoo.Model.predict`, or the output is the peak embedding and there are several models.
        """
        from scbasset_zoo.runtime.predictions import predicted_anndata
        from scbasset_zoo.runtime.several_predictions import open_prediction

        return predicted_anndata(open_prediction(self.models, peaks, genome, checked_options("predict", PredictOptions, options)))


def members(model: Model | Models) -> tuple[Model, ...]:
    """Return a model, or several, as a tuple."""
    return model.models if isinstance(model, Models) else (model,)


def _require_different(packages: Sequence[Package]) -> None:
    """Raise InputError if a package is given twice: it would seem to agree with itself."""
    by_hash: dict[str, Package] = {}
    for package in packages:
        earlier = by_hash.setdefault(package.card_sha256, package)
        if earlier is not package:
            places = str(package.folder) if package.folder == earlier.folder else f"{earlier.folder} and {package.folder}"
            raise InputError(f"{_name(package)} is given twice ({places}): the cards are the same. Give each model once.")


def _require_same_input(packages: Sequence[Package]) -> None:
    first, *others = packages
    for other in others:
        lengths = first.card.input.length, other.card.input.length
        if lengths[0] != lengths[1]:
            raise InputError(
                f"{_name(first)} ({first.folder}) takes sequences of {lengths[0]:,} bp, and {_name(other)} ({other.folder}) of "
                f"{lengths[1]:,} bp. Models are combined only if their sequences have one length."
            )
        assemblies = first.card.genome.assembly, other.card.genome.assembly
        if not same_assembly(*assemblies):
            raise InputError(
                f"{_name(first)} ({first.folder}) was trained on {assemblies[0]}, and {_name(other)} ({other.folder}) on "
                f"{assemblies[1]}. Models are combined only if they have one assembly."
            )


def _shared_cells(packages: Sequence[Package], *, common_cells: bool) -> pd.DataFrame:
    """Return the cells that all packages have, as the first has them.

    Raises
    ------
    InputError
        A package has other cells than the first and `common_cells` is false, or they have no cell in common.
    """
    cells = packages[0].cells()
    common = cells
    for package in packages[1:]:
        barcodes = package.cells().index
        common = common[common.index.isin(barcodes)]
        if not common_cells:
            _require_same_cells(packages[0], cells.index, package, barcodes)
    if not len(common):
        raise InputError(
            f"The {len(packages)} models have no cell in common. Cells are matched by barcode; those of {_name(packages[0])} look "
            f"like {cells.index[0]!r}, and those of {_name(packages[-1])} like {barcodes[0]!r}."
        )
    return common


def _require_same_cells(first: Package, cells: pd.Index, other: Package, others: pd.Index) -> None:
    only_first, only_other = cells[~cells.isin(others)], others[~others.isin(cells)]
    if len(only_first) or len(only_other):
        parts = [
            f"{len(barcodes):,} only in {_name(package)} ({package.folder})"
            + (f", the first of which is {barcodes[0]!r}" if len(barcodes) else "")
            for package, barcodes in ((first, only_first), (other, only_other))
        ]
        raise InputError(
            f"The models have different cells: {'; '.join(parts)}. They have {len(cells) - len(only_first):,} in common, by "
            f"barcode. Give {option('common_cells', True)} to use these, or models of the same cells."
        )


def _name(package: Package) -> str:
    return f"{package.card.id} {package.card.version}"
