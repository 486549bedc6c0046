"""The errors that this package raises on purpose. The command line prints their text and no traceback."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from scbasset_zoo.printable import printable


class ScbassetZooError(Exception):
    """Base of all errors that the user can act on. The text is safe to print, also by Python: see :mod:`scbasset_zoo.printable`."""

    def __str__(self) -> str:
        return printable(super().__str__())


class InputError(ScbassetZooError, ValueError):
    """An input cannot be used. The message says which, what was expected, what was found and what to do."""


class PackageError(ScbassetZooError, ValueError):
    """A model package is incomplete, damaged or different from its card."""


class DeviceError(ScbassetZooError, RuntimeError):
    """The requested device is not available, or ONNX Runtime is not installed."""


class TrainingError(ScbassetZooError, RuntimeError):
    """Training cannot start or continue."""


class PluginError(ScbassetZooError, RuntimeError):
    """A plugin breaks the contract of a hook, or two plugins register the same name."""


class SourceError(ScbassetZooError, ConnectionError):
    """A source of models cannot be reached, or does not have the requested file."""


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn every error of the block into an InputError that names the file, since readers raise many kinds on damaged files.

    Parameters
    ----------
    where : str
        The file, for the message.
    """
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"There is no {error.filename or where}.") from error
    except Exception as error:
        hint = _hint(error)
        raise InputError(f"{where} cannot be read: {' '.join(str(error).split())[:300] or type(error).__name__}.{hint}") from error


def _hint(error: Exception) -> str:
    """Return what the user can do about an error of a reader."""
    text = str(error).lower()
    if isinstance(error, PermissionError):
        return ""
    if getattr(error, "errno", None) in (errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO):
        return " Check the path."
    if "unable to lock file" in text or isinstance(error, BlockingIOError):
        return " Another program has it open for writing, or its file system has no locks. Close it there, or read a copy."
    if "can't open directory" in text or "required filter" in text or "filter returned failure" in text:
        return " It may be compressed with an HDF5 filter that is not installed: pip install hdf5plugin, then run this again."
    return " It seems to be cut short or damaged: fetch or write it again."
