"""Peak embeddings of edited sequences, computed from the activations of their reference: only what an edit changes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.graph.layer_reader import read_layers
from scbasset_zoo.graph.layers import TrunkLayers, UnsupportedTrunk
from scbasset_zoo.graph.plain_run import import_onnxruntime
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress, say
from scbasset_zoo.runtime.devices import Device, open_session, usable_cores
from scbasset_zoo.runtime.memory import n_that_fit
from scbasset_zoo.runtime.mutations import graphs
from scbasset_zoo.runtime.mutations.edits import Edits, as_edits

Array = NDArray[np.float32]
Sequences = str | Sequence[str] | NDArray[Any]
# Rows of edits that share a graph, and its plan; the plan is None for edits that take full passes.
_Groups = list[tuple[NDArray[np.intp], graphs.EditPlan | None]]

# Largest difference from full passes that is accepted, in units of the peak embedding. Both round their sums of float32 numbers
# in each of some ten layers. For embeddings of up to 10, 1e-4 is 80 units in the last place; it grows with larger embeddings.
TOLERANCE = 1e-4
LARGE_EMBEDDING = 10
# Edits of a run, if they fit in memory. On CPUs, 168 to 672 are about as fast.
_CHUNK_SIZE = {"cpu": 168, "cuda": 2016}
# Edits of a run at least, where fewer would keep more threads busy. Each run packs all kernels, which takes as long as some 50
# edits.
_SMALLEST_CHUNK = {"cpu": 48, "cuda": 2016}
# From this number of edits of a width on, they are grouped by their start, each group with a graph of its own.
_MANY_EDITS = 1_000
# References whose activations are kept at once. One takes 4 MB at full width.
_MAX_REFERENCES = {"cpu": 16, "cuda": 64}
# Share of the free memory that edits, or references, may take.
_MEMORY_SHARE = 0.25
_FULL_PASSES_AT_ONCE = 256
_N_CHECKED_EDITS = 6
# Graphs are made for windows of 1 bp and of multiples of this width. The rest of a window keeps the bases of the reference.
_WIDTH_STEP = 6
# Graphs that stay open. They share their weights, at full width 66 MB for edits of one base and 130 MB up to 30 bp.
_MAX_OPEN_GRAPHS = 32


class InexactMutations(ScbassetZooError, RuntimeError):
    """Peak embeddings of edits differ from full passes of the model by more than rounding."""


class MutationEngine:
    """Computes peak embeddings of edited sequences from the activations of their reference.

    A full pass runs a whole sequence through the trunk. The engine computes only the positions that an edit changes. The result
    equals that of a full pass except for rounding; the engine checks this with random edits before it uses a window width for
    the first time. It runs full passes if they need fewer multiplications, or if the trunk has another structure than
    scBasset's; in the second case it prints one line.

    Parameters
    ----------
    trunk : onnx.ModelProto
        Computes `peak_embedding` (N, embedding size) from `sequence` (N, length, 4).
    device : Device
    embed : callable
        Runs full passes of the same trunk: int8 codes (n, length) to peak embeddings (n, embedding size).

    Attributes
    ----------
    embed : callable
        As given. Subtract its results from those of :meth:`mutate`: `Model.embed` may have another precision.
    """

    def __init__(self, trunk: onnx.ModelProto, device: Device, embed: Callable[[dna.Codes], Array]) -> None:
        self._device, self.embed = device, embed
        shapes = {value.name: value.type.tensor_type.shape.dim for value in (*trunk.graph.input, *trunk.graph.output)}
        self._length: int = shapes["sequence"][1].dim_value
        self._embedding_size: int = shapes["peak_embedding"][1].dim_value
        self._last_activations: _Activations | None = None
        self._layers: TrunkLayers | None = None
        try:
            layers = read_layers(trunk)
            graphs.plan_edits(layers, 1)
            self._layers = layers
        except UnsupportedTrunk as error:
            say(f"Mutations of this model take full passes, which are some 20 times slower than for a scBasset trunk. {error}")
        # Caches of this engine alone, which are deleted with it.
        self._open_sessions: dict[tuple[int, ...], Any] = {}
        self._kernels = functools.lru_cache(None)(self._place_kernels)

    def __repr__(self) -> str:
        return f"MutationEngine({self._length:,} bp, on {self._device})"

    def mutate(
        self,
        references: Sequences,
        starts: ArrayLike,
        bases: Sequences,
        *,
        reference: ArrayLike = 0,
        quiet: bool = False,
    ) -> Array:
        """Return the peak embeddings of edited sequences. Each edit replaces bases of a reference by as many others.

        Parameters
        ----------
        references : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Sequences of the model's length; N is allowed.
        starts : int, or integers (n_edits,)
            First replaced base of each edit, counting from 0. A single number is used for all edits.
        bases : str, sequence of str, or integer codes (n_edits, width)
            New bases of each edit; N is allowed. Strings may differ in length. A single string is used for all edits.
        reference : int, or integers (n_edits,)
            Position in `references` of the sequence that each edit changes. One call with all edits of a reference is faster
            than several calls.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n_edits, embedding size)

        Raises
        ------
        InputError
            A sequence has another length, an edit reaches beyond its reference, or a reference does not exist.
        InexactMutations
            The engine differs from full passes on random edits. Edit the sequences and use :meth:`Model.embed`.
        """
        codes = dna.as_codes(references, self._length)
        edits = as_edits(codes, starts, bases, reference)
        with progress("mutating", len(edits), quiet=quiet) as advance:
            return self._edited(codes, edits, advance)

    def effects(
        self,
        references: Sequences,
        starts: ArrayLike,
        bases: Sequences,
        *,
        reference: ArrayLike = 0,
        quiet: bool = False,
    ) -> Array:
        """Return the effects of edits: the peak embedding of the edited sequence minus that of its reference.

        Parameters and errors are those of :meth:`mutate`.

        Returns
        -------
        float32 array of shape (n_edits, embedding size)
            0 for an edit that does not change its reference.
        """
        codes = dna.as_codes(references, self._length)
        edits = as_edits(codes, starts, bases, reference)
        with progress("mutating", len(edits), quiet=quiet) as advance:
            return self._edited(codes, edits, advance, minus_reference=True)

    def saturation_mutagenesis(self, sequences: Sequences, *, quiet: bool = False) -> Array:
        """Return the change of the peak embedding for each base at each position (in silico saturation mutagenesis).

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Sequences of the model's length.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n, length, 4, embedding size)
            Bases are in the order A, C, G, T. The change is 0 for the base of the sequence; at an N, all four bases change it.

        Raises
        ------
        InputError
            A sequence has another length.
        InexactMutations
            As for :meth:`mutate`.
        """
        codes = dna.as_codes(sequences, self._length)
        result = np.empty((*codes.shape, 4, self._embedding_size), np.float32)
        for part, block in self.saturation_mutagenesis_blocks(codes, quiet=quiet):
            result[part] = block
        return result

    def saturation_mutagenesis_blocks(self, sequences: Sequences, *, quiet: bool = False) -> Iterator[tuple[slice, Array]]:
        """Yield the result of :meth:`saturation_mutagenesis` for a few sequences at a time, in constant memory.

        Yields
        ------
        slice
            The sequences of this block.
        float32 array of shape (sequences in the block, length, 4, embedding size)
        """
        codes = dna.as_codes(sequences, self._length)
        with progress("mutating every base", codes.size * 4, quiet=quiet) as advance:
            for first in range(0, len(codes), self._n_references):
                part = slice(first, min(first + self._n_references, len(codes)))
                is_change = codes[part, :, None] != np.arange(4, dtype=np.int8)
                reference, start, base = np.nonzero(is_change)
                edits = Edits(reference, start, np.ones_like(start), base[:, None].astype(np.int8))
                changes = self._edited(codes[part], edits, advance, minus_reference=True)
                result = np.zeros((*is_change.shape, changes.shape[1]), np.float32)
                result[is_change] = changes
                advance(is_change.size - len(edits))
                yield part, result

    def _edited(self, codes: dna.Codes, edits: Edits, advance: Callable[[int], None], minus_reference: bool = False) -> Array:
        """Return the peak embeddings of edits, or their effects. A few references are processed at a time."""
        used, reference = np.unique(edits.reference, return_inverse=True)
        order, size = np.argsort(reference, kind="stable"), self._n_references
        bounds = np.searchsorted(reference[order], np.arange(0, len(used) + size, size))
        results = np.empty((len(edits), self._embedding_size), np.float32)
        if len(edits) == 0:
            return results
        for block, rows in enumerate(np.split(order, bounds[1:-1])):
            part = edits.take(rows)
            part = Edits(reference[rows] - block * size, part.start, part.width, part.bases)
            results[rows] = self._run_block(codes[used[block * size :][:size]], part, advance, minus_reference)
        return results

    def _run_block(self, codes: dna.Codes, edits: Edits, advance: Callable[[int], None], minus_reference: bool) -> Array:
        """Return the peak embeddings, or the effects, of edits of so few references that all their activations fit in memory."""
        results = np.empty((len(edits), self._embedding_size), np.float32)
        groups = self._groups(edits, len(codes), minus_reference)
        for rows, plan in groups:
            of_group = edits.take(rows)
            if plan:
                run = functools.partial(self._run_edits, self._edit_session(plan), plan, self._activations(codes))
                parts = list(of_group.parts(self._chunk_size(plan, len(rows))))
                self._run_at_once(run, parts, results, rows, advance)
            else:
                for part, chunk in of_group.parts(_FULL_PASSES_AT_ONCE):
                    results[rows[part]] = self.embed(chunk.applied(codes))
                    advance(len(chunk))
        incremental = any(plan for _, plan in groups)
        if incremental or minus_reference:
            embedding = self._activations(codes).embedding if incremental else self.embed(codes)
            unchanged = edits.change_nothing(codes)
            results[unchanged] = embedding[edits.reference[unchanged]]
        if minus_reference:
            results -= embedding[edits.reference]
        return results

    def _groups(self, edits: Edits, n_references: int, minus_reference: bool) -> _Groups:
        """Group edits by the graph that computes them, or by none for full passes, for the fewest multiplications."""
        full_passes: _Groups = [(np.arange(len(edits)), None)]
        if self._layers is None:
            return full_passes
        full_cost = graphs.full_multiplications(self._layers)
        groups: _Groups = []
        cost = n_references * full_cost
        for plan, rows in self._plans(edits):
            cost += len(rows) * min(plan.multiplications, full_cost)
            groups.append((rows, plan if plan.multiplications < full_cost else None))
        return groups if cost < (len(edits) + n_references * minus_reference) * full_cost else full_passes

    def _plans(self, edits: Edits) -> Iterator[tuple[graphs.EditPlan, NDArray[np.intp]]]:
        """Yield plans, and the rows of the edits of each. Plans that fit their start are for many edits only."""
        assert self._layers is not None
        windows = np.minimum(np.where(edits.width == 1, 1, -(-edits.width // _WIDTH_STEP) * _WIDTH_STEP), self._length)
        for window in np.unique(windows):
            rows = np.flatnonzero(windows == window)
            if len(rows) < _MANY_EDITS:
                yield graphs.plan_edits(self._layers, int(window)), rows
                continue
            phase = np.minimum(edits.start[rows], self._length - window) % graphs.start_period(self._layers)
            plans = {start: graphs.plan_edits(self._layers, int(window), int(start)) for start in np.unique(phase)}
            for plan in {plan.sizes: plan for plan in plans.values()}.values():
                yield plan, rows[np.isin(phase, [start for start, other in plans.items() if other.sizes == plan.sizes])]

    def _run_at_once(
        self,
        run: Callable[[Edits], Array],
        parts: list[tuple[slice, Edits]],
        results: Array,
        rows: NDArray[np.intp],
        advance: Callable[[int], None],
    ) -> None:
        """Run parts of edits in as many threads as the device has, and write the results of each part into its rows."""
        executor = ThreadPoolExecutor(self._n_threads)
        try:
            for (part, chunk), embeddings in zip(parts, [executor.submit(run, chunk) for _, chunk in parts], strict=True):
                results[rows[part]] = embeddings.result()
                advance(len(chunk))
        finally:
            executor.shutdown(cancel_futures=True)

    @functools.cached_property
    def _n_threads(self) -> int:
        """Number of runs at once, each on one core: the many small operations of a run would keep several cores waiting."""
        return 1 if self._device.is_gpu else self._device.threads or usable_cores()

    def _chunk_size(self, plan: graphs.EditPlan, n_edits: int) -> int:
        """Return how many edits run at once in a thread, so that all threads have as many runs, if there are edits enough."""
        name, n_threads = self._device.name, self._n_threads
        most = n_that_fit(_CHUNK_SIZE[name], plan.bytes_per_edit * n_threads, _MEMORY_SHARE)
        n_runs = -(-n_edits // (most * n_threads)) * n_threads
        return max(min(most, _SMALLEST_CHUNK[name]), -(-n_edits // n_runs))

    def _run_edits(self, session: Any, plan: graphs.EditPlan, activations: _Activations, edits: Edits) -> Array:
        """Return the peak embeddings of edits, computed from the activations of their references."""
        start, before, after = edits.windows(activations.codes, plan.width)
        inputs = {
            **graphs.edit_inputs(plan, start, edits.reference, before, after),
            **{f"kernels_{number}": self._kernels(number, size) for number, size in plan.n_changed.items()},
        }
        return _run(session, inputs | activations.tables, "cpu")["peak_embedding"].numpy()

    def _activations(self, codes: dna.Codes) -> _Activations:
        """Return the activations of references. The latest are kept, because the next call often edits the same references.

        Another thread may replace those that are kept at any time, so each call works on its own.
        """
        last = self._last_activations
        if last is not None and np.array_equal(last.codes, codes):
            return last
        self._last_activations = last = None  # frees their memory
        self._last_activations = activations = self._compute_activations(codes)
        return activations

    def _compute_activations(self, codes: dna.Codes) -> _Activations:
        """Run the graph of references."""
        tables = _run(self._reference_session, {"sequence": dna.one_hot(codes)}, self._device.name)
        embedding = tables.pop("peak_embedding").numpy()
        return _Activations(codes, tables, embedding)

    @functools.cached_property
    def _n_references(self) -> int:
        """Number of references whose activations are kept at once."""
        most = _MAX_REFERENCES[self._device.name]
        return most if self._layers is None else n_that_fit(most, graphs.reference_bytes(self._layers), _MEMORY_SHARE)

    @functools.cached_property
    def _reference_session(self) -> Any:
        assert self._layers is not None
        return open_session(graphs.reference_graph(self._layers).SerializeToString(), self._device)

    def _place_kernels(self, number: int, n_changed: int) -> Any:
        """Return the kernels of a block as an OrtValue on the device."""
        assert self._layers is not None
        return import_onnxruntime().OrtValue.ortvalue_from_numpy(
            graphs.kernels(self._layers.blocks[number], n_changed), self._device.name
        )

    def _edit_session(self, plan: graphs.EditPlan) -> Any:
        """Return the session for a plan. The first time, it is opened and checked against full passes."""
        session = self._open_sessions.get(plan.sizes)
        if session is None:
            session = open_session(graphs.edit_graph(plan).SerializeToString(), replace(self._device, threads=1))
            self._check(session, plan)
            if len(self._open_sessions) >= _MAX_OPEN_GRAPHS:
                self._open_sessions.pop(next(iter(self._open_sessions)), None)
            self._open_sessions[plan.sizes] = session
        return session

    def _check(self, session: Any, plan: graphs.EditPlan) -> None:
        """Compare random edits of a plan with full passes."""
        codes, edits = self._random_edits(plan)
        expected = self.embed(edits.applied(codes))
        difference = np.abs(self._run_edits(session, plan, self._compute_activations(codes), edits) - expected).max()
        tolerance = TOLERANCE * max(1.0, np.abs(expected).max() / LARGE_EMBEDDING)
        # Written so that NaN and infinity fail.
        if not difference <= tolerance < np.inf:
            raise InexactMutations(
                f"Peak embeddings of edits of {plan.width} bp differ from full passes by up to {difference:.2g}; at most "
                f"{tolerance:.2g} is allowed. Edit the sequences and use model.embed instead, and please report this model."
            )

    def _random_edits(self, plan: graphs.EditPlan) -> tuple[dna.Codes, Edits]:
        """Return two sequences, one of them with N, and edits of both: at both ends and between, at starts that the plan is for."""
        assert self._layers is not None
        rng = np.random.default_rng(plan.width)
        codes = rng.integers(0, [[dna.N], [dna.N + 1]], (2, self._length), dtype=np.int8)
        starts, period = np.arange(self._length - plan.width + 1), graphs.start_period(self._layers)
        if plan.sizes != graphs.plan_edits(self._layers, plan.width).sizes:
            same = [graphs.plan_edits(self._layers, plan.width, phase).sizes == plan.sizes for phase in range(period)]
            starts = starts[np.array(same)[starts % period]]
        start = np.concatenate([starts[[0, -1]], rng.choice(starts, _N_CHECKED_EDITS - 2)])
        bases = rng.integers(0, dna.N + 1, (_N_CHECKED_EDITS, plan.width), dtype=np.int8)
        return codes, Edits(rng.integers(0, 2, _N_CHECKED_EDITS), start, np.full(_N_CHECKED_EDITS, plan.width), bases)


@dataclass(frozen=True)
class _Activations:
    """Outputs of the reference graph for some references.

    Attributes
    ----------
    codes : int8 codes of shape (n, length)
        The references.
    tables : dict of OrtValue
        Activations of each layer. They stay on the device.
    embedding : float32 array of shape (n, embedding size)
    """

    codes: dna.Codes
    tables: dict[str, Any]
    embedding: Array


def _run(session: Any, inputs: Mapping[str, Any], device: str) -> dict[str, Any]:
    """Run a session and return all outputs by name, as OrtValues on `device`. Inputs are arrays or OrtValues."""
    binding = session.io_binding()
    for name in (value.name for value in session.get_inputs()):
        value = inputs[name]
        if isinstance(value, np.ndarray):
            binding.bind_cpu_input(name, np.ascontiguousarray(value))
        else:
            binding.bind_ortvalue_input(name, value)
    names = [value.name for value in session.get_outputs()]
    for name in names:
        binding.bind_output(name, device)
    session.run_with_iobinding(binding)
    return dict(zip(names, binding.get_outputs(), strict=True))
