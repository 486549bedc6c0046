"""What each precision costs in accuracy, on fitted models and real sequence, written into docs/speed.md.

Run `python -m benchmarks.precision` in the root of the repository. Without `--model` it takes the bundled model, whose cells are
simulated and whose sequence is human, and makes that model's genome. `--model FOLDER GENOME` takes another package; it can be
given several times. Settings of GPUs that are marked "rounding as on a GPU" run on the CPU with the roundings of a GPU
(:mod:`benchmarks.rounding`), so they show what the precision costs, without the GPU's own order of sums.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import onnx
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import pearsonr

import scbasset_zoo as sz
from benchmarks.mutations import MOTIFS, consensus
from benchmarks.rounding import SIGNIFICANT_BITS, with_rounded_factors, with_rounded_values
from benchmarks.table import DOCUMENT, machine, markdown, write_section
from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import choose_device, driver_problem, open_session
from scbasset_zoo.runtime.nvidia import CUDA_PRECISIONS

ROOT = Path(__file__).parents[1]
BUNDLED = ROOT / "model_cards" / "scbasset" / "demo" / "0.1.0"
SPEED = DOCUMENT.with_name("speed.md")
# Requirements of a setting that may be recommended.
MOST_ACCESSIBILITY, LEAST_ISM_R, LEAST_MEANS_R = 0.02, 0.99, 0.999

Array = NDArray[np.float32]


class Sizes(NamedTuple):
    """How much is computed with each setting.

    Attributes
    ----------
    n_peaks : int
        Peaks whose accessibility is compared.
    n_regions, ism_width : int
        Peaks for in silico saturation mutagenesis (ISM), and the number of positions at their centre.
    n_variants : int
        Peaks that get one random substitution within 250 bp of their centre.
    n_motifs, n_backgrounds : int
        Motifs that are inserted into the centre of each background, which is a shuffled peak.
    """

    n_peaks: int = 400
    n_regions: int = 6
    ism_width: int = 100
    n_variants: int = 400
    n_motifs: int = 40
    n_backgrounds: int = 5


class Network(Protocol):
    """What is compared: peak embeddings of sequences, and the effects of edits on them."""

    def embed(self, codes: dna.Codes) -> Array:
        """Return the peak embeddings of int8 codes (n, length)."""

    def effects(self, codes: dna.Codes, starts: NDArray[Any], bases: dna.Codes, reference: NDArray[Any]) -> Array:
        """Return the change of the peak embedding by each edit; see :meth:`MutationEngine.effects`."""


class OfModel:
    """A model as users run it: full passes, and the mutation engine for edits."""

    def __init__(self, package: str, **device: Any) -> None:
        model = sz.open_model(package, **device)
        self.embed = model.embed
        self._engine = model.mutations

    def effects(self, codes: dna.Codes, starts: NDArray[Any], bases: dna.Codes, reference: NDArray[Any]) -> Array:
        """Return the effects of edits by the mutation engine."""
        return self._engine.effects(codes, starts, bases, reference=reference, quiet=True)


class OfGraph:
    """Full passes of a changed graph on the CPU, for edits too."""

    def __init__(self, graph: onnx.ModelProto) -> None:
        self._session = open_session(graph.SerializeToString(), choose_device("cpu"))

    def embed(self, codes: dna.Codes) -> Array:
        """Return peak embeddings, in batches of 32."""
        parts = [codes[first : first + 32] for first in range(0, len(codes), 32)]
        return np.concatenate([self._session.run(["peak_embedding"], {"sequence": dna.one_hot(part)})[0] for part in parts])

    def effects(self, codes: dna.Codes, starts: NDArray[Any], bases: dna.Codes, reference: NDArray[Any]) -> Array:
        """Return the effects of edits, each as the difference of two full passes."""
        edited = codes[reference]
        np.put_along_axis(edited, starts[:, None] + np.arange(bases.shape[1]), bases, axis=1)
        return self.embed(edited) - self.embed(codes)[reference]


class Numbers(NamedTuple):
    """What a setting gives for a model.

    Attributes
    ----------
    logits : float32 array (n_peaks, n_cells)
    type_logits : float32 array (n_peaks, n_types)
        Mean logit of the cells of each type.
    ism : float32 array (n_regions, substitutions, n_types)
        Change of the mean logit of each type.
    variants : float32 array (n_variants, n_types)
    motifs : float32 array (n_motifs, n_types)
        Mean change over backgrounds.
    """

    logits: Array
    type_logits: Array
    ism: Array
    variants: Array
    motifs: Array


def main() -> None:
    """Measure all settings on all models, print the tables and write them into docs/speed.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs=2, action="append", metavar=("FOLDER", "GENOME"), help="a package and its genome")
    parser.add_argument("--n-peaks", type=int, default=Sizes().n_peaks, help="peaks to compare; fewer take less time")
    parser.add_argument("--no-write", action="store_true", help="print only")
    options = parser.parse_args()
    sizes = Sizes()._replace(n_peaks=options.n_peaks, n_variants=options.n_peaks)
    parts = [machine("onnxruntime-gpu", "numpy")]
    with tempfile.TemporaryDirectory() as scratch:
        for package, genome in options.model or [(BUNDLED, bundled_genome(Path(scratch)))]:
            parts.append(table(Path(package), Path(genome), sizes))
            print(parts[-1], flush=True)
    if not options.no_write:
        write_section("what each setting costs", "\n\n".join(parts), SPEED)


