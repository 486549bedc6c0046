"""Write files and folders so that they appear complete or not at all, and check destinations before the work."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

# What tells that a path was written to: device, inode, size and time of change; None if there is nothing.
_Stamp = tuple[int, ...] | None
# Says which files a folder has if it is a result of some kind, as paths relative to it; None if it is no such result.
FilesOf = Callable[[Path], Collection[str] | None]
# Entries that systems and killed processes leave.
_IGNORED = (".partial-", ".DS_Store")
# Files that tell a folder of data, which is read as a whole, from a folder of the user's.
_MARKS = (
    "card.yaml", "manifest.json", "run.json", "simulation.json", ".zgroup", "zarr.json", "matrix.mtx", "matrix.mtx.gz"
)  # fmt: skip
_LONGEST_SUFFIX = 16
_held: ContextVar[Mapping[Path, _Stamp]] = ContextVar("held", default=MappingProxyType({}))  # paths, and what was there at first


@contextlib.contextmanager
def destination(
    path: str | os.PathLike[str], *, overwrite: bool = False, replaceable: FilesOf | None = None, inputs: Iterable[object] = ()
) -> Iterator[None]:
    """Check a destination before the work, and hold it during the block: no other process writes there meanwhile.

    Parameters and errors are those of :func:`check_destination` and :func:`hold`.
    """
    check_destination(path, overwrite=overwrite, replaceable=replaceable, inputs=inputs)
    with hold(path):
        # Another process may have finished between the check and the hold.
        check_destination(path, overwrite=overwrite, replaceable=replaceable, inputs=inputs)
        yield


@contextlib.contextmanager
def hold(path: str | os.PathLike[str]) -> Iterator[None]:
    """Hold a file or folder during the block, so that no other process writes it. A block within may hold it again.

    Raises
    ------
    InputError
        Another process or thread holds it.
    """
    path = _target(path)
    if path in _held.get():
        yield
        return
    from filelock import FileLock, Timeout

    file = path.with_name(f".{_digest(path)}.lock")
    lock: contextlib.AbstractContextManager[object] = FileLock(file, timeout=0)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except Timeout:
            raise InputError(f"Another process is writing {path}. Wait until it is done, or choose another name.") from None
        except (NotImplementedError, OSError):  # the file system has no locks, or the folder cannot be written
            pass
        else:
            stack.callback(file.unlink, missing_ok=True)
            remove_leftovers(path)
        token = _held.set({**_held.get(), path: _stamp(path)})
        stack.callback(_held.reset, token)
        yield


@contextlib.contextmanager
def new_folder(path: str | os.PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Yield an empty folder beside `path`. It is renamed to `path` if the block succeeds, and removed if it fails.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false, its parent folder cannot be written, another process holds it or has written it
        during the block, or the disk is full.
    """
    path = _target(path)
    _require_absent(path, overwrite)
    _require_writable(path)
    with _clean_errors(path), hold(path):
        partial = Path(tempfile.mkdtemp(prefix=f".partial-{_digest(path)}-", dir=path.parent))
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
    path = _target(path)
    check_destination(path, overwrite=overwrite)
    with hold(path), rewritten(path) as partial:
        yield partial


@contextlib.contextmanager
def rewritten(path: str | os.PathLike[str], *, through_links: bool = True) -> Iterator[Path]:
    """Yield a path as :func:`new_file` does, for a file in a folder that this process holds.

    If `through_links` is false, a symbolic link at `path` is replaced, and not the file that it points to.

    Raises
    ------
    InputError
        The disk is full, or another process has written a path that is held.
    """
    path = _target(path) if through_links else Path(os.path.abspath(path))
    partial = path.with_name(f".partial-{_digest(path)}-{secrets.token_hex(8)}{path.suffix[:_LONGEST_SUFFIX]}")
    with _clean_errors(path):
        try:
            yield partial
            if partial.is_file():
                _sync(partial)
            _replace(partial, path)
        finally:
            remove(partial)


