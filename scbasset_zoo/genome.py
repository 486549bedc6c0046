"""A genome's sequence by coordinates: plain or bgzip FASTA to codes, checked against the assembly it should be."""

from __future__ import annotations

import gzip
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyfaidx
from numpy.typing import ArrayLike, NDArray

from scbasset_zoo.dna import Codes, N, encode
from scbasset_zoo.errors import InputError
from scbasset_zoo.progress import say

# Windows that lie closer than GAP are read in one go, but never more than STRETCH (bp) at once.
GAP = 1 << 16
STRETCH = 1 << 22
# The same assembly is distributed with different mitochondrial sequences (hg19: 16,571 or 16,569 bp), so it proves nothing.
MITOCHONDRIA = {"chrM", "chrMT"}


class Genome:
    """A FASTA file (plain or bgzip), read by coordinates.

    The index (`.fai`, and `.gzi` for bgzip) is made beside the file when it is missing or older than the file. Reading
    opens the file anew each time, so one Genome serves many threads and may be pickled.

    Parameters
    ----------
    path : str or Path
        The FASTA. A symbolic link is indexed beside the link.

    Attributes
    ----------
    chromosome_sizes : dict of str to int
        Length of each chromosome in bp, in the file's order.

    Raises
    ------
    InputError
        The file is missing, empty, no FASTA, gzip but not bgzip, names a chromosome twice, or has no index in a folder
        that cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        compressed = _compression(self.path)
        self._records, self._blocks = _index(self.path, compressed)
        self.chromosome_sizes: dict[str, int] = {name: record.rlen for name, record in self._records.items()}

    def __repr__(self) -> str:
        return f"Genome({str(self.path)!r}, {len(self.chromosome_sizes):,} chromosomes)"

    def codes(self, chrom: str, start: int, end: int) -> Codes:
        """Codes of `chrom` from `start` to `end` (0-based, half-open); N wherever that lies outside the chromosome.

        Returns
        -------
        int8 array of shape (end - start,)

        Raises
        ------
        InputError
            The FASTA has no such chromosome, or is damaged there.
        """
        self.require([chrom])
        codes = np.full(max(end - start, 0), N, dtype=np.int8)
        first, last = max(start, 0), min(end, self.chromosome_sizes[chrom])
        if first < last:
            codes[first - start : last - start] = self._letters(chrom, first, last)
        return codes

    def windows(self, chroms: Sequence[str] | NDArray[np.object_], starts: ArrayLike, length: int) -> Codes:
        """Codes of many windows of one length, in the order given; N beyond a chromosome's ends.

        Parameters
        ----------
        chroms : sequence of str, n
            The chromosome of each window.
        starts : integers, n
            The first base of each window, 0-based; may be negative.
        length : int
            In bp.

        Returns
        -------
        int8 array of shape (n, length)

        Raises
        ------
        InputError
            As for :meth:`codes`.
        """
        names = np.asarray(chroms, dtype=object)
        first = np.asarray(starts, dtype=np.int64)
        windows = np.full((len(first), length), N, dtype=np.int8)
        distinct, chrom_number = np.unique(names.astype(str), return_inverse=True)
        self.require(distinct.tolist())
        order = np.lexsort((first, chrom_number))
        chrom_number, first = chrom_number[order], first[order]
        # A new stretch begins at a new chromosome, after a gap, or in a new bin of STRETCH bp.
        breaks = (np.diff(chrom_number) != 0) | (np.diff(first) > length + GAP) | (np.diff(first // STRETCH) != 0)
        for group in np.split(np.arange(len(order)), np.flatnonzero(breaks) + 1):
            if len(group):
                low, high = int(first[group[0]]), int(first[group[-1]]) + length
                stretch = self.codes(str(distinct[chrom_number[group[0]]]), low, high)
                windows[order[group]] = np.lib.stride_tricks.sliding_window_view(stretch, length)[first[group] - low]
        return windows

    def require(self, chroms: Iterable[str]) -> None:
        """Raise InputError unless the FASTA has every one of these chromosomes."""
        missing = [chrom for chrom in dict.fromkeys(chroms) if chrom not in self.chromosome_sizes]
        if missing:
            raise InputError(
                f"{self.path} has no chromosome {_some(missing)}; it has {_some(self.chromosome_sizes)}."
                + naming_hint(missing, self.chromosome_sizes)
            )

    def _letters(self, chrom: str, start: int, end: int) -> Codes:
        record = self._records[chrom]
        break_width = record.lenb - record.lenc
        first = record.offset + start + start // record.lenc * break_width
        last = record.offset + end + (end - 1) // record.lenc * break_width
        raw = np.frombuffer(self._bytes(first, last), dtype=np.uint8)
        letters = raw[(raw != ord("\n")) & (raw != ord("\r"))]
        if len(letters) != end - start or ord(">") in letters:
            raise InputError(
                f"{self.path}: {chrom}:{start:,}-{end:,} is not where the index {self.path.name}.fai says. The file has "
                f"changed or was cut short: delete {self.path.name}.fai (and .gzi), or fetch the FASTA again."
            )
        return encode(letters.tobytes())

    def _bytes(self, first: int, last: int) -> bytes:
        with self.path.open("rb") as file:
            if self._blocks is None:
                file.seek(first)
                return file.read(last - first)
            starts, positions = self._blocks
            block = int(np.searchsorted(starts, first, side="right")) - 1
            after = int(np.searchsorted(starts, last, side="left"))
            file.seek(int(positions[block]))
            size = int(positions[after] - positions[block]) if after < len(positions) else -1
            try:
                text = gzip.decompress(file.read(size))
            except (OSError, EOFError, zlib.error) as error:
                raise InputError(
                    f"{self.path} is damaged or does not fit its index ({error}). Delete {self.path.name}.gzi and .fai, "
                    "or fetch the FASTA again."
                ) from error
        return text[first - int(starts[block]) : last - int(starts[block])]


def check_assembly(assembly: str, chromosome_sizes: Mapping[str, int]) -> None:
    """Refuse a FASTA that is not the assembly it is said to be, by the lengths of its main chromosomes.

    Parameters
    ----------
    assembly : str
        As "hg19". Names that are not known are accepted, with a line on standard error.
    chromosome_sizes : mapping of str to int
        Of the FASTA, in bp; names with or without "chr". The mitochondrial chromosome is not compared.

    Raises
    ------
    InputError
        A chromosome has another length than in that assembly.
    """
    if not assembly.strip():
        raise InputError("The assembly must have a name, as hg19.")
    known = _assemblies()
    near = [name for name in known if name.lower() == assembly.lower() != assembly]
    if assembly not in known and near:
        raise InputError(f"The assembly {assembly} is not known, but {near[0]} is: write it so.")
    if assembly not in known:
        say(f"{assembly} is none of {', '.join(known)}: its chromosome lengths cannot be checked.")
        return
    found = _mismatch(chromosome_sizes, known[assembly])
    if found:
        chrom, size, expected = found
        raise InputError(f"this FASTA's {chrom} is {size:,} bp; {assembly} has {expected:,}{_fits(chrom, size)}.")
    if not {_with_prefix(chrom) for chrom in chromosome_sizes} & set(known[assembly]):
        say(f"None of the FASTA's chromosomes ({_some(chromosome_sizes)}) is one of {assembly}'s: lengths not checked.")


def known_sizes(assembly: str) -> dict[str, int]:
    """Lengths of the main chromosomes of an assembly, in bp, named as by UCSC; nothing if it is not known."""
    return dict(_assemblies().get(assembly, {}))


def assembly_sizes(assembly: str) -> dict[str, int]:
    """Lengths of the main chromosomes of a known assembly, in bp, named as by UCSC.

    Raises
    ------
    InputError
        The assembly is not known.
    """
    known = _assemblies()
    if assembly not in known:
        raise InputError(
            f"The chromosome lengths of {assembly} are not known, only those of {', '.join(known)}. Say them yourself, as "
            "chromosome_sizes in the section genome of what you say about the model."
        )
    return dict(known[assembly])


def check_sizes(genome: Genome, expected: Mapping[str, int], who: str) -> None:
    """Refuse a genome whose chromosomes have other lengths than those expected, as by a model card.

    Parameters
    ----------
    genome : Genome
    expected : mapping of str to int
        Chromosome lengths in bp. Names are compared with or without "chr"; only shared chromosomes can be compared.
    who : str
        Who expects them, as "the model was trained on hg19".

    Raises
    ------
    InputError
        A shared chromosome has another length.
    """
    expected = {_with_prefix(chrom): size for chrom, size in expected.items()}
    if not {_with_prefix(chrom) for chrom in genome.chromosome_sizes} & set(expected):
        shared = f"none of its chromosomes ({_some(genome.chromosome_sizes)}) is listed" if expected else "no lengths are listed"
        say(f"{genome.path}: {who}; {shared}, so that it cannot be checked whether this is that genome.")
    found = _mismatch(genome.chromosome_sizes, expected)
    if found:
        chrom, size, wanted = found
        raise InputError(
            f"{genome.path}: this FASTA's {chrom} is {size:,} bp; {who}, where it has {wanted:,}{_fits(chrom, size)}. "
            "Give the FASTA of that assembly."
        )


def naming_hint(missing: Iterable[str], present: Iterable[str]) -> str:
    """A sentence when the missing chromosomes differ from the present ones only by the prefix "chr", else nothing."""
    present = set(present)
    for chrom in missing:
        other = chrom.removeprefix("chr") if chrom.startswith("chr") else f"chr{chrom}"
        if other in present:
            return (
                f' The chromosome is named "{chrom}" on one side and "{other}" in the FASTA: rename the chromosomes of the '
                "peaks or give the FASTA with the other names."
            )
    return ""


def _mismatch(sizes: Mapping[str, int], expected: Mapping[str, int]) -> tuple[str, int, int] | None:
    for chrom, size in sizes.items():
        wanted = expected.get(_with_prefix(chrom))
        if wanted is not None and wanted != size and _with_prefix(chrom) not in MITOCHONDRIA:
            return chrom, size, wanted
    return None


def _fits(chrom: str, size: int) -> str:
    fitting = [name for name, sizes in _assemblies().items() if sizes.get(_with_prefix(chrom)) == size]
    return f" (the length fits {' and '.join(fitting)})" if fitting else ""


def _with_prefix(chrom: str) -> str:
    return chrom if chrom.startswith("chr") else f"chr{chrom}"


@cache
def _assemblies() -> dict[str, dict[str, int]]:
    """Main chromosomes of common assemblies, from the UCSC Genome Browser's chrom.sizes."""
    assemblies: dict[str, dict[str, int]] = json.loads((Path(__file__).parent / "data" / "assemblies.json").read_text())
    return assemblies


