"""Speed and agreement of every setting of an NVIDIA GPU, in one table and at most four minutes: `python -m benchmarks.gpu`.

Run it in the root of the repository. It needs `pip install 'onnxruntime-gpu[cuda,cudnn]' numpy onnx pydantic lazy-loader` and
this repository, which need not be installed; for TensorRT also the package that the table names. TensorFlow, pandas and all else
may be missing. `--write` puts the tables into docs/benchmarks.md. The model has the published network's size and random weights.

A run on a CPU is never called one on a GPU: the program ends with an error if CUDA cannot be used, and a setting whose layers do
not all run on the GPU gives no number.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray

from benchmarks.network import EMBEDDING_SIZE, LENGTH, random_trunk
from benchmarks.table import graphics_card, machine, markdown, write_section
from scbasset_zoo.errors import DeviceError, ScbassetZooError
from scbasset_zoo.graph.half_precision import in_float16
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import Device, choose_device, open_session
from scbasset_zoo.runtime.fixed_batches import FixedBatches
from scbasset_zoo.runtime.mutations.engine import InexactMutations, MutationEngine
from scbasset_zoo.runtime.nvidia import (
    CUDA_PRECISIONS,
    TENSORRT,
    TENSORRT_PRECISIONS,
    cuda_provider,
    tensorrt_problem,
    tensorrt_provider,
    with_cuda_graphs,
)

LIMIT_S = 240
N_CELLS = 400
# Layers that take nearly all of the time. One of them on the CPU makes a setting one of the CPU.
HEAVY = ("Conv", "FusedConv", "NhwcConv", "Gemm", "MatMul", "FusedMatMul", "FusedGemm")
# Peak embeddings of this network in float32 differ by 2.4e-5 between CUDA and the CPU; factors of 11 bits change them by 7e-3.
LEAST_ROUNDING = 3e-4

Array = NDArray[np.float32]
Embed = Callable[[dna.Codes], Array]


class FellBack(ScbassetZooError):
    """Layers of a setting run on another device than its name says."""


@dataclass(frozen=True)
class Sizes:
    """How much each part computes.

    Attributes
    ----------
    batches : tuple of int
        Batch sizes of full passes.
    n_sequences : int
        Sequences of a timed run of full passes.
    n_compared : int
        Sequences whose numbers are compared with those of the CPU.
    n_backgrounds, n_motifs : int
        Motifs are inserted into backgrounds at random.
    repetitions : int
        Timed runs; the table shows their median.
    """

    batches: tuple[int, ...] = (256, 1024)
    n_sequences: int = 8_192
    n_compared: int = 128
    n_backgrounds: int = 20
    n_motifs: int = 500
    repetitions: int = 3


class Setting(NamedTuple):
    """A way to run full passes.

    Attributes
    ----------
    name : str
    device : Device
    precision : "float32", "tf32", "float16" or "bfloat16"
    fixed : bool
        Use fixed addresses, which CUDA graphs need.
    """

    name: str
    device: Device
    precision: str = "float32"
    fixed: bool = False


def main() -> None:
    """Measure all settings, print the tables, and write them into docs/benchmarks.md if requested."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    options = parser.parse_args()
    start = time.monotonic()
    try:
        cuda = choose_device("cuda")
    except ScbassetZooError as error:
        sys.exit(f"Nothing was measured. {error}")
    parts = ["## Settings of a GPU", f"{graphics_card()}; {machine('onnxruntime-gpu', 'numpy', 'onnx')}"]
    print(parts[-1], flush=True)
    with tempfile.TemporaryDirectory() as cache:
        for part in (mutations, full_passes):
            parts.append(part(settings(cuda, Path(cache)), choose_device("cpu"), Sizes(), start + LIMIT_S))
            print(f"\n{parts[-1]}", flush=True)
    print(f"\n{time.monotonic() - start:.0f} s")
    if options.write:
        write_section("settings of a GPU", "\n\n".join(parts))


def settings(cuda: Device, cache: Path) -> list[Setting]:
    """Return the settings in the order in which they are measured; those that take long to prepare are last.

    Parameters
    ----------
    cuda : Device
    cache : Path
        A folder for what TensorRT makes of the network.
    """

    def on(precision: str, *, graphs: bool = False, **more: str) -> Device:
        name, given = cuda_provider(precision)
        provider = name, given | more
        return replace(cuda, providers=(with_cuda_graphs(provider) if graphs else provider, *cuda.providers[1:]))

    def on_tensorrt(precision: str) -> Device:
        first = with_cuda_graphs(tensorrt_provider(precision, cache))
        return replace(cuda, providers=(first, cuda_provider("tf32"), *cuda.providers[1:]))

    channels_last = on("float16", graphs=True, prefer_nhwc="1")
    return [
        *(Setting(f"CUDA, {precision}", on(precision), precision) for precision in CUDA_PRECISIONS),
        *(
            Setting(f"CUDA, {precision}, CUDA graph", on(precision, graphs=True), precision, fixed=True)
            for precision in CUDA_PRECISIONS
        ),
        Setting("CUDA, float16, channels last, CUDA graph", channels_last, "float16", fixed=True),
        *(
            Setting(f"TensorRT, {precision}, CUDA graph", on_tensorrt(precision), precision, fixed=True)
            for precision in TENSORRT_PRECISIONS
        ),
    ]