def bundled_genome(folder: Path) -> Path:
    """Make the genome of the bundled model: its card names this simulation."""
    return sz.simulate(folder / "simulated", n_cells=150, n_peaks=3_000, density=0.15, quiet=True).genome


def settings(package: Path) -> dict[str, Callable[[], Network]]:
    """Return functions that open a model in each setting, by the setting's name. The first is what the others are compared with."""
    trunk = extract_trunk(sz.open_model(str(package), device="cpu").package.network())
    rounding = {
        "bfloat16, factors only": with_rounded_factors(trunk, SIGNIFICANT_BITS["bfloat16"]),
        "TF32, rounding as on a GPU": with_rounded_factors(trunk, SIGNIFICANT_BITS["tf32"]),
        "float16, rounding as on a GPU": with_rounded_values(trunk, SIGNIFICANT_BITS["float16"]),
        "bfloat16, rounding as on a GPU": with_rounded_values(trunk, SIGNIFICANT_BITS["bfloat16"]),
    }
    gpu = [("cuda", precision) for precision in CUDA_PRECISIONS] if driver_problem() is None else []
    devices = [("cpu", "float32"), ("openvino", "float32"), ("openvino", "bfloat16"), *gpu]
    return {
        **{
            f"{device}, {precision}": functools.partial(OfModel, str(package), device=device, precision=precision)
            for device, precision in devices
        },
        **{name: functools.partial(OfGraph, graph) for name, graph in rounding.items()},
    }


def table(package: Path, genome: Path, sizes: Sizes) -> str:
    """Return the table of a model."""
    model = sz.open_model(str(package), device="cpu")
    codes = peak_sequences(model, genome, sizes.n_peaks)
    rows, expected = [], None
    for name, open_network in settings(package).items():
        try:
            got = numbers(open_network(), model, codes, sizes)
        except ScbassetZooError as error:
            rows.append([name, f"not measured: {str(error).splitlines()[0][:120]}", *[""] * 6])
            continue
        if expected is None:
            expected = got
        else:
            rows.append([name, *compared(got, expected)])
    assert expected is not None
    card = model.card
    header = [
        f"{card.id} {card.version}", "accessibility, largest difference", "99.9 % within", "logits, largest difference",
        "cell-type mean logits, least r", "ISM, r: median", "least", "variants, r", "motifs, r",
    ]  # fmt: skip
    return (
        f"{markdown(header, rows)}\n\n{card.description} {len(codes):,} peaks x {model.n_cells:,} cells, {sizes.n_regions} regions "
        f"with all substitutions of the central {sizes.ism_width} bp, one random substitution in each of "
        f"{min(sizes.n_variants, len(codes)):,} peaks, {sizes.n_motifs} motifs in {sizes.n_backgrounds} backgrounds. Logits reach "
        f"{np.abs(expected.logits).max():.0f}; the largest effect of a substitution on the mean logit of a type is "
        f"{np.abs(expected.ism).max():.2g}, the median {np.median(np.abs(expected.ism)):.1g}."
    )


def peak_sequences(model: sz.Model, genome: Path, n_peaks: int) -> dna.Codes:
    """Return the sequences of some peaks of the model, drawn at random from those that were not trained on, as far as there are."""
    peaks = model.package.peaks()
    windows = model.peak_windows(peaks, genome, strict=False)
    rows = np.arange(len(peaks)) if windows.rows is None else windows.rows
    held_out = np.flatnonzero(peaks["split"].to_numpy()[rows] != "train")
    trained = np.flatnonzero(peaks["split"].to_numpy()[rows] == "train")
    rng = np.random.default_rng(0)
    chosen = np.concatenate([rng.permutation(held_out), rng.permutation(trained)])
    codes = windows.read(0, len(windows))[chosen]
    # A peak of unknown sequence says nothing about rounding.
    return codes[(codes == dna.N).mean(axis=1) < 0.25][:n_peaks]