def _some(names: Iterable[str], limit: int = 5) -> str:
    names = list(names)
    return ", ".join(names[:limit]) + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _compression(path: Path) -> bool:
    """Whether the file is bgzip; InputError when it can be no FASTA at all."""
    try:
        with path.open("rb") as file:
            head = file.read(18)
    except FileNotFoundError as error:
        raise InputError(f"There is no FASTA file {path}.") from error
    except OSError as error:
        raise InputError(f"The FASTA {path} cannot be read: {error.strerror}.") from error
    named_gz = path.name.lower().endswith((".gz", ".bgz"))
    if head[:2] == b"\x1f\x8b":
        # BGZF (SAM specification, 4.1): a gzip member with an extra field whose subfield is BC.
        if not (head[3] & 4 and head[12:14] == b"BC"):
            raise InputError(
                f"{path} is gzip but not bgzip, so it cannot be read by coordinates. Compress it with bgzip: "
                f"`gunzip {path.name} && bgzip {path.name.removesuffix('.gz')}`."
            )
        if not named_gz:
            raise InputError(f"{path} is bgzip, but its name does not end in .gz. Rename it to {path.name}.gz.")
        return True
    if not head:
        raise InputError(f"The FASTA {path} is empty.")
    if head[:1] not in (b">", b";", b"\n", b"\r"):
        raise InputError(f"{path} is not a FASTA file: it must begin with '>' (plain or bgzip).")
    if named_gz:
        raise InputError(f"{path} is plain text although its name says gzip. Rename it, or compress it with `bgzip`.")
    return False