def full_passes(chosen: list[Setting], cpu: Device, sizes: Sizes, deadline: float) -> str:
    """Return a table of full passes of each setting: speed by batch size, and differences from the CPU."""
    trunk, rng = random_trunk(), np.random.default_rng(0)
    codes = rng.integers(0, 4, (sizes.n_sequences, LENGTH), dtype=np.int8)
    head = (rng.normal(size=(EMBEDDING_SIZE, N_CELLS)) * 0.5).astype(np.float32)
    compared = codes[: sizes.n_compared]
    expected = embedder(trunk, Setting("CPU", cpu), 32)(compared)
    rows = []
    for setting in chosen:
        cells: list[str] = []
        try:
            for batch in sizes.batches:
                _in_time(deadline)
                embed = embedder(trunk, setting, batch)
                embed(codes[:batch])
                cells.append(f"{len(codes) / seconds(lambda: embed(codes), sizes.repetitions):,.0f}")  # noqa: B023
            got = embed(compared)
            require_rounding(got, expected, setting)
            cells += differences(got, expected, head)
        except Exception as error:  # noqa: BLE001  one setting must not hide the others
            cells = [_why(error)] + [""] * (len(sizes.batches) + 1)
        rows.append([setting.name, *cells])
    header = [f"Full passes of {len(codes):,} sequences", *(f"sequences/s, batch {batch}" for batch in sizes.batches)]
    header += ["largest difference of accessibility", "of logits"]
    return markdown(header, rows) + (
        f"\n\nMedians of {sizes.repetitions} runs, one-hot encoding included. Differences are from float32 on the CPU of the same "
        f"machine, for {len(compared)} sequences in {N_CELLS} cells; the largest logit is {np.abs(expected @ head).max():.0f}."
    )


def mutations(chosen: list[Setting], cpu: Device, sizes: Sizes, deadline: float) -> str:
    """Return a table of the mutation engine of each setting that has no fixed batches: speed, and agreement with the CPU."""
    trunk, rng = random_trunk(), np.random.default_rng(1)
    sequence = rng.integers(0, 4, (1, LENGTH), dtype=np.int8)
    backgrounds = rng.integers(0, 4, (sizes.n_backgrounds, LENGTH), dtype=np.int8)
    motifs = rng.integers(0, 4, (sizes.n_motifs, 12), dtype=np.int8)
    which = np.repeat(np.arange(len(backgrounds)), len(motifs))
    start, inserted = (LENGTH - motifs.shape[1]) // 2, np.tile(motifs, (len(backgrounds), 1))

    def engine(setting: Setting) -> MutationEngine:
        return MutationEngine(trunk, setting.device, embedder(trunk, setting, 256))

    def ism(engine: MutationEngine) -> Array:
        return engine.saturation_mutagenesis(sequence, quiet=True)

    def insertion(engine: MutationEngine) -> Array:
        return engine.effects(backgrounds, start, inserted, reference=which, quiet=True)

    on_cpu = engine(Setting("CPU", cpu))
    expected = ism(on_cpu)
    rows = []
    for setting in chosen:
        if setting.fixed or setting.precision == "float16":
            continue
        try:
            _in_time(deadline)
            tested = engine(setting)
            agreement = [f"{np.abs(ism(tested) - expected).max():.1e}", f"{_r(ism(tested), expected):.6f}"]
            insertion(tested)
            rates = [
                f"{3 * LENGTH / seconds(lambda: ism(tested), sizes.repetitions):,.0f}",  # noqa: B023
                f"{len(inserted) / seconds(lambda: insertion(tested), sizes.repetitions):,.0f}",  # noqa: B023
            ]
            rows.append([setting.name, *rates, *agreement])
        except Exception as error:  # noqa: BLE001  one setting must not hide the others
            rows.append([setting.name, _why(error), "", "", ""])
    header = ["Mutation engine", "ISM, substitutions/s", "motifs inserted/s", "largest difference of ISM", "r of ISM"]
    return markdown(header, rows) + (
        f"\n\nISM of one sequence; {len(motifs)} motifs of {motifs.shape[1]} bp into {len(backgrounds)} backgrounds. Differences "
        f"are of peak embeddings, from the CPU in float32; the largest effect is {np.abs(expected).max():.2g}."
    )


