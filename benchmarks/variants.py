"""Variant effects: rate, ratio to full passes, memory, and motif SNVs found by a fitted network; written into docs/benchmarks.md.

Run `python -m benchmarks.variants` in the root of the repository, on a machine that does nothing else. It takes ten minutes.
Rates are of a network of the published size with random weights. Memory and motif SNVs are of scbasset/demo, which comes with the
project and was fitted to a simulation that is made again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from scbasset_zoo_plugins.variant_effect.effects import latent_effects, windows_of
from sklearn.metrics import roc_auc_score

import scbasset_zoo as sz
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
SIZES = (4_000, 16_000)
N_SITES = 300


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
    parser.add_argument("--memory", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.memory:
        vcf, genome, out = options.memory
        sz.run("variant-effect", DEMO, vcf=vcf, genome=genome, out=out, in_peaks=True, n_logos=0, quiet=True, device="cpu")
        print(peak_memory())
        return
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "demo", n_cells=150, n_peaks=3_000, density=0.15, quiet=True)
        genome = Genome(simulation.genome)
        parts = ["## Variant effects", machine("onnxruntime-gpu", "numpy"), rates(genome, simulation)]
        print(parts[-1], flush=True)
        parts.append(memory(genome, simulation, Path(folder)))
        print(parts[-1], flush=True)
        parts.append(motif_snvs(genome, simulation, Path(folder)))
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
    rng = np.random.default_rng(1)
    rows = []
    for n in SIZES:
        row = np.sort(rng.integers(0, len(simulation.peaks), n))
        start, end = (simulation.peaks[name].to_numpy()[row] for name in ("start", "end"))
        at = np.sort(start + (rng.random(n) * (end - start)).astype(int))
        chrom = simulation.peaks["chr"].to_numpy(dtype=object)[row]
        codes = genome.windows(chrom, at, 1)[:, 0]
        lines = [
            f"{c}\t{a + 1}\t.\t{ALPHABET[b]}\t{ALPHABET[(b + 1) % 4]}" for c, a, b in zip(chrom, at, codes, strict=True) if b < 4
        ]
        vcf = folder / f"{n}.vcf"
        vcf.write_text("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\n" + "\n".join(lines) + "\n")
        arguments = [vcf, simulation.genome, folder / f"{n}.parquet"]
        command = [sys.executable, "-m", "benchmarks.variants", "--memory", *map(str, arguments)]
        peak = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        rows.append([f"{n:,}", f"{int(peak) / 2**30:.2f}"])
    return markdown(["Variants, `scbasset/demo`, `--in-peaks`, to Parquet", "peak GiB"], rows)


def motif_snvs(genome: Genome, simulation: sz.Simulation, folder: Path) -> str:
    """Measure how well the fitted network tells SNVs that destroy a planted motif from random SNVs in peaks."""
    sites = pd.read_parquet(Path(simulation.genome).parent / "motif_sites.parquet")
    active = simulation.tfs.index[simulation.tfs["active"]]
    sites = sites[(sites["score"] > 0.7) & sites["tf"].isin(active)]
    rng = np.random.default_rng(2)
    rows = []
    for site in sites.sample(len(sites), random_state=0).itertuples():
        pwm = simulation.motifs[site.tf]
        pwm = pwm[::-1, ::-1] if site.strand == "-" else pwm
        at = int(pwm.max(axis=1).argmax())
        if len(rows) < N_SITES and genome.codes(site.chrom, site.start + at, site.start + at + 1)[0] == pwm[at].argmax():
            rows.append((site.chrom, site.start + at + 1, ALPHABET[pwm[at].argmax()], ALPHABET[pwm[at].argmin()]))
    for peak in simulation.peaks.iloc[rng.integers(0, len(simulation.peaks), N_SITES)].itertuples():
        at = int(rng.integers(peak.start, peak.end))
        base = int(genome.codes(peak.chr, at, at + 1)[0]) % 4
        rows.append((peak.chr, at + 1, ALPHABET[base], ALPHABET[(base + 1) % 4]))
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt"])
    about_motif = np.arange(len(table)) < N_SITES
    lines = []
    for mode, words in (({}, "centred windows"), ({"both_strands": True}, "centred windows, `--both-strands`")):
        result = sz.run(
            "variant-effect", DEMO, variants=table, genome=simulation.genome, n_logos=0, quiet=True, device="cpu", **mode
        )
        strongest = np.asarray(result.layers["percentile"]).max(axis=0)
        lines.append([words, f"{roc_auc_score(about_motif[: len(strongest)], strongest):.3f}"])
    head = f"{N_SITES} SNVs that destroy a strong planted motif of an active factor against {N_SITES} random SNVs, `scbasset/demo`"
    return markdown([head, "AUROC of the largest percentile (chance: 0.5)"], lines)


if __name__ == "__main__":
    main()
