"""Variant effects: rate, ratio to full passes, memory, and motif SNVs found by a fitted network; written into docs/benchmarks.md.

Run `python -m benchmarks.variants FOLDER` in the root of the repository, on a machine that does nothing else. It takes about an
hour. Rates are of a network of the published size with random weights. Memory is of scbasset/demo, which comes with the project and
was fitted to a simulation that is made again. Motif SNVs are of the demo, and of a network that learnt its simulation well. FOLDER
keeps this network; the next run uses it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scbasset_zoo_plugins.variant_effect.effects import latent_effects, windows_of
from sklearn.metrics import roc_auc_score

import scbasset_zoo as sz
from benchmarks.known_truth import Experiment
from benchmarks.motif_snvs import CREATED, DESTROYED, RANDOM, RANDOM_IN_MOTIF, motif_snvs
from benchmarks.network import EMBEDDING_SIZE, LENGTH, random_trunk
from benchmarks.table import interleaved, machine, markdown, median, peak_memory, write_section
from scbasset_zoo.inputs.dna import ALPHABET
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.runtime.devices import choose_device, open_session
from scbasset_zoo.runtime.mutations.engine import MutationEngine

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "model_cards" / "scbasset" / "demo" / "0.1.0"
N_RATE, N_FULL = 256, 64
SNVS_OF_PEAK = 32
SIZES = (250_000, 1_000_000)
N_SITES = 300
FOUND = 0.8
# Two cell types have seven active factors. Motifs lie near the centres of peaks, so short windows are enough.
WELL_FITTED = Experiment(
    "variants",
    {"n_cells": 400, "n_peaks": 5_000, "n_types": 2, "density": 0.2, "signal": 2},
    {"width": 0.125, "batch_size": 32, "epochs": 40, "precision": "float32"},
    {"length": 512, "min_cell_fraction": 0, "split": "95/5/0"},
)


class PublishedSize:
    """What `latent_effects` needs of a model, for a network of the published size with random weights."""

    def __init__(self) -> None:
        device = choose_device("cpu")
        trunk = random_trunk()
        self._session = open_session(trunk.SerializeToString(), device)
        self.sequence_length = LENGTH
        self.cell_embedding = np.zeros((1, EMBEDDING_SIZE), np.float32)
        self.mutations = MutationEngine(trunk, device, self.embed)

    def embed(self, codes: np.ndarray) -> np.ndarray:
        """Return peak embeddings by full passes in batches of 32."""
        from scbasset_zoo.inputs.dna import one_hot

        parts = [one_hot(codes[first : first + 32]) for first in range(0, len(codes), 32)]
        return np.concatenate([self._session.run(["peak_embedding"], {"sequence": part})[0] for part in parts])


def main() -> None:
    """Measure, print, and write the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", help="keeps the fitted network")
    parser.add_argument("--memory", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        vcf, genome, motifs, out = options.memory
        extra = {"motifs": motifs, "plot": f"{out}.figures", "report": f"{out}.html", "in_peaks": True}
        sz.run("variant-effect", DEMO, vcf=vcf, genome=genome, out=out, quiet=True, device="cpu", **extra)
        print(peak_memory())
        return
    if options.folder is None:
        parser.error("give a folder, which keeps the fitted network")
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "demo", n_cells=150, n_peaks=3_000, density=0.15, quiet=True)
        genome = Genome(simulation.genome)
        parts = ["## Variant effects", machine("onnxruntime-gpu", "numpy"), rates(genome, simulation)]
        print(parts[-1], flush=True)
        parts.append(memory(genome, simulation, Path(folder)))
        print(parts[-1], flush=True)
        fits = [
            ("`scbasset/demo`", simulation, sz.open_model(DEMO, device="cpu")),
            ("well-fitted network", WELL_FITTED.simulation(options.folder), WELL_FITTED.model(options.folder)),
        ]
        parts.append(found_motif_snvs(fits))
        print(parts[-1], flush=True)
    write_section("variant effects", "\n\n".join(parts))


