"""Files of finished parts: a shard, or a part of a run that may be interrupted. Each is a zip of plain arrays and a header."""

from __future__ import annotations

import contextlib
import json
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scbasset_zoo.errors import InputError, readable
from scbasset_zoo.files import rewritten, sha256
from scbasset_zoo.wording import option

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from scbasset_zoo.extend.parts import Arrays

SUFFIX = ".parts"
FORMAT = "scbasset_zoo parts 2"
_HEADER = "header.json"
# What must be equal for parts to belong together, in words.
_SAME = {
    "precision": "precisions",
    "analysis": "analysis",
    "plugin": "plugin",
    "card_sha256": "models (hashes of their cards)",
    "options": "options",
    "files": "input files (size and hash)",
    "n_parts": "number of parts",
    "scbasset_zoo_version": "version of scbasset_zoo",
}
_RECORDED = ("analysis", "plugin", "card_sha256", "precision", "options", "scbasset_zoo_version")
# Larger input files are compared by their size alone.
_MAX_HASHED = 1 << 24


def header_of(provenance: Mapping[str, str], options: Any, models: Sequence[str], n_parts: int) -> dict[str, Any]:
    """Return the header of the parts of some work.

    Parameters
    ----------
    provenance : mapping
        Analysis, plugin, hash of each model's card, precision, options as JSON, and version, as a result has them.
    options : pydantic model
    models : sequence of str
        Name, folder or URL of each model.
    n_parts : int
        Number of all parts.
    """
    values = dict(options)
    files = {name: _summary(Path(value)) for name, value in values.items() if isinstance(value, str | os.PathLike)}
    return {
        "format": FORMAT,
        "models": list(models),
        "files": {name: summary for name, summary in files.items() if summary is not None},
        "n_parts": n_parts,
        **{name: provenance[name] for name in _RECORDED},
    }


class PartFile:
    """A file of finished parts.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    path : Path
    header : dict

    Raises
    ------
    InputError
        It is no such file, or it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.is_dir():
            raise InputError(
                f"{path} is the folder of a run that is not finished. Run its shard again with {option('resume', True)}, and give "
                "the file that it writes."
            )
        with readable(str(path)), path.open("rb") as start:
            is_zip = start.read(2) == b"PK"
        if not is_zip:
            raise InputError(f"{path} is no file of parts. Expected what this version writes with --shard I/N.")
        with readable(str(path)), zipfile.ZipFile(path) as file:
            names = file.namelist()
            self.header: dict[str, Any] = json.loads(file.read(_HEADER)) if _HEADER in names else {}
        if self.header.get("format") != FORMAT:
            raise InputError(f"{path} is no file of parts. Expected what this version writes with --shard I/N.")
        self._names = [name for name in names if name != _HEADER]

    def numbers(self) -> set[int]:
        """Return the numbers of the parts in the file."""
        return {int(name.split("/")[0]) for name in self._names}

    def read(self, number: int) -> dict[str, NDArray[Any]]:
        """Return the arrays of a part."""
        start = f"{number}/"
        arrays = {}
        with readable(str(self.path)), zipfile.ZipFile(self.path) as file:
            for name in self._names:
                if name.startswith(start):
                    with file.open(name) as member:
                        arrays[name[len(start) : -len(".npy")]] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays

    def require_same(self, header: Mapping[str, Any], other: str) -> None:
        """Raise InputError if the parts are of other work than those with this header, which `other` names."""
        for name, words in _SAME.items():
            found, expected = self.header.get(name), header[name]
            if found != expected:
                if name == "options":
                    found, expected = _unequal(json.loads(str(found)), json.loads(expected))
                raise InputError(
                    f"{self.path} and {other} do not belong together: their {words} differ. Found {found!r} in {self.path}, and "
                    f"{expected!r} in {other}."
                )


def write_parts(path: Path, header: Mapping[str, Any], parts: Iterable[tuple[int, Arrays]]) -> None:
    """Write parts to a file in a folder that this process holds: whole or not at all, one part in memory at a time."""
    with rewritten(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        file.writestr(_HEADER, json.dumps(header))
        for number, arrays in parts:
            for name, values in arrays.items():
                with file.open(f"{number}/{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, np.asarray(values), allow_pickle=False)


class PartFolder:
    """A folder of finished parts beside the output of a run, from which an interrupted run goes on.

    Parameters
    ----------
    out : Path
        The output of the run.
    header : dict
        Header of its parts.

    Raises
    ------
    InputError
        The folder has parts of other work, or there is a file of its name.
    """

    def __init__(self, out: Path, header: Mapping[str, Any]) -> None:
        self.path, self._header = out.with_name(f"{out.name}{SUFFIX}"), header
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path} is a file, and finished parts are kept in a folder of this name. Move the file away.")
        self._files = dict(self._read_files())

    def __contains__(self, number: int) -> bool:
        return number in self._files

    def read(self, number: int) -> Arrays:
        """Return the arrays of a finished part."""
        return self._files[number].read(number)

    def add(self, number: int, arrays: Arrays) -> None:
        """Keep a part that is finished."""
        path = self.path / f"{number:08d}{SUFFIX}"
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            write_parts(path, self._header, [(number, arrays)])
        except BaseException:
            with contextlib.suppress(OSError):  # it has parts
                self.path.rmdir()
            raise
        self._files[number] = PartFile(path)

    def _read_files(self) -> Iterator[tuple[int, PartFile]]:
        for path in sorted(self.path.glob(f"[0-9]*{SUFFIX}")):
            file = PartFile(path)
            try:
                file.require_same(self._header, "this run")
            except InputError as error:
                raise InputError(
                    f"The interrupted run cannot go on: {error} Give the options that it had, or remove {self.path}."
                ) from None
            for number in file.numbers():
                yield number, file


def _unequal(one: dict[str, Any], other: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the entries of two mappings that differ."""
    names = [name for name in one | other if one.get(name) != other.get(name)]
    return {name: one.get(name) for name in names}, {name: other.get(name) for name in names}


def _summary(path: Path) -> str | None:
    """Return size and hash of an input file; None for what is no file."""
    try:
        if not path.is_file():
            return None
        size = path.stat().st_size
    except (OSError, ValueError):  # a text that is no path
        return None
    return f"{size:,} bytes" + (f", sha256 {sha256(path)[:16]}" if size <= _MAX_HASHED else "")