def check_destination(
    path: str | os.PathLike[str], *, overwrite: bool = False, replaceable: FilesOf | None = None, inputs: Iterable[object] = ()
) -> None:
    """Raise an error before the work if `path` cannot be written or must not be replaced.

    Parameters
    ----------
    path : path
    overwrite : bool
        Whether to replace an existing result.
    replaceable : callable, optional
        If the result is a folder: a function that says which files a folder has if it is such a result. By default the result
        is a file (or Zarr).
    inputs : iterable
        The inputs of the work. Those that are paths, or lists of paths, are neither replaced nor written into.

    Raises
    ------
    InputError
        `path` exists and `overwrite` is false; it is or contains an input, or lies in one; it is not a result of the same kind; or
        it has files that are not of this result.
    """
    path = _target(path)
    _require_absent(path, overwrite)
    for source in _paths(inputs):
        _refuse_input(path, source)
    if path.exists():
        _require_same_kind(path, replaceable)
    _require_writable(path)


def require_separate(outputs: Mapping[str, Path | None]) -> None:
    """Raise InputError if one output of a command is another one, or lies in it; `outputs` has their paths by option."""
    absolute = {name: path.resolve() for name, path in outputs.items() if path is not None}
    for name, path in absolute.items():
        for other, other_path in absolute.items():
            if name != other and other_path in (path, *path.parents):
                raise InputError(
                    f"{option(name, str(path))} lies in {option(other, str(other_path))}, which would replace it. "
                    "Choose separate places."
                )


def is_plain_zarr(folder: Path) -> Collection[str] | None:
    """Return the entries of a Zarr store, or None if the folder is none or has entries that are not of Zarr."""
    own = {".zgroup", ".zattrs", ".zmetadata", "zarr.json"}
    entries = {entry.name for entry in folder.iterdir() if not entry.name.startswith(_IGNORED)}
    if not entries & {".zgroup", "zarr.json"}:
        return None
    nodes = {name for name in entries if any((folder / name / mark).is_file() for mark in (".zgroup", ".zarray", "zarr.json"))}
    return own | nodes


def checked_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user gave, whether or not something is there.

    Raises
    ------
    InputError
        No file can have this path: it is too long, or has characters that no path has.
    """
    path = Path(path)
    try:
        os.lstat(path)
    except ValueError:  # a null character, or half a character
        raise InputError(f"{str(path)[:200]!r} cannot be the path of a file: it has characters that no path has.") from None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise InputError(f"{str(path)[:200]!r}… is too long for a path. Choose a shorter one.") from None
    return path


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_plain(path: str, flags: int) -> int:
    """Open a file of a folder that others may write to, as an `opener` of :func:`open`: not a link, pipe or device.

    Raises
    ------
    InputError
        It is a link, a folder, a pipe or a device, or another name leads to it, too.
    """
    extra = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | extra, 0o666)
        about = os.fstat(descriptor)
        if stat.S_ISREG(about.st_mode) and about.st_nlink == 1:
            return descriptor
        os.close(descriptor)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise
    raise InputError(f"{path} is a link, a folder, a pipe or a device, and is neither read nor written. Remove it.")


def remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(path: Path) -> None:
    """Remove what killed processes left beside a path that this process holds."""
    for leftover in path.parent.glob(f".partial-{_digest(path)}-*"):
        with contextlib.suppress(OSError):
            remove(leftover)


def _target(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path that is written: where a link points to, if it points to something."""
    path = checked_path(os.path.abspath(checked_path(path)))
    if not path.is_symlink():
        return path
    if not path.exists():
        raise InputError(
            f"{path} is a symbolic link to {os.readlink(path)}, which does not exist. Remove it, or choose another name."
        )
    return path.resolve()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.name.encode(errors="surrogateescape")).hexdigest()[:16]


def _paths(inputs: Iterable[object]) -> Iterator[Path]:
    for source in inputs:
        if isinstance(source, str | os.PathLike):
            yield Path(source)
        elif isinstance(source, list | tuple):
            yield from _paths(source)
        elif hasattr(source, "package"):
            yield from _paths([getattr(source.package, "folder", None)])


def _refuse_input(path: Path, source: Path) -> None:
    try:
        exists, is_folder, resolved = source.exists(), source.is_dir(), source.resolve()
    except (OSError, ValueError):  # a text that is no path
        return
    if not exists:
        return
    if path.exists() and (resolved.is_relative_to(path.resolve()) or os.path.samefile(source, path)):
        raise InputError(f"{path} is or contains the input {source}. Overwriting would delete it. Choose another name.")
    if is_folder and path.resolve().is_relative_to(resolved) and any((source / mark).exists() for mark in _MARKS):
        raise InputError(f"{path} lies in the input {source}. Nothing is written into an input. Choose another place.")


