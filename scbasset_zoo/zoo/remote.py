"""Bytes at URLs, through fsspec: small files as a whole, large ones resumed and checked before they count."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import time
import urllib.parse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError, SourceError
from scbasset_zoo.progress import progress

KINDS = ("https", "http", "s3", "hf")
WRITABLE = ("s3", "hf")
ATTEMPTS = 5
FIRST_PAUSE = 0.3
CONNECT_SECONDS = 20.0
SILENCE_SECONDS = 60.0
CHUNK = 2**20
STORE_BLOCK = 2**23
T = TypeVar("T")


@dataclass(frozen=True)
class Wanted:
    """A file to download: from where, to where, its size, and its hash in hexadecimal digits."""

    url: str
    path: Path
    size: int
    digest: str
    algorithm: str = "sha256"


def is_url(text: str) -> bool:
    """Whether `text` is an address rather than a path or a name."""
    return "://" in text


def check_url(url: str) -> str:
    """The address without a slash at its end.

    Raises
    ------
    ValueError
        It is of a kind that models are not read from, such as file://.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in KINDS or not rest.strip("/") or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} cannot be read; an address begins with {', '.join(f'{kind}://' for kind in KINDS)}")
    return url.rstrip("/")


def folder_url(url: str) -> str:
    """A checked address to which names of files can be added.

    Raises
    ------
    InputError
        It is of a kind that models are not read from, or ends in a query.
    """
    try:
        url = check_url(url)
    except ValueError as error:
        raise InputError(f"{error}.") from None
    parts = urllib.parse.urlsplit(url)
    if parts.query or parts.fragment:
        raise InputError(
            f"{url!r} ends in a query. Give the plain address of a folder; ask its keeper for one that needs no query."
        )
    return url


def read(url: str, limit: int, *, attempts: int = ATTEMPTS) -> bytes:
    """A small file as a whole.

    Raises
    ------
    SourceError
        It cannot be reached, or there is none.
    PackageError
        It has more than `limit` bytes, or the server points to where nothing may be read.
    """

    def whole() -> bytes:
        raw = bytearray()
        with _stream(url, 0) as (_, chunks):
            for chunk in chunks:
                raw += chunk
                if len(raw) > limit:
                    raise PackageError(f"{url} has more than {limit:,} bytes, too many for what it should be.")
        return bytes(raw)

    return _retry(url, whole, attempts=attempts)


def size(url: str) -> int:
    """Bytes of a file, as its server says.

    Raises
    ------
    SourceError
        It cannot be reached, or the server does not say.
    """
    found = _retry(url, lambda: _filesystem(url).info(url).get("size"))
    if found is None:
        raise SourceError(f"{url}: the server does not say how large the file is; its recipe must give `bytes`.")
    return int(found)


def download_all(wanted: Sequence[Wanted], description: str) -> None:
    """Download files, each going on where an earlier call broke off, with one progress bar over the bytes of all.

    Raises
    ------
    SourceError
        A file cannot be reached; what came of it is kept for the next call.
    PackageError
        A file is not the one that was promised; it is deleted.
    InputError
        There is not enough room.
    """
    missing = sum(file.size - (file.path.stat().st_size if file.path.is_file() else 0) for file in wanted)
    with progress(description, sum(file.size for file in wanted)) as advance:
        for file in wanted:
            file.path.parent.mkdir(parents=True, exist_ok=True)
            _check_room(file.path.parent, missing)
            _download(file, advance)
            missing -= file.size


def put(path: Path, url: str) -> None:
    """Copy a local file to a store that can be written.

    Raises
    ------
    SourceError
        The store cannot be reached or refuses.
    """
    _retry(url, lambda: _filesystem(url).put_file(str(path), url))


def _download(file: Wanted, advance: Callable[[int], None]) -> None:
    old = file.path.stat().st_size if file.path.is_file() else 0
    if old > file.size:
        file.path.unlink()
        old = 0
    _complete(file, advance)
    found = _digest(file)
    if found != file.digest and old:
        # What lay here may be of another time or damaged: the source gets a second chance with a clean start.
        file.path.unlink()
        _complete(file, lambda n: None)
        found = _digest(file)
    if found != file.digest:
        file.path.unlink()
        raise PackageError(
            f"{file.path.name} of {file.url} is not the file that was promised, and was deleted: expected {file.algorithm} "
            f"{file.digest}, found {found}. The source is damaged or was changed; tell its keeper."
        )


