"""Recipes: instructions to make a model on the user's machine from a file that its authors published."""

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

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.package.card_fields import Count, License, ModelId, Sha256, Tag, Text, Version
from scbasset_zoo.package.reading import Package
from scbasset_zoo.user_folders import make_cache_folder
from scbasset_zoo.zoo import remote
from scbasset_zoo.zoo.download import Download, download_all
from scbasset_zoo.zoo.schema import StrictModel, from_yaml
from scbasset_zoo.zoo.urls import check_url

MAX_BYTES = 2**20
PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


class SourceFile(StrictModel):
    """The URL and the hash of the published file."""

    url: Annotated[str, AfterValidator(check_url)]
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
        """The algorithm and the value of the hash."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", str(self.md5))


class About(BaseModel):
    """Fields of the card that are not in the published file. The importer also gets fields that are not listed here."""

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
        """The name of the assembly, or None if the recipe does not give it."""
        return self.genome.get("assembly")


class Recipe(StrictModel):
    """The content of recipe.yaml: an importer, the published file, and the model that is made of it."""

    importer: Text
    source: SourceFile
    options: dict[str, Any] = {}
    about: About

    def build_package(self, work: Path, out: Path) -> Package:
        """Download the published file into the folder `work`, and import it into the package `out`.

        Raises
        ------
        PackageError
            The importer is not installed or does not accept the options, an option is a path, or the file does not have the hash
            in the recipe.
        SourceError
            The file cannot be downloaded.
        InputError
            The importer cannot read the file.
        """
        importer = _importer(self.importer)
        try:
            options = importer.Options.model_validate(self.options)
        except ValidationError as error:
            raise PackageError(f"The importer {self.importer} does not accept the recipe's options: {error}") from None
        paths = [name for name in sorted(options.model_fields_set) if _takes_path(importer.Options, name)]
        if paths:
            raise PackageError(
                f"The recipe sets {', '.join(paths)}, which is a path on your machine. A recipe may not read your files. "
                f"To convert with your own files, use `scbasset-zoo import {self.importer}`."
            )
        # The published file keeps its name, because importers recognise formats by the suffix.
        name = urllib.parse.urlsplit(self.source.url).path.rpartition("/")[2]
        name = name if PLAIN_NAME.fullmatch(name) else "source"
        size = remote.size(self.source.url) if self.source.bytes is None else self.source.bytes
        algorithm, digest = self.source.digest
        path = make_cache_folder(work / "source") / name
        download_all([Download(self.source.url, path, size, digest, algorithm)], f"downloading {name}")
        return importer().convert(path, options, out=out, about=self.about.model_dump(exclude_unset=True), overwrite=True)


def read_recipe(path: Path) -> tuple[Recipe, bytes]:
    """Read a recipe of a local source, and return it with its bytes.

    Raises
    ------
    PackageError
        It is missing, too large or no plain file, or has problems.
    """
    if path.is_symlink() or not path.is_file():
        raise PackageError(f"{path} is not a plain file. Write the index again with `scbasset-zoo index`.")
    if path.stat().st_size > MAX_BYTES:
        raise PackageError(f"{path} has {path.stat().st_size:,} bytes; a recipe has at most {MAX_BYTES:,}.")
    raw = path.read_bytes()
    return from_yaml(Recipe, raw, str(path)), raw


def _importer(name: str) -> Any:
    from scbasset_zoo import plugin_manager

    importers = plugin_manager.importers()
    try:
        return importers.get(name)
    except InputError:
        raise PackageError(
            f"The recipe needs the importer {name!r}, which is not installed "
            f"(installed: {', '.join(sorted(importers.names())) or 'none'}). Install the plugin that provides it."
        ) from None


def _takes_path(options: type[BaseModel], name: str) -> bool:
    return name in options.model_fields and _has_path(options.model_fields[name].annotation)


def _has_path(kind: Any) -> bool:
    """Return whether a type is a path or contains one."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return any(_takes_path(kind, name) for name in kind.model_fields)
    return (isinstance(kind, type) and issubclass(kind, os.PathLike)) or any(map(_has_path, typing.get_args(kind)))
