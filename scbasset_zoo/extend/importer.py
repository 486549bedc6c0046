"""What an importer is: a class that makes a model package of another program's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

from scbasset_zoo.package.reading import Package


class Importer(ABC):
    """Makes a package of a file that another program wrote; subclass it and return the class from `register_importers`.

    Attributes
    ----------
    name : str
        As in `scbasset-zoo import NAME`.
    Options : pydantic model
        What may be asked, with a description for each field; the command line's options are made of it. Files are fields of
        type Path: a stranger's recipe may not name them.
    """

    name: ClassVar[str]
    Options: ClassVar[type[BaseModel]] = BaseModel

    @abstractmethod
    def convert(
        self, source: Path, options: Any, *, out: Path, about: Mapping[str, Any] | None = None, overwrite: bool = False
    ) -> Package:
        """Make a package of `source` in the folder `out`.

        Parameters
        ----------
        source : Path
            The file to convert. It is data from a stranger: nothing in it may be executed or unpickled.
        options : an instance of `Options`
        out : Path
            Folder for the package.
        about : mapping, optional
            The card's fields that only the user knows, as for :func:`scbasset_zoo.export`.
        overwrite : bool
            Replace a package that is in `out`.

        Raises
        ------
        InputError
            `source` or an option cannot be used.
        """
