"""Embeds peaks with the trunk of model.onnx in plain ONNX Runtime on the CPU."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress

WINDOWS_AT_ONCE = 64


class PeakEmbedder:
    """The trunk of a model, opened in ONNX Runtime."""

    def __init__(self, model: ModelProto) -> None:
        trunk = extract_trunk(model).SerializeToString()
        self._session = import_onnxruntime().InferenceSession(trunk, providers=["CPUExecutionProvider"])

    def embed(self, n: int, read: Callable[[int, int], dna.Codes], what: str) -> NDArray[np.float32]:
        """Embed the windows 0 to `n` and show the progress.

        Parameters
        ----------
        n : int
            Number of windows, at least 1.
        read : callable
            ``read(first, last)`` returns the codes of these windows, int8 (last - first, length).
        what : str
            What the windows are, such as "test peaks".

        Returns
        -------
        float32 array of shape (n, embedding_size)

        Raises
        ------
        PackageError
            An embedding is not finite.
        """
        parts = []
        with progress(f"embedding {what}", n) as advance:
            for first in range(0, n, WINDOWS_AT_ONCE):
                codes = read(first, min(first + WINDOWS_AT_ONCE, n))
                parts.append(self._session.run(None, {"sequence": dna.one_hot(codes)})[0])
                advance(len(codes))
        embedded = np.concatenate(parts)
        if not np.isfinite(embedded).all():
            raise PackageError(f"The embeddings of some {what} are not finite, so the model cannot be used.")
        return embedded
