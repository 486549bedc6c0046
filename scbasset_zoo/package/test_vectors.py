"""The test vectors of a package, tests/: sequences, and what the network makes of them."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.card import MAX_TEST_SEQUENCES, Card

MAX_CELLS = 1_000
SEQUENCES = "tests/sequences.txt"
EXPECTED = "tests/expected.npz"
_MAX_HEADER = 1_024


def choose_sequences(sequences: Sequence[str] | None, length: int) -> list[str]:
    """The given sequences, or random ones; one with N is added where there is none.

    Raises
    ------
    InputError
        Sequences of another length, no DNA, or too many.
    """
    if sequences is None:
        sequences = [dna.decode(codes) for codes in np.random.default_rng(0).integers(0, 4, (3, length), dtype=np.int8)]
    tests = [dna.decode(codes) for codes in dna.as_codes(list(sequences), length)]
    if not any("N" in sequence for sequence in tests):
        third = length // 3
        tests.append(tests[0][:third] + "N" * third + tests[0][2 * third :])
    if len(tests) > MAX_TEST_SEQUENCES:
        raise InputError(f"A package has at most {MAX_TEST_SEQUENCES} test sequences, one of them with N; found {len(tests)}.")
    return tests


def write_vectors(folder: Path, sequences: Sequence[str], outputs: Iterable[Mapping[str, NDArray[np.float32]]]) -> None:
    """Write sequences and the outputs of each; of many cells, a thousand evenly spaced ones are kept."""
    (folder / "tests").mkdir()
    (folder / SEQUENCES).write_text("".join(f"{sequence}\n" for sequence in sequences), encoding="ascii", newline="\n")
    kept = []
    for each in outputs:
        n_cells = each["logits"].shape[1]
        cells = np.linspace(0, n_cells - 1, min(n_cells, MAX_CELLS)).astype(np.int64)
        kept.append({name: values if name == "peak_embedding" else values[:, cells] for name, values in each.items()})
    arrays = {name: np.concatenate([each[name] for each in kept]) for name in kept[0]}
    np.savez_compressed(folder / EXPECTED, cells=cells, **arrays)  # type: ignore[arg-type]


def read_sequences(folder: Path, card: Card) -> dna.Codes:
    """The sequences, (n_sequences, length), a line each.

    Raises
    ------
    PackageError, InputError
        There are not as many as the card says, or they are no DNA of its length.
    """
    path, n, length = folder / SEQUENCES, card.tests.n_sequences, card.input.length
    expected, found = n * (length + 1), path.stat().st_size
    if found != expected:
        raise PackageError(f"has {found:,} bytes; {n} lines of {length:,} bases, as the card says, have {expected:,}")
    return dna.as_codes(path.read_text(encoding="ascii").split(), length)


def read_expected(folder: Path, card: Card) -> tuple[NDArray[np.intp], dict[str, NDArray[Any]]]:
    """Positions of the cells that were kept, and the expected values of each output.

    The archive's directory and each array's header are looked at before anything is unpacked.

    Raises
    ------
    PackageError
        It is no .npz of exactly these arrays, or they are larger or of other types than the card allows.
    """
    path = folder / EXPECTED
    if not zipfile.is_zipfile(path):
        raise PackageError("not a NumPy .npz file")
    names = ("cells", *card.output_names)
    with zipfile.ZipFile(path) as archive:
        if sorted(archive.namelist()) != sorted(f"{name}.npy" for name in names):
            raise PackageError(f"must hold the arrays {', '.join(names)} and nothing else; found {archive.namelist()[:20]}")
        cells = _read_array(archive, "cells", card.cells.n_cells, "iu")
        if cells.ndim != 1 or not len(cells) or not np.isin(cells, np.arange(card.cells.n_cells)).all():
            raise PackageError(f"'cells' must be positions of cells, 0 to {card.cells.n_cells - 1:,}")
        n_values = card.tests.n_sequences * max(len(cells), card.architecture.embedding_size)
        return cells.astype(np.intp), {name: _read_array(archive, name, n_values, "f") for name in card.output_names}


def _read_array(archive: zipfile.ZipFile, name: str, max_values: int, kinds: str) -> NDArray[Any]:
    info = archive.getinfo(f"{name}.npy")
    if info.file_size > _MAX_HEADER + 8 * max_values:
        raise PackageError(f"{name!r} unpacks to {info.file_size:,} bytes; the card allows {max_values:,} numbers")
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise PackageError(f"{name!r} is no plain NumPy array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
        if dtype.kind not in kinds:
            raise PackageError(f"{name!r} holds {dtype}, not numbers of the right kind; objects are never unpickled")
        raw = file.read()
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise PackageError(f"{name!r} has {len(raw):,} bytes for the shape {shape} that it declares")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
