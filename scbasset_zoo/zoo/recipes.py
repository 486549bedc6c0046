"""Recipes: models that are made on the user's machine from files that others published elsewhere."""

from __future__ import annotations

import os
import re
import typing
import urllib.parse
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card_fields import Count, License, ModelId, Sha256, Tag, Text, Version
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo import remote
from scbasset_zoo.zoo.schema import Section

MAX_BYTES = 2**20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class SourceFile(Section):
    """The published file, by address and hash."""

    url: Annotated[str, AfterValidator(remote.check_url)]
    sha256: Sha256 | None = None
    md5: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")] | None = None
    bytes: Count | None = None

    @model_validator(mode="after")
    def _one_hash(self) -> Self:
        if (self.sha256 is None) == (self.md5 is None):
            raise ValueError("give one of sha256 and md5")
        return self

    @property
    def digest(self) -> tuple[str, str]:
        """The hash's algorithm and value."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", str(self.md5))


class About(BaseModel):
    """The card's fields that the file itself does not tell; those not named here go to the importer as they are."""

    model_config = ConfigDict(extra="allow", frozen=True)

    id: ModelId
    version: Version
    description: Text
    license: License
    tags: Annotated[tuple[Tag, ...], Strict(False)] = ()
    created: date | None = None
    genome: Mapping[str, Any] = {}

    @property
    def assembly(self) -> str | None:
        """Name of the assembly, where the recipe gives it."""
        return self.genome.get("assembly")


class Recipe(Section):
    """recipe.yaml: which importer makes which model of which file."""

    importer: Text
    source: SourceFile
    options: dict[str, Any] = {}
    about: About

    def cook(self, work: Path, out: Path) -> Package:
        """Download the file into the folder `work` and import it into the package `out`.

        Raises
        ------
        PackageError
            The importer is not installed or does not take the options, one of them is a path, or the file is not the one that was
            published.
        SourceError
            The file cannot be had.
        InputError
            The importer cannot read the file.
        """
        importer = _importer(self.importer)
        try:
            options = importer.Options.model_validate(self.options)
        except ValidationError as error:
            raise PackageError(f"The importer {self.importer} does not take the recipe's options: {error}") from None
        paths = [name for name in sorted(options.model_fields_set) if _takes_path(importer.Options, name)]
        if paths:
            raise PackageError(
                f"The recipe sets {', '.join(paths)}, which names a file of this machine; a recipe may not, since it would put "
                f"your files into its model. Convert with your own files by `scbasset-zoo import {self.importer}`."
            )
        # Importers tell formats apart by suffix, so the published file keeps its name.
        name = urllib.parse.urlsplit(self.source.url).path.rpartition("/")[2]
        name = name if PLAIN_NAME.fullmatch(name) else "source"
        size = remote.size(self.source.url) if self.source.bytes is None else self.source.bytes
        algorithm, digest = self.source.digest
        path = work / "source" / name
        remote.download_all([remote.Wanted(self.source.url, path, size, digest, algorithm)], f"downloading {name}")
        return importer().convert(path, options, out=out, about=self.about.model_dump(exclude_unset=True), overwrite=True)


def _importer(name: str) -> Any:
    from scbasset_zoo import plugin_manager

    importers = plugin_manager.importers()
    if name not in importers:
        raise PackageError(
            f"The recipe needs the importer {name!r}, and there is none of that name "
            f"(there are: {', '.join(sorted(importers)) or 'none'}). Install the plugin that brings it."
        )
    return importers[name]


def _takes_path(options: type[BaseModel], name: str) -> bool:
    return name in options.model_fields and _has_path(options.model_fields[name].annotation)


def _has_path(kind: Any) -> bool:
    """Whether a type is a path, or has one among its parts."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(_takes_path(kind, name) for name in kind.model_fields)
    return (isinstance(kind, type) and issubclass(kind, os.PathLike)) or any(map(_has_path, typing.get_args(kind)))
