"""Packages of one experiment with other weights: another order of the cells, and another latent space."""

from __future__ import annotations

import numpy as np
from onnx import helper, numpy_helper

from helpers import toy
from scbasset_zoo.package.writing import write_package


def several_packages(folder, n_cells=7):
    """Write three packages of the same cells, and return their folders: as usual; cells reversed; another latent space."""
    cells = toy.toy_cells(n_cells)
    usual = toy.toy_package(folder / "usual", n_cells, id="toy/usual")
    reversed_cells = toy.toy_package(folder / "reversed", n_cells, seed=1, cells=cells.iloc[::-1], id="toy/reversed")
    model = in_another_space(toy.toy_model(n_cells, seed=2))
    card = toy.toy_card(id="toy/other-space")
    other = write_package(folder / "other", card=card, model=model, cells=cells, peaks=toy.toy_peaks())
    return [usual.folder, reversed_cells.folder, other.folder]


def in_another_space(model, seed=0):
    """Multiply the peak embedding of a toy model by a matrix, and the cell embedding by its inverse."""
    matrix = np.random.default_rng(seed).normal(size=(32, 32)) / 6 + np.eye(32)
    (tensor,) = [tensor for tensor in model.graph.initializer if tensor.name == "cell_embedding"]
    embedding = np.linalg.inv(matrix) @ numpy_helper.to_array(tensor).astype(np.float64)
    tensor.CopyFrom(numpy_helper.from_array(embedding.astype(np.float32), "cell_embedding"))
    model.graph.initializer.append(numpy_helper.from_array(matrix.astype(np.float32), "matrix"))
    nodes = list(model.graph.node)
    head = next(number for number, node in enumerate(nodes) if "cell_embedding" in node.input)
    for node in nodes[:head]:
        for names in (node.input, node.output):
            names[:] = ["before" if name == "peak_embedding" else name for name in names]
    nodes.insert(head, helper.make_node("MatMul", ["before", "matrix"], ["peak_embedding"]))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
