"""The base class of importers, which make model packages of files of other programs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from scbasset_zoo.package.reading import Package


class Importer(ABC):
    """Makes a package of a file that another program wrote.

    Derive a class from it, and return the class from the hook `register_importers`.

    Attributes
    ----------
    name : str
        The name of the importer in `scbasset-zoo import NAME`.
    Options : pydantic model
        The options of the importer; give each field a description. The command line makes its options of them. A field of
        type Path is a file of the user; recipes cannot set it, because a recipe may come from elsewhere.
    """

    name: ClassVar[str]
    Options: ClassVar[type[BaseModel]] = BaseModel

    @abstractmethod
    def convert(
        self, source: Path, options: Any, *, out: Path, about: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> Package:
        """Make a package of `source` in the folder `out`.

        :mod:`scbasset_zoo.extend.about` has defaults for the fields of the card.

        Parameters
        ----------
        source : Path
            The file to convert. It is untrusted: nothing in it may be executed or unpickled.
        options : an instance of `Options`
        out : Path
            Folder for the package.
        about : mapping, optional
            Fields of the card that only the user knows, as for :func:`scbasset_zoo.export`.
        overwrite : bool
            Replace a package that is in `out`.

        Returns
        -------
        Package

        Raises
        ------
        InputError
            `source` or an option cannot be used.
        """
