"""Recomputes only what a mutation touches: peak embeddings of edited sequences from the activations of their reference."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.errors import ScbassetZooError
from scbasset_zoo.graph.layers import TrunkLayers, UnsupportedTrunk, read_layers
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import progress, say
from scbasset_zoo.runtime.devices import Device, open_session
from scbasset_zoo.runtime.memory import available_memory
from scbasset_zoo.runtime.mutations import graphs
from scbasset_zoo.runtime.mutations.edits import Edits, as_edits

Array = NDArray[np.float32]
Sequences = str | Sequence[str] | NDArray[Any]
_Groups = list[tuple[NDArray[np.intp], graphs.EditPlan | None]]

TOLERANCE = 1e-4
# Edits at once, where they fit: the fastest of 64 to 1,024 on two cores.
_CHUNK = {"cpu": 512, "cuda": 2048}
# References at once, whose activations are kept: 4 MB each at full width.
_REFERENCES = {"cpu": 16, "cuda": 64}
_MEMORY_SHARE = 0.25
_FULL_PASSES = 256
_CHECKED_EDITS = 8
# Graphs are built for windows of 1 and of multiples of this; a narrower edit leaves the rest of its window as it is.
_WIDTH_STEP = 6
# Graphs kept open, each with its own 40 MB of weights at full width.
_OPEN_GRAPHS = 8


class InexactMutations(ScbassetZooError, RuntimeError):
    """The recomputation of edits differs from full passes of the model."""


class MutationEngine:
    """Peak embeddings of edited sequences.

    What an edit leaves alone is not computed again; the result is that of a full pass but for rounding, which is checked on
    random edits before first use. Where full passes cost less, they are made instead; likewise, and said once, for a trunk
    of another shape.

    Parameters
    ----------
    trunk : onnx.ModelProto
        From `sequence` (N, length, 4) to `peak_embedding` (N, embedding size).
    device : Device
    embed : callable
        Full passes of the same trunk: int8 codes (n, length) to peak embeddings (n, embedding size).
    """

    def __init__(self, trunk: onnx.ModelProto, device: Device, embed: Callable[[dna.Codes], Array]) -> None:
        self._device, self._embed = device, embed
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
            say(f"This model's mutations take full passes, some 20 times slower than a scBasset trunk's. {error}")
        # One cache for each engine, gone with it.
        self._edit_session = functools.lru_cache(_OPEN_GRAPHS)(self._open_edit_session)

    def mutate(
        self,
        references: Sequences,
        starts: ArrayLike,
        bases: Sequences,
        *,
        reference: ArrayLike = 0,
        quiet: bool = False,
    ) -> Array:
        """Peak embeddings of edited sequences; each edit replaces bases of a reference by as many others.

        Parameters
        ----------
        references : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Of the model's length; N is allowed.
        starts : int, or integers (edits,)
            First replaced base of each edit, from 0; one for all if a single number.
        bases : str, sequence of str, or integer codes (edits, width)
            What stands there instead, N allowed; one for all if a single one. Strings may differ in length.
        reference : int, or integers (edits,)
            Which of `references` each edit is of. One call for all edits of a reference is faster than several.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (edits, embedding size)

        Raises
        ------
        InputError
            Sequences of another length; edits that reach beyond them, or are of none of them.
        InexactMutations
            The engine differs from full passes on random edits: use :meth:`Model.embed`.
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
        """What edits change: the peak embedding of the edited sequence minus that of its reference.

        Parameters and errors are those of :meth:`mutate`.

        Returns
        -------
        float32 array of shape (edits, embedding size); 0 where the edit leaves the reference as it is
        """
        codes = dna.as_codes(references, self._length)
        edits = as_edits(codes, starts, bases, reference)
        with progress("mutating", len(edits), quiet=quiet) as advance:
            return self._edited(codes, edits, advance, minus_reference=True)

    def saturation_mutagenesis(self, sequences: Sequences, *, quiet: bool = False) -> Array:
        """Change of the peak embedding for each base at each position.

        Parameters
        ----------
        sequences : str, sequence of str, integer codes (n, length) or one-hot (n, length, 4)
            Of the model's length.
        quiet : bool
            Show no progress.

        Returns
        -------
        float32 array of shape (n, length, 4, embedding size)
            0 at the sequence's own base; against N, all four bases are changes.

        Raises
        ------
        InputError
            Sequences of another length.
        InexactMutations
            As for :meth:`mutate`.
        """
        codes = dna.as_codes(sequences, self._length)
        result = np.empty((*codes.shape, 4, self._embedding_size), np.float32)
        for part, block in self.saturation_mutagenesis_blocks(codes, quiet=quiet):
            result[part] = block
        return result

    def saturation_mutagenesis_blocks(self, sequences: Sequences, *, quiet: bool = False) -> Iterator[tuple[slice, Array]]:
        """As :meth:`saturation_mutagenesis`, a few sequences at a time: memory does not grow with their number.

        Yields
        ------
        slice
            Which sequences.
        float32 array of shape (sequences in the slice, length, 4, embedding size)
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
        """Peak embeddings of edits, a few references at a time."""
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
        """Peak embeddings of edits of references that are kept all at once."""
        results = np.empty((len(edits), self._embedding_size), np.float32)
        groups = self._groups(edits, len(codes), minus_reference)
        for rows, plan in groups:
            chunk_size = _fitting(_CHUNK[self._device.name], plan.bytes_per_edit) if plan else _FULL_PASSES
            session = self._edit_session(plan.width) if plan else None
            for part, chunk in edits.take(rows).parts(chunk_size):
                if plan:
                    results[rows[part]] = self._recomputed(session, plan, codes, chunk)
                else:
                    results[rows[part]] = self._embed(chunk.applied(codes))
                advance(len(chunk))
        incremental = any(plan for _, plan in groups)
        if incremental or minus_reference:
            embedding = self._activations(codes).embedding if incremental else self._embed(codes)
            same = edits.change_nothing(codes)
            results[same] = embedding[edits.reference[same]]
        if minus_reference:
            results -= embedding[edits.reference]
        return results

    def _groups(self, edits: Edits, n_references: int, minus_reference: bool) -> _Groups:
        """Edits that share a graph, or None for full passes, whichever costs fewer multiplications."""
        everything: _Groups = [(np.arange(len(edits)), None)]
        if self._layers is None:
            return everything
        full = graphs.full_multiplications(self._layers)
        windows = np.minimum(np.where(edits.width == 1, 1, -(-edits.width // _WIDTH_STEP) * _WIDTH_STEP), self._length)
        groups: _Groups = []
        cost = n_references * full
        for window in np.unique(windows):
            rows = np.flatnonzero(windows == window)
            plan = graphs.plan_edits(self._layers, int(window))
            cost += len(rows) * min(plan.multiplications, full)
            groups.append((rows, plan if plan.multiplications < full else None))
        return groups if cost < (len(edits) + n_references * minus_reference) * full else everything

    def _recomputed(self, session: Any, plan: graphs.EditPlan, codes: dna.Codes, edits: Edits) -> Array:
        """Peak embeddings of edits from the activations of their references."""
        activations = self._activations(codes)
        start, before, after = edits.windows(codes, plan.width)
        inputs = {
            "change": graphs.changes(plan.layers, before, after),
            **graphs.indices(plan, start, edits.reference),
        }
        return _run(session, inputs | activations.tables, "cpu")["peak_embedding"].numpy()

    def _activations(self, codes: dna.Codes) -> _Activations:
        """Of these references; the last ones are kept, for calls that ask for more edits of them."""
        if self._last_activations is None or not np.array_equal(self._last_activations.codes, codes):
            self._last_activations = None
            tables = _run(self._reference_session, {"sequence": dna.one_hot(codes)}, self._device.name)
            embedding = tables.pop("peak_embedding").numpy()
            self._last_activations = _Activations(codes, tables, embedding)
        return self._last_activations

    @functools.cached_property
    def _n_references(self) -> int:
        """References whose activations are kept at once."""
        wanted = _REFERENCES[self._device.name]
        return wanted if self._layers is None else _fitting(wanted, graphs.reference_bytes(self._layers))

    @functools.cached_property
    def _reference_session(self) -> Any:
        assert self._layers is not None
        return open_session(graphs.reference_graph(self._layers).SerializeToString(), self._device)

    def _open_edit_session(self, width: int) -> Any:
        """A session for edits in windows of `width` bases, checked against full passes."""
        assert self._layers is not None
        plan = graphs.plan_edits(self._layers, width)
        session = open_session(graphs.edit_graph(plan).SerializeToString(), self._device)
        codes, edits = _random_edits(self._length, width)
        difference = np.abs(self._recomputed(session, plan, codes, edits) - self._embed(edits.applied(codes))).max()
        if not difference <= TOLERANCE:
            raise InexactMutations(
                f"Peak embeddings of edits of {width} bp differ from full passes by up to {difference:.2g}; at most "
                f"{TOLERANCE:g} is allowed. Please report this model; embed the edited sequences themselves meanwhile."
            )
        return session


@dataclass(frozen=True)
class _Activations:
    """What the graph of references computes of `codes`: `tables` stay on the device."""

    codes: dna.Codes
    tables: dict[str, Any]
    embedding: Array


def _random_edits(length: int, width: int) -> tuple[dna.Codes, Edits]:
    """Two sequences, one with N, and edits of both, at both ends among other places."""
    rng = np.random.default_rng(width)
    codes = rng.integers(0, [[dna.N], [dna.N + 1]], (2, length), dtype=np.int8)
    start = np.concatenate([[0, length - width], rng.integers(0, length - width + 1, _CHECKED_EDITS - 2)])
    bases = rng.integers(0, dna.N + 1, (_CHECKED_EDITS, width), dtype=np.int8)
    return codes, Edits(rng.integers(0, 2, _CHECKED_EDITS), start, np.full(_CHECKED_EDITS, width), bases)


def _run(session: Any, inputs: Mapping[str, Any], device: str) -> dict[str, Any]:
    """All outputs of a session, left on `device`, as OrtValues by name; inputs are arrays or OrtValues."""
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


def _fitting(wanted: int, bytes_each: int) -> int:
    """`wanted`, or as many as a share of the free memory holds."""
    available = available_memory()
    return wanted if available is None else max(1, min(wanted, int(available * _MEMORY_SHARE) // bytes_each))
