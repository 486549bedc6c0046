"""Make the bundled model again: simulate, prepare, train and export it, and write the example files for Kipoi.

    .venv/bin/python examples/bundled_model.py

All seeds are fixed. It takes some minutes, and replaces these in model_cards/scbasset: the package demo/0.1.0, the folder
example, and the lists of models.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py

import scbasset_zoo as sz
from scbasset_zoo import files
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.kipoi.folder import write_models
from scbasset_zoo.package.reading import Package
from scbasset_zoo.simulation.experiment import ASSEMBLY, Simulation
from scbasset_zoo.zoo.indexing import build_index

GROUP = Path(__file__).parents[1] / "model_cards" / "scbasset"
NAME, VERSION = "demo", "0.1.0"
CONTIG, CONTIG_LENGTH, LINE = "example", 8_400, 60
ABOUT = {
    "id": f"scbasset/{NAME}",
    "version": VERSION,
    "description": "A small scBasset of 150 simulated cells of six blood cell types, on human sequence with planted motifs.",
    "tags": ["simulated", "example"],
    "authors": [{"name": "scbasset_zoo maintainers"}],
    "license": "CC0-1.0",
    "data": {
        "description": "150 cells x 3,000 peaks simulated by `scbasset-zoo simulate --n-cells 150 --n-peaks 3000 --density 0.15` "
        "(seed 0): motifs of known transcription factors planted in 4.2 Mb of hg19's chromosome 20. The same command makes the "
        "genome that predictions need.",
        "license": "CC0-1.0",
        "citation": [{"text": "scbasset_zoo, examples/bundled_model.py"}],
    },
    "cells": {"default_group": "cell_type"},
    "intended_use": "Trying scbasset_zoo and Kipoi, and testing tools on a model whose truth is known.",
    "limits": "Cells and genome are simulated and the network is a quarter as wide as scBasset: nothing about real cells can be "
    "learnt from it, and its predictions on a real genome mean nothing.",
}


def main() -> None:
    """Make the package, the example files and the list of models."""
    with tempfile.TemporaryDirectory() as work:
        simulation = sz.simulate(f"{work}/simulated", n_cells=150, n_peaks=3_000, density=0.15)
        sz.prepare(simulation.matrix, genome=simulation.genome, assembly=ASSEMBLY, out=f"{work}/prepared")
        sz.train(f"{work}/prepared", out=f"{work}/run", width=0.25, epochs=16, batch_size=32, precision="float32")
        package = sz.export(f"{work}/run", out=GROUP / NAME / VERSION, about=ABOUT, overwrite=True)
        with files.new_folder(GROUP / "example", overwrite=True) as folder:
            write_example(folder, simulation, package)
    write_models(GROUP)
    build_index(GROUP.parent)


def write_example(folder: Path, simulation: Simulation, package: Package) -> None:
    """Write a contig of the simulated genome, its peaks, and what plain ONNX Runtime predicts for them.

    The contig has a name of its own, because it is shorter than every chromosome of the model's assembly. The windows of the
    last two intervals reach beyond its ends.
    """
    genome = Genome(simulation.genome)
    chrom = next(iter(genome.chromosome_sizes))
    letters = dna.decode(genome.codes(chrom, 0, CONTIG_LENGTH))
    lines = [letters[first : first + LINE] for first in range(0, CONTIG_LENGTH, LINE)]
    (folder / "genome.fa").write_text("\n".join([f">{CONTIG}", *lines, ""]))
    peaks = package.peaks()
    assert peaks is not None
    inside = peaks[(peaks["chrom"] == chrom) & (peaks["end"] < CONTIG_LENGTH)]
    intervals = [*zip(inside["start"], inside["end"], strict=True), (0, 200), (CONTIG_LENGTH - 301, CONTIG_LENGTH)]
    (folder / "intervals.bed").write_text("".join(f"{CONTIG}\t{start}\t{end}\n" for start, end in intervals))
    length = package.card.input.length
    starts = [(start + end) // 2 - length // 2 for start, end in intervals]
    inputs = dna.one_hot(Genome(folder / "genome.fa").windows([CONTIG] * len(starts), starts, length))
    (folder / "genome.fa.fai").unlink()
    with h5py.File(folder / "expected.h5", "w") as file:
        file.create_dataset("inputs", data=inputs, compression="gzip", shuffle=True)
        outputs = run_plainly(package.model_bytes(), inputs)
        file.create_dataset("preds", data=outputs["accessibility"])


if __name__ == "__main__":
    main()