def _require_absent(path: Path, overwrite: bool) -> None:
    _recover(path)
    if path.exists() and not overwrite:
        raise InputError(f"{path} already exists. Choose another name, or replace it with {option('overwrite', True)}.")


def _require_same_kind(path: Path, replaceable: FilesOf | None) -> None:
    """Raise InputError unless an existing path is such a result as will be written, and nothing else; an empty folder is."""
    if path.is_dir():
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(_IGNORED)]
        names = (replaceable or is_plain_zarr)(path) if entries else ()
    else:
        entries, names = [], () if replaceable is None and stat.S_ISREG(path.stat().st_mode) else None
    if names is None:
        raise InputError(
            f"{path} is not a result of this kind, so {option('overwrite', True)} does not replace it. Choose another name."
        )
    top = {name.split("/")[0] for name in names}
    others = sorted(entry.name for entry in entries if entry.name not in top)
    if others:
        raise InputError(
            f"{path} has {others[0]}, which is not of this result, so {option('overwrite', True)} does not replace the folder. "
            "Move it away, or choose another name."
        )


def _require_writable(path: Path) -> None:
    parent = path.parent
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise InputError(f"Cannot write {path}: {error.strerror or error}. Choose a folder that you can write to.") from error


def _stamp(path: Path) -> _Stamp:
    try:
        status = path.stat()
    except OSError:
        return None
    # The size of a folder depends on its file system.
    return status.st_dev, status.st_ino, status.st_mtime_ns, 0 if stat.S_ISDIR(status.st_mode) else status.st_size


def _replace(partial: Path, path: Path) -> None:
    """Rename a new file or folder to its path. It replaces what was there when the path was first held, and nothing else."""
    held = _held.get()
    if path in held and _stamp(path) != held[path]:
        # Names have at most 255 bytes.
        kept = path.with_name(f"{path.stem[:40]}.{secrets.token_hex(4)}{path.suffix[:_LONGEST_SUFFIX]}")
        os.rename(partial, kept)
        raise InputError(f"{path} was written by another program during this work, so it is not replaced. This result is {kept}.")
    if not (path.is_dir() or partial.is_dir()) or not path.exists():
        os.replace(partial, path)
    elif not _exchange(partial, path):
        # First the old one is moved away. If this process is killed between the two steps, the next one moves it back.
        old = path.with_name(f".old-{_digest(path)}")
        remove(old)
        path.rename(old)
        try:
            partial.rename(path)
        except OSError:
            old.rename(path)
            raise
        remove(old)
    if path in held:
        _held.set({**held, path: _stamp(path)})


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step, so that each exists at all times; return whether the system can."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        # At the current folder (-100), with RENAME_EXCHANGE (2).
        return bool(libc.renameat2(-100, os.fsencode(first), -100, os.fsencode(second), 2) == 0)
    except (OSError, AttributeError, TypeError):  # not Linux, or an old C library
        return False


def _recover(path: Path) -> None:
    """Move back what a killed process had moved away."""
    old = path.with_name(f".old-{_digest(path)}")
    if not path.exists() and old.exists():
        with contextlib.suppress(OSError):
            old.rename(path)


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
def _clean_errors(path: Path) -> Iterator[None]:
    """Turn errors of a full disk into an InputError."""
    try:
        yield
    except Exception as error:
        number = _disk_error(error)
        if number is None:
            raise
        what, advice = "The disk is full", "Free some space, or write to another disk."
        if number == errno.EFBIG:
            what, advice = "The largest size of a file is reached", "Raise it (`ulimit -f`), or write to another file system."
        raise InputError(f"{what}: {path} could not be written, and the incomplete result was removed. {advice}") from error


def _disk_error(error: BaseException | None) -> int | None:
    """Return the number of an error that says that a file cannot grow, also if a library raised its own error because of it."""
    while error is not None:
        for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text = f"errno = {number},"  # HDF5 writes it so
            if (isinstance(error, OSError) and error.errno == number) or text in str(error):
                return number
        error = error.__cause__ or error.__context__
    return None