def embedder(trunk: onnx.ModelProto, setting: Setting, batch: int) -> Embed:
    """Return a function that computes peak embeddings by full passes.

    Raises
    ------
    DeviceError
        TensorRT cannot be used.
    FellBack
        A heavy layer does not run on the device of the setting.
    """
    is_tensorrt = setting.device.providers[0][0] == TENSORRT
    if is_tensorrt and (problem := tensorrt_problem(import_onnxruntime())):
        raise DeviceError(f"TensorRT cannot be used: {problem}")
    # TensorRT takes the float32 graph, and lowers the precision itself.
    graph = in_float16(trunk) if setting.precision == "float16" and not is_tensorrt else trunk
    memory = "cpu" if setting.device.name == "cpu" else "cuda"
    if setting.fixed:
        passes = FixedBatches(graph, batch, lambda model: _checked_session(model, setting), memory)
        # A few batches are encoded at once, as one-hot sequences take 16 times the memory of codes.
        return lambda codes: np.concatenate(
            [passes(dna.one_hot(codes[first : first + 4 * batch])) for first in range(0, len(codes), 4 * batch)]
        )
    session = _checked_session(graph.SerializeToString(), setting)

    def embed(codes: dna.Codes) -> Array:
        results = []
        for first in range(0, len(codes), batch):
            binding = session.io_binding()
            binding.bind_cpu_input("sequence", dna.one_hot(codes[first : first + batch]))
            binding.bind_output("peak_embedding", "cpu")
            session.run_with_iobinding(binding)
            results.append(binding.copy_outputs_to_cpu()[0])
        return np.concatenate(results)

    return embed


def _checked_session(model: bytes, setting: Setting) -> Any:
    """Open a session and require that its heavy layers run on the device of the setting."""
    session = open_session(model, setting.device)
    require_options(session, setting.device)
    require_provider(model, setting.device)
    return session


def require_options(session: Any, device: Device) -> None:
    """Require that a session took the options that decide its precision and its CUDA graph.

    Raises
    ------
    FellBack
        It has another value of one of them.
    """
    provider, options = device.providers[0]
    taken = session.get_provider_options().get(provider, {})
    for name in ("use_tf32", "enable_cuda_graph", "prefer_nhwc", "trt_fp16_enable", "trt_bf16_enable", "trt_cuda_graph_enable"):
        if name in options and taken.get(name) != options[name]:
            raise FellBack(f"{provider} has {name}={taken.get(name)}; expected {options[name]}")


def require_provider(model: bytes, device: Device) -> None:
    """Require that the heavy layers of a model run on the first provider of a device.

    ONNX Runtime runs a layer on the CPU, without a word, if the first provider has no program for it.

    Raises
    ------
    FellBack
        One of them runs elsewhere.
    """
    placed = heavy_layers_by_provider(model, device)
    elsewhere = {provider: n for provider, n in placed.items() if provider != device.providers[0][0]}
    if elsewhere or not placed:
        places = ", ".join(f"{n} on {provider}" for provider, n in elsewhere.items()) or "nowhere"
        raise FellBack(f"layers expected on {device.providers[0][0]} run elsewhere: {places}")


def require_rounding(got: Array, expected: Array, setting: Setting) -> None:
    """Require that results in a lower precision differ from those in float32. A GPU without TF32 computes in float32, silently.

    Raises
    ------
    FellBack
        They are as near as those in float32.
    """
    difference = float(np.abs(got - expected).max())
    if setting.precision != "float32" and difference < LEAST_ROUNDING:
        raise FellBack(
            f"its numbers are those of float32 (largest difference {difference:.1e}), so {setting.precision} was not used"
        )


def heavy_layers_by_provider(model: bytes, device: Device) -> Counter[str]:
    """Return how many convolutions and matrix products each provider runs. A subgraph of TensorRT counts as a whole."""
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = onnxruntime.InferenceSession(model, options, providers=list(device.providers))
    placed: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        placed[part.ep_name] += sum(node.op_type in HEAVY for node in part.get_nodes())
    return +placed


def differences(got: Array, expected: Array, head: Array) -> list[str]:
    """Return the largest differences of accessibility and of logits, as text."""
    logits, reference = got @ head, expected @ head
    return [f"{np.abs(_sigmoid(logits) - _sigmoid(reference)).max():.1e}", f"{np.abs(logits - reference).max():.1e}"]


def seconds(run: Callable[[], object], repetitions: int) -> float:
    """Return the median duration of a call."""
    durations = []
    for _ in range(repetitions):
        start = time.perf_counter()
        run()
        durations.append(time.perf_counter() - start)
    return float(np.median(durations))


def _in_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"not measured: the {LIMIT_S} s are over")


def _why(error: Exception) -> str:
    """Return one line for a cell of the table."""
    first = str(error).splitlines()[0] if str(error) else type(error).__name__
    kind = "does not agree with full passes" if isinstance(error, InexactMutations) else "no number"
    return f"{kind}: {first[:240]}".replace("|", "/")


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def _r(x: Array, y: Array) -> float:
    return float(np.corrcoef(x.ravel(), y.ravel())[0, 1])


if __name__ == "__main__":
    main()
