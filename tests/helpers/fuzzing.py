"""Parsers of untrusted bytes, and damage to small real files for them. Run as a program, since damage may end the process.

python fuzzing.py FOLDER TARGET N SECONDS [SEED] parses N damaged files, or as many as fit in the time if N is 0. It prints a line
for each error that is not one of the project's own, and for each file that takes long.
"""

import sys
import time
import warnings
from pathlib import Path

import numpy as np

from scbasset_zoo.errors import ScbassetZooError

MOST_SECONDS = 20
NUMBERS = (b"0", b"-1", b"99999999999999999999", b"1e400", b"nan", b"\xd9\xa3")


def damaged(raw, rng):
    """Return bytes with some of: flipped bits, a cut, an insertion, repeated and swapped blocks, and other numbers."""
    data = bytearray(raw)
    for _ in range(int(rng.integers(1, 4))):
        size = max(1, len(data))
        first, second = sorted(int(place) for place in rng.integers(0, size, 2))
        kind = rng.integers(0, 7)
        if kind == 0 and data:
            data[first] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            del data[first:]
        elif kind == 2:
            del data[first : min(second, first + 64)]
        elif kind == 3:
            data[first:first] = rng.bytes(int(rng.integers(1, 16)))
        elif kind == 4:
            data[second:second] = data[first : min(second, first + 256)] * int(rng.integers(1, 20))
        elif kind == 5:
            data[first:second] = data[first:second][::-1]
        else:
            digits = [place for place in range(first, min(size, first + 400)) if place < len(data) and 48 <= data[place] <= 57]
            if digits:
                data[digits[0] : digits[0] + 1] = NUMBERS[int(rng.integers(0, len(NUMBERS)))]
    return bytes(data)


def _card(path):
    from scbasset_zoo.package.digests import unseal
    from scbasset_zoo.package.integrity import parse_card, read_card_bytes

    parse_card(path.parent, unseal(read_card_bytes(path.parent))[0])


def _index(path):
    from scbasset_zoo.zoo.index import Index

    Index.parse(path.read_bytes(), str(path))


def _recipe(path):
    from scbasset_zoo.zoo.recipes import Recipe
    from scbasset_zoo.zoo.schema import from_yaml

    from_yaml(Recipe, path.read_bytes(), str(path))


def _table(path):
    from scbasset_zoo.package.tables import read_table

    read_table(path.read_bytes(), path)


def _network(path):
    from scbasset_zoo.graph.checks import contract_problems
    from scbasset_zoo.graph.head import read_head
    from scbasset_zoo.graph.model_proto import parse_model
    from scbasset_zoo.package.reading import Package

    model = parse_model(path.read_bytes())
    if not contract_problems(model, Package.open(path.parents[1] / "whole").card.contract):
        read_head(model)


def _vectors(path):
    from scbasset_zoo.package.reading import Package
    from scbasset_zoo.package.test_vectors import read_expected

    read_expected(path.parents[1], Package.open(path.parents[2] / "whole").card)


def _fasta_index(path):
    from scbasset_zoo.inputs.genome import Genome

    Genome(path.with_suffix("")).codes("chr1", 0, 500)


def _matrix(path):
    from scbasset_zoo.inputs.matrix import open_matrix

    for _ in open_matrix(path).open_entries():
        pass


def _multiome(path):
    from scbasset_zoo.inputs.gene_counts import write_gene_counts
    from scbasset_zoo.inputs.matrix import open_matrix

    matrix = open_matrix(path)
    for _ in matrix.open_entries():
        pass
    write_gene_counts(
        path.with_name("genes.h5ad"), [matrix.gene_counts()], [np.ones(matrix.n_cells, dtype=bool)], matrix.cells.index
    )


def _cells_table(path):
    from scbasset_zoo.inputs.cells_table import join_cells_table
    from scbasset_zoo.inputs.matrix import open_matrix

    join_cells_table(open_matrix(path.with_name("matrix.h5ad")), path)


def _bed(path):
    from scbasset_zoo.inputs.bed import read_bed

    read_bed(path)


def _called_peaks(path):
    from scbasset_zoo.counting.called_peaks import read_called_peaks

    read_called_peaks(path)


def _motifs(path):
    from scbasset_zoo_plugins.motifs.loading import load_motifs

    load_motifs(path)


def _genes(path):
    from scbasset_zoo.inputs.start_sites import read_start_sites

    read_start_sites(path)


def _record(path):
    from scbasset_zoo.training.run_folder import open_run

    open_run(path.parent)


def _checkpoint(path):
    from scbasset_zoo.training.checkpoint import read_arrays

    read_arrays(path)


# For each target, its file below the folder, and its parser.
TARGETS = {
    "card": ("package/card.yaml", _card),
    "index": ("zoo/index.json", _index),
    "recipe": ("zoo/recipe.yaml", _recipe),
    "table": ("package/cells.parquet", _table),
    "network": ("package/model.onnx", _network),
    "vectors": ("package/tests/expected.npz", _vectors),
    "FASTA index": ("genome/toy.fa.fai", _fasta_index),
    "h5ad": ("inputs/matrix.h5ad", _matrix),
    "h5mu": ("inputs/pair.h5mu", _multiome),
    "cells": ("inputs/cells.csv", _cells_table),
    "BED": ("inputs/peaks.bed", _bed),
    "narrowPeak": ("inputs/called.narrowPeak", _called_peaks),
    "MEME": ("inputs/motifs.meme", _motifs),
    "GTF": ("inputs/genes.gtf", _genes),
    "run.json": ("run/run.json", _record),
    "history.csv": ("run/history.csv", _record),
    "checkpoint": ("run/checkpoint.npz", _checkpoint),
}


def main(folder, target, n, seconds, seed=0):
    """Parse damaged copies of the file of a target."""
    name, parse = TARGETS[target]
    path = Path(folder) / name
    whole, began, number = path.read_bytes(), time.monotonic(), 0
    warnings.simplefilter("ignore")
    while number < n if n else time.monotonic() - began < seconds:
        path.write_bytes(damaged(whole, np.random.default_rng([seed, number])))
        start = time.monotonic()
        try:
            parse(path)
        except ScbassetZooError:
            pass
        except Exception as error:  # noqa: BLE001  what this program looks for
            print(f"{target}, seed {seed}, number {number}: {type(error).__name__}: {str(error)[:200]}", flush=True)
        if time.monotonic() - start > MOST_SECONDS:
            print(f"{target}, seed {seed}, number {number}: takes {time.monotonic() - start:.0f} s", flush=True)
        number += 1
    print(f"{target}: {number} damaged files", file=sys.stderr)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    main(arguments[0], arguments[1], int(arguments[2]), float(arguments[3]), int(arguments[4]) if len(arguments) > 4 else 0)