def _index(
    path: Path, compressed: bool
) -> tuple[dict[str, pyfaidx.IndexRecord], tuple[NDArray[np.int64], NDArray[np.int64]] | None]:
    fai, gzi = path.with_name(f"{path.name}.fai"), path.with_name(f"{path.name}.gzi")
    changed = path.stat().st_mtime
    if any(not file.exists() or file.stat().st_mtime < changed for file in [fai, gzi][: 1 + compressed]):
        _build_index(path, fai, gzi)
    try:
        with pyfaidx.Faidx(str(path), rebuild=False, build_index=False) as index:
            records = dict(index.index)
            blocks = [(block.ustart, block.cstart) for block in index.gzi_index] if compressed else None
    except (ValueError, OSError, struct.error, pyfaidx.FastaIndexingError, pyfaidx.IndexNotFoundError) as error:
        if "Duplicate key" in str(error):
            name = str(error).split('"')[1]
            raise InputError(f"{path} has two chromosomes named {name}. Each must have its own name.") from error
        raise InputError(f"The index of {path} is damaged ({error}). Delete {fai.name} and {gzi.name}.") from error
    if blocks is None:
        return records, None
    starts, positions = np.array(blocks, dtype=np.int64).reshape(-1, 2).T
    return records, (starts, positions)


def _build_index(path: Path, fai: Path, gzi: Path) -> None:
    # pyfaidx writes an index in place; made aside and renamed, another process never reads half of one.
    try:
        with tempfile.TemporaryDirectory(prefix=f".{path.name}.index-", dir=path.absolute().parent) as aside:
            say(f"indexing {path.name} (once)")
            new_fai, new_gzi = Path(aside) / fai.name, Path(aside) / gzi.name
            pyfaidx.Faidx(str(path), indexname=str(new_fai), gzi_indexname=str(new_gzi)).close()
            if new_gzi.exists():
                os.replace(new_gzi, gzi)
            os.replace(new_fai, fai)
    except pyfaidx.FastaIndexingError as error:
        raise InputError(f"{path} is not a FASTA file that can be indexed: {error}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a FASTA file: it holds bytes that are no text.") from error
    except (zlib.error, EOFError, struct.error) as error:
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except ValueError as error:
        if "Duplicate key" in str(error):
            name = str(error).split('"')[1]
            raise InputError(f"{path} has two chromosomes named {name}. Each must have its own name.") from error
        raise InputError(f"{path} is damaged or was cut short ({error}). Fetch the FASTA again.") from error
    except OSError as error:
        if "EOF marker" in str(error):
            raise InputError(f"{path} was cut short: bgzip's end-of-file mark is missing. Fetch the FASTA again.") from error
        state = "is older than the FASTA" if fai.exists() else "is missing"
        raise InputError(
            f"The index {fai} {state}, and cannot be made there ({error.strerror or error}). Run `samtools faidx {path}` "
            "where you may write, or copy or link the FASTA into a folder of yours."
        ) from error
