"""Writes the history of a run as TensorBoard logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from scbasset_zoo.training.run_folder import HISTORY


def tensorboard_writer(folder: Path) -> Callable[[dict[str, Any]], None]:
    """Return a function that writes one row of the history to logs in `folder`."""
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder))

    def write(row: dict[str, Any]) -> None:
        with writer.as_default(step=row["epoch"]):
            for name in HISTORY[1:]:
                tf.summary.scalar(name, row[name])
            writer.flush()

    return write
