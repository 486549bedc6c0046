"""Kipoi's model class for models of the zoo."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from kipoi.model import BaseModel, LayerActivationMixin
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.contract import OUTPUT_NAMES
from scbasset_zoo.inputs.windows import sequence_windows
from scbasset_zoo.kipoi.writers import install_writers
from scbasset_zoo.runtime.options import PredictOptions
from scbasset_zoo.runtime.predictions import Prediction
from scbasset_zoo.zoo.models import open_model

Array = NDArray[np.float32]
# Kipoi makes its writers after the model, so after this module is imported.
install_writers()


class ScBasset(BaseModel, LayerActivationMixin):
    """A model of the zoo for Kipoi.

    Parameters
    ----------
    model : str
        A name, folder or URL; see :func:`scbasset_zoo.open_model`.

    Attributes
    ----------
    model : Model
        The open model. `model.cells` lists the cells in the order of the predictions' columns.
    """

    def __init__(self, model: str) -> None:
        self.model = open_model(model)
        # Kipoi makes the model while the working directory is the folder of its model.yaml.
        self._folder = Path.cwd()
        self._groupings: dict[str, Prediction] = {}

    @property
    def test(self) -> Any:
        """The section `test` of model.yaml. Kipoi sets it."""
        return self._test

    @test.setter
    def test(self, section: Any) -> None:
        # Kipoi looks for a relative path in the user's working directory, but the path is relative to model.yaml.
        if isinstance(section.expect, str):
            section.expect = os.path.join(self._folder, section.expect)
        self._test = section

    def predict_on_batch(self, x: Array) -> Array:
        """Return the accessibility of sequences in every cell.

        Parameters
        ----------
        x : float32 array of shape (n, length, 4)
            One-hot in the order A, C, G, T. N is 0.25 in each channel.

        Returns
        -------
        float32 array of shape (n, n_cells)
            Probabilities.
        """
        return self.model.accessibility(x)

    def predict_activation_on_batch(self, x: Array, layer: str, pre_nonlinearity: bool = False) -> Array | dict[str, Array]:
        """Return another output of the model, or the mean accessibility of groups of cells.

        Parameters
        ----------
        x : float32 array of shape (n, length, 4)
        layer : str
            "accessibility", "logits", "peak_embedding", or a column of the cells such as "cell_type".
        pre_nonlinearity : bool
            With "accessibility": return the logits, the values before the sigmoid.

        Returns
        -------
        float32 array of shape (n, n_cells) or (n, embedding_size), or dict of float32 arrays of shape (n,)
            A column of the cells gives the dict: for each group, the mean probability over its cells, as from
            `model.predict(..., group_by=layer)`.

        Raises
        ------
        InputError
            No output or column has this name. The message lists the names.
        """
        columns = [column for column in self.model.cells.columns if column not in OUTPUT_NAMES]
        if layer not in (*OUTPUT_NAMES, *columns):
            raise InputError(
                f"{self.model.card.id} has no layer {layer!r}. Its layers are {', '.join(OUTPUT_NAMES)}, and each column of its "
                f"cells, for the mean accessibility of groups: {', '.join(columns) or 'this model has no such column'}."
            )
        if pre_nonlinearity and layer != "accessibility":
            raise InputError(f"pre_nonlinearity works with the layer 'accessibility' only; found layer {layer!r}.")
        if layer == "peak_embedding":
            return self.model.embed(x)
        if layer == "logits" or pre_nonlinearity:
            return self.model.logits(x)
        return self.model.accessibility(x) if layer == "accessibility" else self._group_means(x, layer)

    def _group_means(self, x: Array, column: str) -> dict[str, Array]:
        windows = sequence_windows(x, self.model.sequence_length)
        # All batches share one grouping, because sorting a million cells takes longer than predicting a batch.
        grouping = self._groupings.setdefault(column, Prediction(self.model, windows, None, PredictOptions(group_by=column)))
        grouping.windows = windows
        means = np.concatenate([block.values for block in grouping.blocks()], axis=1)
        return dict(zip(grouping.obs.index, means, strict=True))
