"""What run.json records of a new run: options, data, software and hardware."""

from __future__ import annotations

import os
import platform
import uuid
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

# Variables that change how TensorFlow computes; others whose names start with TF_ may hold secrets of other programs.
_TENSORFLOW_VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_TF32_OVERRIDE", "OMP_NUM_THREADS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA",
    "TF_DETERMINISTIC_OPS", "TF_ENABLE_AUTO_MIXED_PRECISION", "TF_ENABLE_ONEDNN_OPTS", "TF_FORCE_GPU_ALLOW_GROWTH",
    "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_SET_ONEDNN_FPMATH_MODE", "TF_XLA_FLAGS", "XLA_FLAGS",
)  # fmt: skip

if TYPE_CHECKING:
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.replicas import Replicas


def new_record(prepared: PreparedPeaks, options: TrainingOptions, fit: Fit, batches: Batches | None) -> dict[str, Any]:
    """Return the record of a run that starts now."""
    return {
        "schema_version": 1,
        "id": uuid.uuid4().hex,
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
        "batch_parts": fit.n_parts,
        "device": {"name": fit.device, "reason": fit.device_reason, **described(fit.replicas)},
        "environment": _environment(),
        "n_auroc_cells": fit.n_auroc_cells,
        "architecture": asdict(fit.network.architecture),
        "batches": batches.names if batches else None,
        "n_trainable": fit.n_trainable,
        "initialised_from": fit.initialised_from,
        "versions": _versions(),
        "hardware": _hardware(fit.device, fit.replicas),
    }


def record_devices(record: dict[str, Any], fit: Fit, epoch: int) -> None:
    """Record the devices on which a run goes on after an epoch; its hardware names those before, too, if they differ."""
    record["device"] = {"name": fit.device, "reason": fit.device_reason, **described(fit.replicas)}
    now = _hardware(fit.device, fit.replicas)
    if record["hardware"] != now and not record["hardware"].endswith(f": {now}"):
        record["hardware"] += f"; after epoch {epoch}: {now}"


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


def _environment() -> dict[str, str]:
    return {name: os.environ[name] for name in _TENSORFLOW_VARIABLES if name in os.environ}


def described(replicas: Replicas) -> dict[str, Any]:
    """Return what run.json records of the devices that share each batch."""
    devices = [device.rsplit("/", 1)[-1] for device in replicas.devices if device]
    return {"strategy": replicas.name, "n_workers": replicas.n_workers, "n_replicas": replicas.n, "devices_of_worker": devices}


def _hardware(device: str, replicas: Replicas) -> str:
    from scbasset_zoo.training.training_device import gpu_name

    one = gpu_name() if device == "cuda" else f"{usable_cores()} CPU cores ({_processor()})"
    if device == "cuda" and replicas.n > 1:
        one = f"{len(replicas.devices)} x {one}"
    return f"{replicas.n_workers} workers, each with {one}" if replicas.n_workers > 1 else one


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
