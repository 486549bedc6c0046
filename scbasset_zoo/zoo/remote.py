"""Read and write files at URLs through fsspec, and try again when a connection fails."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from scbasset_zoo.errors import InputError, PackageError, ScbassetZooError, SourceError
from scbasset_zoo.wording import install_command
from scbasset_zoo.zoo import http_client
from scbasset_zoo.zoo.urls import scheme

ATTEMPTS = 5
FIRST_PAUSE = 0.3
CHUNK = 2**20
SMALL_FILE_SECONDS = 180.0  # a whole index or card, however slowly its server sends
STORE_BLOCK = 2**23
_UNREACHABLE = (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN)
T = TypeVar("T")


def read(url: str, limit: int, *, attempts: int | None = None) -> bytes:
    """Return the content of a small file.

    Parameters
    ----------
    url : str
    limit : int
        The largest number of bytes that is read.
    attempts : int, optional
        How often to try. The default is `ATTEMPTS`.

    Raises
    ------
    SourceError
        The file cannot be reached, or does not exist.
    PackageError
        The file has more than `limit` bytes, or the server redirects to an address that is refused.
    """

    def read_once() -> bytes:
        raw = bytearray()
        end = time.monotonic() + SMALL_FILE_SECONDS
        with stream(url, 0) as (_, chunks):
            for chunk in chunks:
                raw += chunk
                if time.monotonic() > end:
                    raise SourceError(f"{url} did not arrive within {SMALL_FILE_SECONDS:g} seconds. Try again later.")
                if len(raw) > limit:
                    raise PackageError(f"{url} has more than {limit:,} bytes, which is too many for a file of this kind.")
        return bytes(raw)

    return with_retries(url, read_once, attempts=attempts)


def size(url: str) -> int:
    """Return the number of bytes of a file, as its server reports it.

    Raises
    ------
    SourceError
        The file cannot be reached, or the server does not report a size.
    """
    n_bytes = with_retries(url, lambda: _filesystem(url).info(url).get("size"))
    if n_bytes is None:
        raise SourceError(f"{url}: the server does not report the file's size. Add `bytes` to the recipe.")
    return int(n_bytes)


def upload(path: Path, url: str) -> None:
    """Copy a local file to an object store.

    Raises
    ------
    SourceError
        The store cannot be reached, or refuses the file.
    """
    with_retries(url, lambda: _filesystem(url).put_file(str(path), url))


def with_retries(url: str, call: Callable[[], T], *, attempts: int | None = None) -> T:
    """Return what `call` returns. If a connection fails, try again after a pause that doubles each time.

    Raises
    ------
    SourceError
        All attempts failed, or another attempt cannot succeed.
    ScbassetZooError
        `call` raised it. It is not tried again.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    retrying = Retrying(
        retry=retry_if_exception(_is_temporary),
        stop=stop_after_attempt(ATTEMPTS if attempts is None else attempts),
        wait=wait_exponential(multiplier=FIRST_PAUSE),
        reraise=True,
    )
    try:
        return retrying(call)
    except ScbassetZooError:
        raise
    except Exception as error:  # the libraries behind fsspec share no base class of errors
        raise SourceError(f"{url}: {_reason(error)}") from error


@contextlib.contextmanager
def stream(url: str, start: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Yield (offset, chunks) of a file from byte `start`. The offset is 0 if the server does not support ranges."""
    filesystem = _filesystem(url)
    if scheme(url) in ("http", "https"):
        headers = {"Range": f"bytes={start}-"} if start else {}
        # fsspec asks for the size first unless it is given. It does not use the size of a stream.
        with filesystem.open(url, block_size=0, size=1, headers=headers) as file:
            yield _offset(file.r, start), iter(lambda: file.read(CHUNK), b"")
    else:
        with filesystem.open(url, "rb", block_size=STORE_BLOCK, cache_type="none") as file:
            file.seek(start)
            yield start, iter(lambda: file.read(STORE_BLOCK), b"")


def _is_temporary(error: BaseException) -> bool:
    """Return whether another attempt could succeed."""
    if _failed_connection(error) is not None:
        return True
    if isinstance(error, ScbassetZooError | FileNotFoundError | PermissionError | ValueError):
        return False
    status = getattr(error, "status", 0)
    if status:
        return not 400 <= status < 500 or status in (408, 429)
    return isinstance(error, OSError) or type(error).__module__.startswith("aiohttp")


def _failed_connection(error: BaseException | None) -> OSError | None:
    """Return why no connection was made, or None. fsspec reports a failed connection as a missing file."""
    import aiohttp

    while error is not None:
        if isinstance(error, aiohttp.ClientConnectorError):
            return error.os_error
        error = error.__cause__ or error.__context__
    return None


def _reason(error: Exception) -> str:
    failed = _failed_connection(error)
    if isinstance(failed, socket.gaierror) or getattr(failed, "errno", None) in _UNREACHABLE:
        return "this machine is offline, or the address is wrong: the host cannot be found"
    if isinstance(failed, ConnectionRefusedError):
        return "the host refuses the connection: the server is down, or the address is wrong"
    status = getattr(error, "status", 0)
    if isinstance(error, FileNotFoundError):
        return "there is nothing at this address"
    if isinstance(error, PermissionError) or status in (401, 403):
        return f"access is refused ({error}); check your credentials"
    if status:
        return f"the server answered {status} {getattr(error, 'message', '')}".rstrip()
    if isinstance(error, TimeoutError):
        return f"the server did not answer within {http_client.SILENCE_SECONDS:g} seconds"
    return str(error).strip() or type(error).__name__


def _offset(response: Any, start: int) -> int:
    if response.status != 206:
        return 0
    first = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    if first != str(start):
        raise ConnectionError(f"bytes from {start:,} were requested, and the server sent {first or 'other bytes'}")
    return start


def _filesystem(url: str) -> Any:
    import fsspec

    kind = scheme(url)
    if kind in ("http", "https"):
        return fsspec.filesystem("http", get_client=http_client.http_client)
    try:
        return fsspec.filesystem(kind, use_listings_cache=False)
    except ImportError as error:
        raise InputError(f"{kind}:// needs one more package: run {install_command('remote')} ({error}).") from error