def rates(genome: Genome, simulation: sz.Simulation) -> str:
    """Compare the analysis with full passes of both alleles, for centred windows and for windows of peaks."""
    model = PublishedSize()
    rng = np.random.default_rng(0)
    peaks = simulation.peaks.iloc[: N_RATE // SNVS_OF_PEAK]
    at = np.concatenate([rng.integers(start, end, SNVS_OF_PEAK) for start, end in zip(peaks["start"], peaks["end"], strict=True)])
    on = np.repeat(peaks["chr"].to_numpy(dtype=object), SNVS_OF_PEAK)
    codes = genome.windows(on, at, 1)[:, 0]
    letters = np.array(list(ALPHABET))
    centred = pd.DataFrame({"on": on, "start": at, "old": letters[codes], "new": letters[(codes + 1) % 4]})
    middle = (peaks["start"] + peaks["end"]).to_numpy() // 2
    in_peaks = centred.assign(window_start=np.repeat(middle - LENGTH // 2, SNVS_OF_PEAK))
    references, alternatives, _ = windows_of(centred.iloc[:N_FULL], genome, LENGTH)
    seconds = interleaved(
        {
            "full": lambda: model.embed(alternatives) - model.embed(references),
            "centred": lambda: latent_effects(model, centred, genome),  # type: ignore[arg-type]
            "in peaks": lambda: latent_effects(model, in_peaks, genome),  # type: ignore[arg-type]
        },
        repetitions=4,
    )
    full = N_FULL / median(seconds["full"])
    rows = [["full passes of both alleles", f"{full:,.0f}", "1"]]
    for name, words in (
        ("centred", "windows centred on the variant"),
        ("in peaks", f"`--in-peaks`, {SNVS_OF_PEAK} variants in each peak"),
    ):
        rate = N_RATE / median(seconds[name])
        rows.append([words, f"{rate:,.0f}", f"**{rate / full:.1f}**"])
    table = markdown([f"{N_RATE} SNVs, network of the published size", "variants/s", "times"], rows)
    return (
        f"{table}\n\nA window that is centred on its variant takes a full pass of its reference, so only that of the "
        "alternative is saved. Variants in the window of one peak share that pass. The programs take turns; rates are medians of "
        "four runs."
    )


def memory(genome: Genome, simulation: sz.Simulation, folder: Path) -> str:
    """Measure the peak memory of the whole analysis with a table as output, with a new process for each number of variants."""
    peaks = simulation.peaks
    widths = (peaks["end"] - peaks["start"]).to_numpy()
    chrom = np.repeat(peaks["chr"].to_numpy(dtype=object), widths)
    at = np.concatenate([np.arange(start, end) for start, end in zip(peaks["start"], peaks["end"], strict=True)])
    codes = genome.windows(chrom, at, 1)[:, 0]
    rows = []
    for n in SIZES:
        # The numbers of all possible SNVs, of which n are drawn.
        snvs = np.sort(np.random.default_rng(1).choice(3 * len(at), n, replace=False))
        vcf = folder / f"{n}.vcf"
        with vcf.open("w") as file:
            file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
            for base, change in zip(snvs // 3, snvs % 3 + 1, strict=True):
                ref, alt = ALPHABET[codes[base]], ALPHABET[(codes[base] + change) % 4]
                file.write(f"{chrom[base]}\t{at[base] + 1}\t.\t{ref}\t{alt}\t.\t.\t.\n")
        arguments = [vcf, simulation.genome, simulation.folder / "motifs.meme", folder / f"{n}.parquet"]
        command = [sys.executable, "-m", "benchmarks.variants", "--memory", *map(str, arguments)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        rows.append([f"{n:,}", f"{int(peak) / 2**30:.2f}"])
    return markdown(["SNVs, `scbasset/demo`, `--in-peaks`, to Parquet, with motifs, figures and report", "peak GiB"], rows)


def found_motif_snvs(fits: list[tuple[str, sz.Simulation, Any]]) -> str:
    """Measure how well fitted networks tell SNVs that destroy or create a motif from random SNVs in peaks."""
    rows = []
    for name, simulation, model in fits:
        snvs = motif_snvs(simulation, N_SITES)
        kinds = snvs["kind"].to_numpy()
        fit = next(e.value for e in model.card.evaluation if e.metric == "AUROC per cell, mean" and e.split == "validation")
        best = simulation.parameters["best_auroc_from_sequence"]
        for mode in ({}, {"both_strands": True}):
            result = sz.run(
                "variant-effect", model, variants=snvs, genome=simulation.genome, n_logos=0, quiet=True, device="cpu", **mode
            )
            strongest = np.asarray(result.layers["percentile"]).max(axis=0)
            aurocs = [
                _auroc(strongest, kinds, kind, others)
                for kind in (DESTROYED, CREATED)
                for others in ((RANDOM, RANDOM_IN_MOTIF), (RANDOM,))
            ]
            of_factors = [
                _auroc(strongest[rows_of], kinds[rows_of], DESTROYED, (RANDOM,))
                for tf in sorted(set(snvs["tf"][kinds == DESTROYED]))
                for rows_of in (np.flatnonzero((snvs["tf"] == tf) & (kinds == DESTROYED) | (kinds == RANDOM)),)
            ]
            n_found = f"{np.sum(np.array(of_factors) >= FOUND)} of {len(of_factors)}"
            words = f"{name}{', `--both-strands`' if mode else ''}"
            rows.append([words, f"{fit:.2f} of {best:.2f}", n_found, *(f"{auroc:.3f}" for auroc in aurocs)])
    header = ["AUROC of the largest percentile over groups (chance: 0.5)", "fit, of the best possible", "factors found"]
    header += [f"{kind}, random {where}" for kind in (DESTROYED, CREATED) for where in ("anywhere in peaks", "outside motifs")]
    return (
        f"{markdown(header, rows)}\n\n{N_SITES} SNVs destroy a strong planted motif of an active factor. {N_SITES} turn a weak "
        f"match into a strong one where none is planted. {2 * N_SITES} lie at random in peaks, a quarter of them in motifs, "
        "since simulated peaks have many. Windows are centred. A factor is found if the SNVs that destroy its motif have an AUROC "
        "of 0.8 against random SNVs outside motifs. The AUROC of a fit is that on held-out peaks, as a mean over cells."
    )


def _auroc(values: NDArray[np.float32], kind: NDArray[np.object_], positive: str, negative: tuple[str, ...]) -> float:
    rows = (kind == positive) | np.isin(kind, negative)
    return float(roc_auc_score(kind[rows] == positive, values[rows]))


if __name__ == "__main__":
    main()
