"""The fields of a model card with every section filled in."""

import datetime

ENTRY = {"bytes": 1, "sha256": "a" * 64}


def card_fields(**changes):
    """Plain values as `Card.from_fields` takes them, with some of them changed."""
    return {
        "schema_version": "1.4",
        "id": "scbasset/blood",
        "version": "1.2.0",
        "created": datetime.date(2026, 1, 31),
        "description": "Haematopoietic cells.",
        "authors": [{"name": "Ada Example", "affiliation": "Somewhere", "orcid": "0000-0002-1825-0097"}],
        "license": "CC-BY-4.0",
        "citation": [{"text": "A paper", "doi": "10.1038/s41592-022-01562-8"}],
        "data": {
            "description": "scATAC-seq",
            "license": "NOASSERTION",
            "citation": [{"text": "Data paper", "url": "https://example.org/x"}],
            "accessions": ["GSE96769"],
        },
        "input": {
            "name": "sequence",
            "length": 1344,
            "alphabet": "ACGT",
            "n_policy": "0.25 in each channel",
            "window": "centred",
        },
        "outputs": [{"name": name, "meaning": "m"} for name in ("accessibility", "logits", "peak_embedding")],
        "architecture": {
            "name": "scBasset",
            "embedding_size": 32,
            "n_parameters": 4_513_960,
            "opset": 17,
            "producer": "tf2onnx",
            "software": {"tensorflow": "2.21"},
        },
        "genome": {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": {"chr1": 249_250_621}},
        "cells": {"n_cells": 5, "order_sha256": "b" * 64, "columns": {"cell_type": "type"}, "default_group": "cell_type"},
        "peaks": {"n_peaks": 9, "order_sha256": "c" * 64, "columns": {"chrom": "chromosome"}},
        "gauge": {"n_peaks": 7, "peaks": "the training peaks"},
        "batch_correction": {"column": "batch", "n_batches": 2, "l2_cell": 1e-6, "l2_batch": 0.0},
        "lineage": {
            "parent": {"id": "scbasset/marrow", "version": "1.0.0", "card_sha256": "e" * 64},
            "method": "logistic regression",
            "settings": {"ridge": 0.1, "peaks": "all"},
            "n_new_cells": 2,
        },
        "training": {
            "sources": [{"name": "x.h5ad", "bytes": 3, "sha256": "d" * 64}],
            "split": {"method": "random", "train": 7, "validation": 1, "test": 1},
            "seed": 1,
            "hyperparameters": {"learning_rate": 0.01, "filters": [288, 323], "shuffle": True, "optimiser": "Adam"},
            "epochs": 10,
            "stopped_because": "no better for 50 epochs",
            "hardware": "1 GPU",
            "wall_time": 12.5,
        },
        "evaluation": [{"metric": "AUROC per cell", "split": "test", "value": 0.7, "n": 5}],
        "intended_use": "Research.",
        "limits": "Human blood only.",
        "tests": {"n_sequences": 4, "rtol": 1e-3, "atol": 1e-4},
        "files": {
            name: dict(ENTRY)
            for name in (
                "model.onnx",
                "cells.parquet",
                "peaks.parquet",
                "tests/sequences.txt",
                "tests/expected.npz",
                "README.md",
            )
        },
    } | changes
