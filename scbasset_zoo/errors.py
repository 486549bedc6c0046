"""Every error this package raises on purpose; the command line prints their text and nothing else."""

from __future__ import annotations


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
