"""The test vectors of a package, in tests/: sequences, and the outputs of the network for them."""

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
    """Return the given test sequences, or random ones. One with N is added if none has N.

    Raises
    ------
    InputError
        A sequence is not DNA or has another length, or there are too many.
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
    """Write sequences and the outputs for each of them, for at most MAX_CELLS cells, evenly spaced.

    Parameters
    ----------
    folder : Path
        The folder of the package, which has no folder `tests` yet.
    sequences : sequence of str
    outputs : iterable of mappings
        The arrays by name of output, (1, n_cells) or (1, embedding_size), for one sequence after another.
    """
    (folder / "tests").mkdir()
    (folder / SEQUENCES).write_text("".join(f"{sequence}\n" for sequence in sequences), encoding="ascii", newline="\n")
    by_sequence = []
    for arrays in outputs:
        n_cells = arrays["logits"].shape[1]
        cells = np.linspace(0, n_cells - 1, min(n_cells, MAX_CELLS)).astype(np.int64)
        by_sequence.append({name: values if name == "peak_embedding" else values[:, cells] for name, values in arrays.items()})
    expected = {name: np.concatenate([arrays[name] for arrays in by_sequence]) for name in by_sequence[0]}
    np.savez_compressed(folder / EXPECTED, cells=cells, **expected)  # type: ignore[arg-type]


def read_sequences(folder: Path, card: Card) -> dna.Codes:
    """Read the test sequences as codes, (n_sequences, length).

    Raises
    ------
    PackageError, InputError
        The number of sequences or their length is not that of the card, or they are not DNA.
    """
    path, n, length = folder / SEQUENCES, card.tests.n_sequences, card.input.length
    expected, size = n * (length + 1), path.stat().st_size
    if size != expected:
        raise PackageError(f"has {size:,} bytes; {n} lines of {length:,} bases, as the card says, have {expected:,}")
    return dna.as_codes(path.read_text(encoding="ascii").split(), length)


def read_expected(folder: Path, card: Card) -> tuple[NDArray[np.intp], dict[str, NDArray[Any]]]:
    """Read the expected outputs.

    The directory of the archive and the header of each array are checked before anything is unpacked.

    Returns
    -------
    cells : int array
        Positions of the cells that the outputs are for.
    expected : dict
        The expected values by name of output.

    Raises
    ------
    PackageError
        The file is not an .npz of exactly these arrays, or the arrays have other types or more values than the card allows.
    """
    try:
        return _read_expected(folder / EXPECTED, card)
    except PackageError:
        raise
    except Exception as error:  # a damaged archive fails in many ways
        raise PackageError(f"cannot be read: {error}") from error


def _read_expected(path: Path, card: Card) -> tuple[NDArray[np.intp], dict[str, NDArray[Any]]]:
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
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise PackageError(f"{name!r} is compressed in another way than NumPy does")
    if info.file_size > _MAX_HEADER + 8 * max_values:
        raise PackageError(f"{name!r} unpacks to {info.file_size:,} bytes; the card allows {max_values:,} numbers")
    with archive.open(info) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise PackageError(f"{name!r} is not a plain NumPy array")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(file, max_header_size=_MAX_HEADER)
        if dtype.kind not in kinds:
            raise PackageError(f"{name!r} holds {dtype}, not numbers of the right kind; objects are never unpickled")
        raw = file.read()
    if math.prod(shape) * dtype.itemsize != len(raw):
        raise PackageError(f"{name!r} has {len(raw):,} bytes for the shape {shape} that it declares")
    return np.frombuffer(raw, dtype).reshape(shape, order="F" if fortran else "C")
