"""Which workers train together, by the variables TF_CONFIG or those of SLURM; without TensorFlow."""

from __future__ import annotations

import json
import os
from typing import Any

from scbasset_zoo.errors import InputError


def is_other_worker(strategy: str) -> bool:
    """Return whether this process is a worker that writes no files: any but the first one."""
    if strategy in ("none", "mirrored") or not names_workers():
        return False
    if "TF_CONFIG" in os.environ:
        task = _tf_config().get("task", {})
        return (task.get("type"), int(task.get("index", 0))) != ("worker", 0)
    return os.environ.get("SLURM_PROCID", "0") != "0"


def names_workers() -> bool:
    """Return whether variables name several workers."""
    if "TF_CONFIG" in os.environ:
        return len(_tf_config().get("cluster", {}).get("worker", [])) > 1
    return int(os.environ.get("SLURM_NTASKS", "1")) > 1 and "SLURM_STEP_NODELIST" in os.environ


def _tf_config() -> dict[str, Any]:
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        cluster, task = config.get("cluster", {}), config.get("task", {})
        if set(cluster) - {"worker"} or task.get("type", "worker") != "worker":
            raise ValueError("only workers can train, and worker 0 writes the files")
        if cluster and not 0 <= int(task.get("index", 0)) < len(cluster["worker"]):
            raise ValueError("the index of the task is not that of a worker")
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(
            f"The variable TF_CONFIG is not valid: {error}. Expected "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}, with the index of this '
            "worker."
        ) from error
    return config
