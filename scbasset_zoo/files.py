"""Files and folders that appear whole or not at all."""

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


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `path` that becomes `path` when the block ends well, and vanishes otherwise.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false, its parent cannot be written, or the disk is full.
    """
    path = Path(path).absolute()
    _require_absent(path, overwrite)
    _require_writable(path)
    with _friendly(path):
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
    """Yield a name beside `path`; what the block writes there becomes `path` when the block ends well.

    The yielded name keeps the suffix of `path`, and may be written as a file or (Zarr) as a folder.

    Raises
    ------
    InputError
        As for :func:`new_folder`.
    """
    path = Path(path).absolute()
    check_destination(path, overwrite=overwrite)
    partial = path.with_name(f".partial-{os.getpid()}-{path.name}")
    with _friendly(path):
        try:
            yield partial
            if partial.is_file():
                _sync(partial)
            _replace(partial, path)
        finally:
            remove(partial)


def holding(*names: str) -> Callable[[Path], bool]:
    """Whether a folder has one of these files, by which it is known for something that may be replaced."""
    return lambda folder: any((folder / name).is_file() for name in names)


_is_zarr = holding(".zgroup", "zarr.json")


def check_destination(
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    replaceable: Callable[[Path], bool] | None = None,
    inputs: Iterable[object] = (),
) -> None:
    """Fail now, not after an hour of work, when `path` cannot be written, or must not be replaced.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether to replace what is there.
    replaceable : callable, optional
        Of a result that is a folder: whether a folder is one such. By default the result is a file (or Zarr).
    inputs : iterable
        What will be read; those that are paths must not be replaced.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false, is or holds an input, or is something else than would be written.
    """
    path = Path(path).absolute()
    _require_absent(path, overwrite)
    if path.exists():
        for given in inputs:
            if isinstance(given, str | os.PathLike) and path.resolve() in (Path(given).resolve(), *Path(given).resolve().parents):
                raise InputError(f"{path} is or holds what is read, {given}: overwriting would delete it. Choose another name.")
        ours = (replaceable or _is_zarr)(path) or not any(path.iterdir()) if path.is_dir() else replaceable is None
        if not ours:
            raise InputError(
                f"{path} is something else than would be written, so --overwrite does not replace it. Choose another name."
            )
    _require_writable(path)


def sha256(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remove(path: Path) -> None:
    """Remove a file or folder if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _require_absent(path: Path, overwrite: bool) -> None:
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists. Choose another name, or pass --overwrite (overwrite=True) to replace it.")


def _require_writable(path: Path) -> None:
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}. Choose a folder that you may write to.") from error


def _replace(partial: Path, path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        # A folder cannot be renamed over a full one: move the old one aside first, and drop it once the new one stands.
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old-", dir=path.parent))
        path.rename(aside / path.name)
        try:
            partial.rename(path)
        except OSError:
            (aside / path.name).rename(path)
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
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
def _friendly(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise InputError(
                f"The disk is full: {path} could not be written and nothing of it was kept. "
                "Free some space, or choose another disk with --out."
            ) from error
        raise
