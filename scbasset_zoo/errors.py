"""Every error this package raises on purpose; the command line prints their text and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class ScbassetZooError(Exception):
    """Base of all errors that the user can act on."""


class InputError(ScbassetZooError, ValueError):
    """What was given cannot be used: the message names the file and row, what was expected and what to do."""


class PackageError(ScbassetZooError, ValueError):
    """A model package is incomplete, damaged or not what its card says."""


class DeviceError(ScbassetZooError, RuntimeError):
    """The requested device cannot be had, or no ONNX Runtime is installed."""


class TrainingError(ScbassetZooError, RuntimeError):
    """Training cannot start or go on."""


class PluginError(ScbassetZooError, RuntimeError):
    """A plugin breaks the contract of a hook, or two of them claim one name."""


class SourceError(ScbassetZooError, ConnectionError):
    """A source of models cannot be reached, or has nothing at an address."""


@contextlib.contextmanager
def readable(where: str) -> Iterator[None]:
    """Turn whatever a reader raises on a damaged file into an InputError that names the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except FileNotFoundError as error:
        raise InputError(f"There is no {error.filename or where}.") from error
    except Exception as error:
        hint = "" if isinstance(error, PermissionError) else " It seems to be cut short or damaged: fetch or write it again."
        raise InputError(f"{where} cannot be read: {' '.join(str(error).split())[:300] or type(error).__name__}.{hint}") from error
