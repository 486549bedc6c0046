"""Harmony, an integration method."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from scbasset_zoo import IntegrationMethod

Array = NDArray[Any]


class Harmony(IntegrationMethod):
    """Harmony (Korsunsky et al. 2019) as computed by harmonypy with its defaults."""

    name = "Harmony"

    def integrate(self, embedding: Array, batches: Array, *, seed: int) -> Array:
        from harmonypy import run_harmony

        n_clusters = int(np.clip(round(len(embedding) / 30), 2, 100))
        table = pd.DataFrame({"batch": batches})
        return run_harmony(embedding.T, table, ["batch"], nclust=n_clusters, verbose=False, random_state=seed).Z_corr