def numbers(network: Network, model: sz.Model, codes: dna.Codes, sizes: Sizes) -> Numbers:
    """Compute all that is compared, with one setting."""
    rng = np.random.default_rng(1)
    length = codes.shape[1]
    type_embedding, type_intercept = type_means(model)

    def on_types(effects: Array) -> Array:
        return effects @ type_embedding.T

    embedding = network.embed(codes)
    starts, bases, reference = substitutions(codes[: sizes.n_regions], sizes.ism_width)
    ism = network.effects(codes[: sizes.n_regions], starts, bases, reference)

    references = codes[: sizes.n_variants]
    positions = rng.integers(length // 2 - 250, length // 2 + 250, len(references))
    old = references[np.arange(len(references)), positions]
    new = np.where(old < 4, (old + rng.integers(1, 4, len(references))) % 4, 0).astype(np.int8)
    variants = network.effects(references, positions, new[:, None], np.arange(len(references)))

    backgrounds = rng.permuted(codes[: sizes.n_backgrounds], axis=1)
    of_motifs = []
    for motif in consensus(MOTIFS)[:: max(1, 734 // sizes.n_motifs)][: sizes.n_motifs]:
        inserted = np.tile(dna.encode(motif), (len(backgrounds), 1))
        at = np.full(len(backgrounds), (length - len(motif)) // 2)
        of_motifs.append(network.effects(backgrounds, at, inserted, np.arange(len(backgrounds))).mean(axis=0))
    return Numbers(
        logits=embedding @ model.cell_embedding.T + model.cell_intercept,
        type_logits=embedding @ type_embedding.T + type_intercept,
        ism=on_types(ism).reshape(sizes.n_regions, -1, len(type_intercept)),
        variants=on_types(variants),
        motifs=on_types(np.array(of_motifs)),
    )


def type_means(model: sz.Model) -> tuple[Array, Array]:
    """Return the mean embedding and the mean intercept of the cells of each type; of all cells if the package names no types."""
    column = model.card.cells.default_group
    groups = model.cells[column].astype(str).to_numpy() if column else np.full(model.n_cells, "all")
    members = [groups == group for group in np.unique(groups)]
    return (
        np.array([model.cell_embedding[chosen].mean(axis=0) for chosen in members]),
        np.array([model.cell_intercept[chosen].mean() for chosen in members]),
    )


def substitutions(codes: dna.Codes, width: int) -> tuple[NDArray[Any], dna.Codes, NDArray[Any]]:
    """Return start, base and reference of three substitutions at each of the central positions of some sequences."""
    first = (codes.shape[1] - width) // 2
    reference, position, step = np.indices((len(codes), width, 3)).reshape(3, -1)
    start = first + position
    old = codes[reference, start]
    return start, ((old + 1 + step) % 4).astype(np.int8)[:, None], reference


def compared(got: Numbers, expected: Numbers) -> list[str]:
    """Return the cells of a row of the table. What misses a requirement is in bold."""
    accessibility = np.abs(expit(got.logits) - expit(expected.logits))
    of_regions = np.array([_r(*pair) for pair in zip(got.ism, expected.ism, strict=True)])
    of_types = min(_r(*pair) for pair in zip(got.type_logits.T, expected.type_logits.T, strict=True))
    return [
        _bold(f"{accessibility.max():.4f}", accessibility.max() > MOST_ACCESSIBILITY),
        f"{np.quantile(accessibility, 0.999):.4f}",
        f"{np.abs(got.logits - expected.logits).max():.3f}",
        _bold(f"{of_types:.6f}", of_types < LEAST_MEANS_R),
        f"{np.median(of_regions):.5f}",
        _bold(f"{of_regions.min():.5f}", of_regions.min() < LEAST_ISM_R),
        f"{_r(got.variants, expected.variants):.5f}",
        f"{_r(got.motifs, expected.motifs):.5f}",
    ]


def _bold(text: str, stands_out: bool) -> str:
    return f"**{text}**" if stands_out else text


def _r(x: Array, y: Array) -> float:
    return float(pearsonr(x.ravel(), y.ravel()).statistic)


if __name__ == "__main__":
    main()
