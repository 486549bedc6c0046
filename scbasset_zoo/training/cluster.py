"""Which workers train together, by the variables TF_CONFIG or those of SLURM; without TensorFlow."""

from __future__ import annotations

import json
import os
import re
from typing import Any

from scbasset_zoo.errors import InputError
from scbasset_zoo.wording import option

# Ports of the workers of SLURM's jobs: below those that Linux gives to connections by itself.
_FIRST_PORT, _N_PORTS = 20_000, 10_000


def is_other_worker(strategy: str) -> bool:
    """Return whether this process is a worker that writes no files: any but the first one."""
    if strategy in ("none", "mirrored") or not names_workers():
        return False
    if has_tf_config():
        return _tf_config()["task"]["index"] != 0
    return _slurm_number("SLURM_PROCID") != 0


def names_workers() -> bool:
    """Return whether variables name several workers."""
    if has_tf_config():
        return len(_tf_config().get("cluster", {}).get("worker", [])) > 1
    return "SLURM_STEP_NODELIST" in os.environ and _slurm_number("SLURM_NTASKS", "1") > 1


def has_tf_config() -> bool:
    """Return whether TF_CONFIG is set, and not empty."""
    return bool(os.environ.get("TF_CONFIG", "").strip())


def slurm_tasks() -> tuple[list[str], int]:
    """Return the addresses of the tasks of this SLURM step, host:port, and the number of this task among them.

    Tasks fill one node after the other, as SLURM's distribution "block" does. Jobs that share a node have other ports.

    Raises
    ------
    InputError
        A variable of SLURM is missing or not valid.
    """
    # Hosts by TensorFlow's reader of SLURM's lists, such as n[08-10] and 2(x3).
    from tensorflow.python.distribute.cluster_resolver.slurm_cluster_resolver import expand_hostlist, expand_tasks_per_node

    n_tasks, number = _slurm_number("SLURM_NTASKS"), _slurm_number("SLURM_PROCID")
    port = _FIRST_PORT + _slurm_number("SLURM_JOB_ID", "0") % _N_PORTS
    nodes, counts = (os.environ.get(name, "") for name in ("SLURM_STEP_NODELIST", "SLURM_STEP_TASKS_PER_NODE"))
    try:
        tasks_of_node = list(zip(expand_hostlist(nodes), expand_tasks_per_node(counts), strict=True))
    except ValueError as error:
        raise InputError(
            f"The tasks of this SLURM step cannot be read from SLURM_STEP_NODELIST={nodes!r} and SLURM_STEP_TASKS_PER_NODE="
            f"{counts!r}: {error}. Start all tasks by one srun, or set TF_CONFIG."
        ) from error
    addresses = [f"{node}:{port + task}" for node, n in tasks_of_node for task in range(n)]
    if len(addresses) != n_tasks or not 0 <= number < n_tasks:
        raise InputError(
            f"SLURM's variables do not agree: SLURM_NTASKS={n_tasks}, SLURM_PROCID={number}, but SLURM_STEP_NODELIST={nodes!r} and "
            f"SLURM_STEP_TASKS_PER_NODE={counts!r} name {len(addresses)} tasks. Start all tasks by one srun, or set TF_CONFIG."
        )
    return addresses, number


def _slurm_number(name: str, default: str | None = None) -> int:
    text = os.environ.get(name, default)
    if text is None or not text.isdecimal():
        found = "it is not set" if text is None else f"found {text!r}"
        raise InputError(
            f"The variable {name} of SLURM must be a number; {found}. Start all tasks by one srun, or train on this machine alone "
            f"with {option('strategy', 'none')}."
        )
    return int(text)


def _tf_config() -> dict[str, Any]:
    try:
        try:
            config = json.loads(os.environ["TF_CONFIG"])
        except json.JSONDecodeError as error:
            raise ValueError(f"it is no JSON ({error})") from error
        cluster, task = (_object(_object(config, "the whole").get(key, {}), key) for key in ("cluster", "task"))
        if set(cluster) - {"worker"} or task.get("type", "worker") != "worker":
            raise ValueError("only workers can train, and worker 0 writes the files")
        if cluster:
            _check_workers(cluster["worker"], task)
    except ValueError as error:
        raise InputError(
            f"The variable TF_CONFIG is not valid: {error}. Expected "
            '{"cluster": {"worker": ["host1:port", "host2:port"]}, "task": {"type": "worker", "index": 0}}, with the index of this '
            f"worker; or train on this machine alone with {option('strategy', 'none')}."
        ) from error
    return dict(config)


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} must be an object in braces; found {json.dumps(value)}")
    return value


def _check_workers(workers: Any, task: dict[str, Any]) -> None:
    """Raise ValueError unless the workers are a list of addresses and the task is one of them."""
    wrong = [worker for worker in workers if not _is_address(worker)] if isinstance(workers, list) else [workers]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is not the address of a worker, host:port")
    if repeated := [worker for worker in workers if workers.count(worker) > 1]:
        raise ValueError(f"two workers have the address {repeated[0]}")
    if len(workers) > 1 and not {"type", "index"} <= set(task):
        raise ValueError("the task needs a type and an index")
    index = task.get("index", 0)
    if type(index) is not int:
        raise ValueError(f"the index of the task must be a whole number; found {json.dumps(index)}")
    if not 0 <= index < len(workers):
        raise ValueError(f"the index of the task, {index}, is not that of a worker: there are {len(workers)}, from 0")


def _is_address(worker: Any) -> bool:
    host, _, port = str(worker).rpartition(":")
    return bool(host) and re.fullmatch(r"\d{1,5}", port, re.ASCII) is not None and 1 <= int(port) < 1 << 16
