"""Write files and folders so that they appear complete or not at all, and check destinations before the work."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `path`. It is renamed to `path` if the block succeeds, and removed if it fails.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false, its parent folder cannot be written, or the disk is full.
    """
    path = Path(path).absolute()
    _require_absent(path, overwrite)
    _require_writable(path)
    with _full_disk_as_input_error(path):
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}.partial-", dir=path.parent))
        try:
            partial.chmod(0o777 & ~_umask())
            yield partial
            for file in partial.rglob("*"):
                if file.is_file():
                    _sync(file)
            _replace(partial, path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def new_file(path: str | os.PathLike[str], *, overwrite: bool = True) -> Iterator[Path]:
    """Yield a path beside `path`. The file that the block writes there is renamed to `path` if the block succeeds.

    The yielded path has the suffix of `path`. The block may write a file, or a folder (Zarr).

    Raises
    ------
    InputError
        See :func:`new_folder`.
    """
    path = Path(path).absolute()
    check_destination(path, overwrite=overwrite)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with _full_disk_as_input_error(path):
        try:
            yield partial
            if partial.is_file():
                _sync(partial)
            _replace(partial, path)
        finally:
            remove(partial)


def holding(*names: str) -> Callable[[Path], bool]:
    """Return a function that says whether a folder has one of these files, which mark it as a result of ours."""
    return lambda folder: any((folder / name).is_file() for name in names)


_is_zarr = holding(".zgroup", "zarr.json")


def check_destination(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    replaceable: Callable[[Path], bool] | None = None,
    inputs: Iterable[object] = (),
) -> None:
    """Raise an error before the work if `path` cannot be written or must not be replaced.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether to replace an existing result.
    replaceable : callable, optional
        If the result is a folder: a function that says whether a folder is such a result. By default the result is a file
        (or Zarr).
    inputs : iterable
        The inputs of the work. Those that are paths must not be replaced.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false, `path` is or contains an input, or `path` is not a result of the same kind.
    """
    path = Path(path).absolute()
    _require_absent(path, overwrite)
    if path.exists():
        for source in inputs:
            if isinstance(source, str | os.PathLike) and Path(source).resolve().is_relative_to(path.resolve()):
                raise InputError(f"{path} is or contains the input {source}. Overwriting would delete it. Choose another name.")
        if not _is_same_kind(path, replaceable):
            raise InputError(
                f"{path} is not a result of this kind, so {option('overwrite', True)} does not replace it. Choose another name."
            )
    _require_writable(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _require_absent(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists. Choose another name, or replace it with {option('overwrite', True)}.")


def _is_same_kind(path: Path, replaceable: Callable[[Path], bool] | None) -> bool:
    """Return whether an existing path is such a result as will be written; an empty folder is."""
    if not path.is_dir():
        return replaceable is None
    return (replaceable or _is_zarr)(path) or not any(path.iterdir())


def _require_writable(path: Path) -> None:
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}. Choose a folder that you can write to.") from error


def _replace(partial: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # A folder cannot be renamed to an existing one: move the old one away first, and remove it when the new one is in place.
        old = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
        path.rename(old / path.name)
        try:
            partial.rename(path)
        except OSError:
            (old / path.name).rename(path)
            raise
        finally:
            shutil.rmtree(old, ignore_errors=True)
    else:
        os.replace(partial, path)


def _sync(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _full_disk_as_input_error(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"The disk is full: {path} could not be written, and the incomplete result was removed. "
                "Free some space, or write to another disk."
            ) from error
        raise
