"""What run.json records of a new run: options, data, software and hardware."""

from __future__ import annotations

import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from scbasset_zoo.files import sha256
from scbasset_zoo.runtime.devices import usable_cores
from scbasset_zoo.training.batches import Batches
from scbasset_zoo.training.dataset import PreparedPeaks
from scbasset_zoo.training.train_options import TrainingOptions
from scbasset_zoo.version import __version__

if TYPE_CHECKING:
    from scbasset_zoo.training.fit import Fit


def new_record(prepared: PreparedPeaks, options: TrainingOptions, fit: Fit, batches: Batches | None) -> dict[str, Any]:
    """Return the record of a run that starts now."""
    return {
        "schema_version": 1,
        "status": "running",
        "stopped_because": "",
        "started": pd.Timestamp.now("UTC").isoformat(timespec="seconds"),
        "data": {
            "folder": str(prepared.folder.resolve()),
            "manifest_sha256": manifest_digest(prepared),
            "manifest": prepared.manifest,
        },
        "options": options.model_dump(),
        "precision": fit.precision,
        "architecture": asdict(fit.network.architecture),
        "batches": batches.names if batches else None,
        "n_trainable": fit.n_trainable,
        "versions": _versions(),
        "hardware": _hardware(),
    }


def manifest_digest(prepared: PreparedPeaks) -> str:
    """Return the SHA-256 of manifest.json, which holds the digests of all other files."""
    return sha256(prepared.folder / "manifest.json")


def _versions() -> dict[str, str]:
    import keras
    import tensorflow as tf

    return {
        "scbasset_zoo": __version__,
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _hardware() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return f"{len(gpus)} GPU" if gpus else f"{usable_cores()} CPU cores ({_processor()})"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