def _complete(file: Wanted, advance: Callable[[int], None]) -> None:
    """Bring `file.path` to its full size, over as many connections as it takes while they bring something new."""
    with open(file.path, "ab") as out:
        furthest = out.tell()
        advance(furthest)

        def go_on() -> None:
            nonlocal furthest
            with _stream(file.url, out.tell()) as (start, chunks):
                out.truncate(start)
                out.seek(start)
                while out.tell() < file.size and (chunk := next(chunks, b"")):
                    _write(out, chunk[: file.size - out.tell()], file.path)
                    new = out.tell() - furthest
                    if new > 0:
                        advance(new)
                        furthest += new
            if out.tell() < file.size:
                raise ConnectionError(f"the connection ended after {out.tell():,} of {file.size:,} bytes")

        if furthest < file.size:
            _retry(file.url, go_on, reached=lambda: furthest)
        out.flush()
        os.fsync(out.fileno())


def _write(out: BinaryIO, chunk: bytes, path: Path) -> None:
    try:
        out.write(chunk)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or set SCBASSET_ZOO_CACHE to another folder."
        ) from error


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"{needed:,} bytes are to be downloaded and {folder} has room for {free:,}. "
            "Free some space, or set SCBASSET_ZOO_CACHE to another folder."
        )


def _digest(file: Wanted) -> str:
    with open(file.path, "rb") as stream:
        return hashlib.file_digest(stream, file.algorithm).hexdigest()


def _retry(url: str, call: Callable[[], T], *, attempts: int = ATTEMPTS, reached: Callable[[], int] = lambda: 0) -> T:
    """What `call` returns; connections that break are made anew until `attempts` in a row have not raised `reached`."""
    failures, furthest = 0, reached()
    while True:
        try:
            return call()
        except ScbassetZooError:
            raise
        except Exception as error:  # the libraries behind fsspec share no base class of errors
            failures = 0 if reached() > furthest else failures + 1
            furthest = reached()
            reason, final = _reason(error)
            if final or failures >= attempts:
                raise SourceError(f"{url}: {reason}") from error
        time.sleep(FIRST_PAUSE * 2 ** max(failures - 1, 0))


def _reason(error: Exception) -> tuple[str, bool]:
    """What to tell the user, and whether another attempt is pointless."""
    status = getattr(error, "status", 0)
    if isinstance(error, FileNotFoundError):
        return "there is nothing at this address", True
    if isinstance(error, PermissionError) or status in (401, 403):
        return f"access is refused ({error}); check your credentials", True
    if status:
        return f"the server answered {status} {getattr(error, 'message', '')}".rstrip(), 400 <= status < 500 and status not in (
            408,
            429,
        )
    if isinstance(error, TimeoutError):
        return f"the server did not answer within {SILENCE_SECONDS:g} seconds", False
    of_network = isinstance(error, OSError) or type(error).__module__.startswith("aiohttp")
    return f"{str(error).strip() or type(error).__name__}", isinstance(error, ValueError) or not of_network


@contextlib.contextmanager
def _stream(url: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Yield (offset, chunks) from byte `start`, or from 0 where the server knows no ranges."""
    filesystem = _filesystem(url)
    if _scheme(url) in ("http", "https"):
        headers = {"Range": f"bytes={start}-"} if start else {}
        # With a size given, fsspec does not ask for it first; it is not used for streams.
        with filesystem.open(url, block_size=0, size=1, headers=headers) as stream:
            yield _offset(stream.r, start), iter(lambda: stream.read(CHUNK), b"")
    else:
        with filesystem.open(url, "rb", block_size=STORE_BLOCK, cache_type="none") as stream:
            stream.seek(start)
            yield start, iter(lambda: stream.read(STORE_BLOCK), b"")


def _offset(response: Any, asked: int) -> int:
    if response.status != 206:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if first != str(asked):
        raise ConnectionError(f"the server was asked for bytes from {asked:,} and sent {first or 'others'}")
    return asked


def _filesystem(url: str) -> Any:
    import fsspec

    scheme = _scheme(url)
    if scheme in ("http", "https"):
        return fsspec.filesystem("http", get_client=_http_client)
    try:
        return fsspec.filesystem(scheme, use_listings_cache=False)
    except ImportError as error:
        raise InputError(f"{scheme}:// needs one more package: pip install 'scbasset-zoo[remote]' ({error}).") from error


async def _http_client(**options: Any) -> Any:
    import aiohttp

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(_check_redirect)
    return aiohttp.ClientSession(
        trace_configs=[trace],
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=SILENCE_SECONDS),
        headers={"Accept-Encoding": "identity"},  # ranges and sizes are those of the file itself
        trust_env=True,
    )


async def _check_redirect(session: Any, context: Any, asked: Any) -> None:
    target = urllib.parse.urljoin(str(asked.url), asked.response.headers.get("Location", ""))
    scheme = _scheme(target)
    if scheme not in ("http", "https") or (asked.url.scheme == "https" and scheme == "http"):
        raise PackageError(
            f"{asked.url} points on to {target}, which is refused: a web address may lead to https:// only"
            + (", or from http:// to http://." if asked.url.scheme == "http" else ".")
        )


def _scheme(url: str) -> str:
    return urllib.parse.urlsplit(url).scheme.lower()
