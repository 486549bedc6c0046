"""Small random models with the structure of scBasset, packages of such models, and a genome that fits them."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from scbasset_zoo.graph.gauge import gauge_of, with_gauge
from scbasset_zoo.graph.head import BatchPath
from scbasset_zoo.graph.model_building import with_head
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import write_package

LENGTH = 1344
CHROMOSOME_SIZES = {"chr1": 20_000, "chr2": 9_000}
KERNELS = (17, 5, 5, 5, 5, 5, 5, 1)
N_GAUGE_SEQUENCES = 64
POOLS = (3, 2, 2, 2, 2, 2, 2, 1)


def toy_model(n_cells=7, widths=(8,) * 8, embedding_size=32, seed=0) -> onnx.ModelProto:
    """Return scBasset's graph with random weights: GELU, convolution and max pool for each width, then the bottleneck."""
    rng = np.random.default_rng(seed)
    nodes, weights = [], []

    def weight(name, values):
        weights.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def gelu(x, out):
        nodes.append(helper.make_node("Mul", [x, "gelu_scale"], [f"{out}_scaled"]))
        nodes.append(helper.make_node("Sigmoid", [f"{out}_scaled"], [f"{out}_gate"]))
        nodes.append(helper.make_node("Mul", [x, f"{out}_gate"], [out]))
        return out

    weight("gelu_scale", np.float32(1.702))
    nodes.append(helper.make_node("Transpose", ["sequence"], ["channels_first"], perm=[0, 2, 1]))
    x, channels, length = "channels_first", 4, LENGTH
    for block, (width, kernel, pool) in enumerate(zip(widths, KERNELS, POOLS, strict=True)):
        x = gelu(x, f"gelu_{block}")
        w = weight(f"w_{block}", _normal(rng, (width, channels, kernel), 1.6 / np.sqrt(channels * kernel)))
        b = weight(f"b_{block}", _normal(rng, width, 0.1))
        nodes.append(helper.make_node("Conv", [x, w, b], [f"conv_{block}"], kernel_shape=[kernel], auto_pad="SAME_UPPER"))
        x = f"conv_{block}"
        if pool > 1:
            nodes.append(
                helper.make_node("MaxPool", [x], [f"pool_{block}"], kernel_shape=[pool], strides=[pool], auto_pad="SAME_UPPER")
            )
            x = f"pool_{block}"
        channels, length = width, -(-length // pool)
    x = gelu(x, "gelu_last")
    nodes.append(helper.make_node("Transpose", [x], ["channels_last"], perm=[0, 2, 1]))
    nodes.append(helper.make_node("Flatten", ["channels_last"], ["flat"], axis=1))
    dense = weight("dense", _normal(rng, (channels * length, embedding_size), 1.0 / np.sqrt(channels * length)))
    nodes.append(helper.make_node("Gemm", ["flat", dense, weight("dense_bias", _normal(rng, embedding_size, 0.1))], ["bottleneck"]))
    gelu("bottleneck", "peak_embedding")
    embedding = weight("cell_embedding", _normal(rng, (embedding_size, n_cells), 0.5))
    intercept = weight("cell_intercept", _normal(rng, n_cells, 0.5))
    nodes.append(helper.make_node("MatMul", ["peak_embedding", embedding], ["product"]))
    nodes.append(helper.make_node("Add", ["product", intercept], ["logits"]))
    nodes.append(helper.make_node("Sigmoid", ["logits"], ["accessibility"]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("sequence", TensorProto.FLOAT, ["N", LENGTH, 4])],
        [
            helper.make_tensor_value_info("accessibility", TensorProto.FLOAT, ["N", n_cells]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", n_cells]),
            helper.make_tensor_value_info("peak_embedding", TensorProto.FLOAT, ["N", embedding_size]),
        ],
        weights,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8, producer_name="toy", producer_version="1"
    )


def toy_card(**fields):
    """Return the fields of a card that its author writes; `fields` replace some of them."""
    return {
        "id": "scbasset/toy",
        "version": "1.0.0",
        "description": "Random weights with the structure of scBasset.",
        "authors": [{"name": "The scbasset_zoo tests"}],
        "license": "CC0-1.0",
        "citation": [{"text": "Yuan and Kelley, Nature Methods 2022", "doi": "10.1038/s41592-022-01562-8"}],
        "data": {
            "description": "None; the weights are random.",
            "license": "CC0-1.0",
            "citation": [{"text": "No data were used"}],
        },
        "architecture": {"name": "scBasset, narrow"},
        "genome": {"assembly": "toy1", "naming": "ucsc", "chromosome_sizes": dict(CHROMOSOME_SIZES)},
        "cells": {"columns": {"cell_type": "simulated cell type"}, "default_group": "cell_type"},
        "intended_use": "Tests.",
        "limits": "Predicts nothing.",
    } | fields


def toy_cells(n_cells=7) -> pd.DataFrame:
    """Return cells of three types and two batches."""
    number = np.arange(n_cells)
    return pd.DataFrame(
        {"cell_type": pd.Categorical(np.array(["B", "HSC", "T"])[number % 3]), "batch": np.array(["b1", "b2"])[number % 2]},
        index=[f"cell-{i}" for i in number],
    )


def toy_peaks(n_peaks=12, seed=0) -> pd.DataFrame:
    """Return peaks of 500 bp on the toy genome. The windows of the first and the last reach beyond the end of a chromosome."""
    rng = np.random.default_rng(seed)
    chrom = np.where(np.arange(n_peaks) < n_peaks // 2, "chr1", "chr2")
    start = np.array([rng.integers(0, CHROMOSOME_SIZES[name] - 500) for name in chrom])
    start[0], start[-1] = 10, CHROMOSOME_SIZES[chrom[-1]] - 510
    split = np.resize(np.array(["train", "train", "validation", "test"]), n_peaks)
    return pd.DataFrame({"chrom": chrom, "start": start, "end": start + 500, "split": split})


@functools.cache
def toy_gauge(widths=(8,) * 8, embedding_size=32, seed=0):
    """Return the gauge of a toy model, of random sequences in place of training peaks."""
    trunk = extract_trunk(toy_model(1, widths, embedding_size, seed)).SerializeToString()
    sequences = dna.one_hot(dna.as_codes(random_sequences(N_GAUGE_SEQUENCES)))
    return gauge_of(run_plainly(trunk, sequences)["peak_embedding"])


GAUGE_FIELDS = {"n_peaks": N_GAUGE_SEQUENCES, "peaks": "random sequences"}


def toy_package(
    folder, n_cells=7, widths=(8,) * 8, embedding_size=32, seed=0, overwrite=False, cells=None, gauge=True, **card_fields
) -> Package:
    """Write a package of a toy model to `folder`."""
    model = toy_model(n_cells, widths, embedding_size, seed)
    if gauge:
        model, card_fields = with_gauge(model, toy_gauge(widths, embedding_size, seed)), {"gauge": GAUGE_FIELDS, **card_fields}
    return write_package(
        folder,
        card=toy_card(**card_fields),
        model=model,
        cells=toy_cells(n_cells) if cells is None else cells,
        peaks=toy_peaks(),
        overwrite=overwrite,
    )


def toy_corrected_package(folder, n_cells=7, seed=0, gauge=True, **card_fields) -> Package:
    """Write a package of a batch-corrected toy model. Its two batches have large effects."""
    cells, rng = toy_cells(n_cells), np.random.default_rng(seed + 1)
    by_cell = np.array([cells["batch"] == "b1", cells["batch"] == "b2"], dtype=np.float32)
    head = _normal(rng, (32, n_cells), 0.5), _normal(rng, n_cells, 0.5)
    batches = BatchPath(_normal(rng, (32, 2), 1.0), _normal(rng, 2, 1.0), by_cell)
    model = with_head(extract_trunk(toy_model(n_cells, seed=seed)), *head, batches)
    fields = {"batch_correction": {"column": "batch", "n_batches": 2}, "architecture": {"name": "toy", "producer": "toy"}}
    if gauge:
        model, fields = with_gauge(model, toy_gauge(seed=seed)), {"gauge": GAUGE_FIELDS, **fields}
    card = toy_card(**fields, **card_fields)
    return write_package(folder, card=card, model=model, cells=cells, peaks=toy_peaks())


def toy_genome(path, seed=0) -> Path:
    """Write a random FASTA with the chromosomes of the toy assembly and 50 N in each."""
    rng = np.random.default_rng(seed)
    with Path(path).open("w") as file:
        for name, size in CHROMOSOME_SIZES.items():
            codes = rng.integers(0, 4, size, dtype=np.int8)
            codes[3_000:3_050] = dna.N
            letters = dna.decode(codes)
            file.write(f">{name}\n" + "\n".join(letters[i : i + 80] for i in range(0, size, 80)) + "\n")
    return Path(path)


def random_sequences(n, seed=1) -> list[str]:
    """Return random sequences of the toy model's length."""
    return [dna.decode(codes) for codes in np.random.default_rng(seed).integers(0, 4, (n, LENGTH), dtype=np.int8)]


def _normal(rng, shape, scale):
    return (rng.normal(size=shape) * scale).astype(np.float32)
