"""Genomes by name: UCSC's .2bit file of hg38 and others, downloaded once into the user's cache."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import InputError, SourceError
from scbasset_zoo.inputs.assembly_table import assemblies, find_assembly, name_of_ucsc
from scbasset_zoo.progress import progress, say
from scbasset_zoo.user_folders import CACHE_VARIABLE, cache_folder, cache_lock, expanded, make_cache_folder
from scbasset_zoo.wording import did_you_mean, option

VARIABLE = "SCBASSET_ZOO_GENOMES"
UCSC = "https://hgdownload.soe.ucsc.edu/goldenPath"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{1,40}(\.p\d+)?")
_CHUNK = 1 << 17
# Seconds until a connection, and between two pieces of an answer.
_TIMEOUT = (20, 60)
# MD5 of NAME.2bit as UCSC has it; each is what two or more independent projects found.
_MD5 = {
    "hg19": "bcdbfbe9da62f19bee88b74dabef8cd3",
    "hg38": "dcc3ea27079aa6dc3f9deccd7275e0f8",
    "mm9": "e47354d24b9d95e832c337d42b9f8f71",
    "mm10": "fcfcc276799031793a513e2e9c07adad",
}


def genome_name(genome: str | os.PathLike[str]) -> str | None:
    """Return UCSC's name of the genome that a text names, such as hg38 for "GRCh38", or None if the text is a path.

    A name has only letters and digits, or is one of the listed assemblies. A file or folder of that name goes first.
    """
    text = os.fspath(genome)
    if not isinstance(text, str) or text != text.strip() or os.path.exists(text):
        return None
    if not _NAME.fullmatch(text) and find_assembly(text) is None:
        return None
    return name_of_ucsc(text)


def named_genome(name: str) -> Path:
    """Return the file of a genome. It is downloaded if it is not in the cache.

    The file is NAME/bigZips/NAME.2bit below `UCSC`, or below the address in the variable SCBASSET_ZOO_GENOMES. It is compared with
    the md5sum.txt of the same place, and with the checksum that is listed here. If the variable has a folder, NAME.2bit, NAME.fa or
    NAME.fa.gz is used where it is.

    Parameters
    ----------
    name : str
        UCSC's name, as :func:`genome_name` returns it.

    Raises
    ------
    SourceError
        The server cannot be reached, or the download broke off.
    InputError
        There is no such genome, it has another checksum, or the cache cannot be written. Nothing half-written stays.
    """
    place = os.environ.get(VARIABLE) or UCSC
    if "://" not in place:
        return _in_folder(expanded(place, VARIABLE), name)
    if not place.startswith(("https://", "http://")):
        raise InputError(f"{VARIABLE} is {place!r}. Give an address that begins with https:// or http://, or a folder.")
    path = cache_folder() / "genomes" / f"{name}.2bit"
    if not path.is_file():
        make_cache_folder(path.parent)
        with cache_lock(f"genome-{name}", f"{name}: waiting for another process that is downloading it"):
            if not path.is_file():
                _download(f"{place.rstrip('/')}/{name}/bigZips", name, path)
    return path


def _in_folder(folder: Path, name: str) -> Path:
    names = (f"{name}.2bit", f"{name}.fa", f"{name}.fa.gz", f"{name}/bigZips/{name}.2bit")
    for each in names:
        if (folder / each).is_file():
            return folder / each
    raise InputError(
        f"There is no file {name} here, and the folder of {VARIABLE}, {folder}, has no {', '.join(names)}. Put the genome there, "
        f"or give the path of a FASTA or .2bit file with {option('genome')}."
    )


def _download(folder_url: str, name: str, path: Path) -> None:
    files.remove_leftovers(path)
    expected = _checksum(folder_url, name)
    url = f"{folder_url}/{path.name}"
    say(f"downloading {url} once into {path}")
    try:
        with files.rewritten(path, through_links=False) as partial:
            _fetch(url, partial, name, f"downloading {path.name}, bytes")
            if (found := _md5(partial)) != expected:
                raise InputError(
                    f"{url} does not have the expected checksum and was deleted: expected MD5 {expected}, found {found}. Try "
                    f"again; if it happens again, tell the maintainer of the server. {_other_ways(name)}"
                )
    except InputError as error:
        if error.__cause__ is None:
            raise
        raise InputError(f"{error} {CACHE_VARIABLE} sets the cache's folder.") from error


def _checksum(folder_url: str, name: str) -> str:
    """Return the MD5 that a genome's file must have."""
    file_name = f"{name}.2bit"
    known, url = _MD5.get(name), f"{folder_url}/md5sum.txt"
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "md5sum.txt"
        try:
            _fetch(url, copy, name, None)
        except FileNotFoundError:
            if known is not None:
                return known
            raise InputError(
                f"There is no file {name} here, and no genome {name} at {folder_url}.{did_you_mean(name, assemblies())} Give the "
                f"path of a FASTA or .2bit file with {option('genome')}, or UCSC's name of an assembly, such as hg38 or mm10."
            ) from None
        rows = [line.split() for line in copy.read_text(errors="replace").splitlines()]
    listed = next((row[0].lower() for row in rows if len(row) == 2 and row[1].lstrip("*./") == file_name), None)
    if listed is None and known is None:
        raise InputError(f"{url} has no line for {file_name}, so the genome cannot be checked. {_other_ways(name)}")
    if listed is not None and known is not None and listed != known:
        raise InputError(
            f"{url} says that {file_name} has the MD5 {listed}, but UCSC's has {known}: the file was changed there. "
            f"{_other_ways(name)}"
        )
    return known or str(listed)


def _fetch(url: str, path: Path, name: str, description: str | None) -> None:
    """Download a file.

    Raises
    ------
    FileNotFoundError
        There is nothing at the address.
    SourceError
        It cannot be downloaded.
    """
    import pooch
    import requests

    with _Bar(description) as bar:
        try:
            pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT)(url, str(path), None)
        except requests.RequestException as error:
            status = getattr(error.response, "status_code", None)
            if status == 404 and description is None:
                raise FileNotFoundError(url) from error
            reason = f"the server answered {status}" if status else _reason(error)
            raise SourceError(
                f"There is no file {name} here, and {url} cannot be downloaded: {reason}. Nothing half-written stays. "
                f"{_other_ways(name)}"
            ) from error


def _reason(error: Exception) -> str:
    import requests

    if isinstance(error, requests.Timeout):
        return "the server did not answer in time"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off; try again"
    if isinstance(error, requests.ConnectionError):
        return "this machine is offline, or the server cannot be reached"
    return str(error)


def _other_ways(name: str) -> str:
    return (
        f"Other ways: download {name}.2bit on another machine and give its path with {option('genome')}, or set {VARIABLE} to a "
        f"mirror of {UCSC} or to a folder that has it."
    )


def _md5(path: Path) -> str:
    import pooch

    return str(pooch.file_hash(str(path), alg="md5"))


class _Bar:
    """The progress of a download, as pooch wants it; it shows nothing without a description."""

    total = 0

    def __init__(self, description: str | None) -> None:
        self._description, self._stack = description, contextlib.ExitStack()
        self._advance: Callable[[int], None] | None = None

    def __enter__(self) -> _Bar:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def update(self, n: int) -> None:
        if self._advance is None:
            description = self._description or ""
            self._advance = self._stack.enter_context(progress(description, self.total or None, quiet=self._description is None))
        self._advance(n)

    def reset(self) -> None:
        """Take the rest as done: pooch counts the whole file once more after this."""
        self._advance = lambda n: None

    def close(self) -> None:
        pass
