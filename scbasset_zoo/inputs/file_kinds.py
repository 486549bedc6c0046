"""Recognise files of other kinds than expected by their first bytes, to name them in messages."""

from __future__ import annotations

import gzip
import os
import re
import zlib

# As many first bytes as tell the kinds apart: the mark of a tar archive is at byte 257.
START = 512

_UNPACK = "Unpack it first"
_SHEET = "Save the sheet as text with tabs between the columns"
_FETCH = "Give the file of data itself"
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (rb"version https://git-lfs", "a pointer of Git LFS, not the file itself", "Run `git lfs pull`"),
    (rb"(?i)\s*<(!doctype html|html|head|body)\b", "an HTML page, such as a report or an error of a server", _FETCH),
    (rb"\s*<(\?xml|Error>)", "an XML file, such as a report or an error of a server", _FETCH),
    (rb"PK\x03\x04", "an .xlsx workbook or another ZIP archive", f"{_SHEET}, or unpack the archive"),
    (rb"\xd0\xcf\x11\xe0", "an .xls workbook or another file of Microsoft Office", _SHEET),
    (rb"\{\\rtf", "a document in Rich Text Format", "Save it as plain text"),
    (rb"%PDF-", "a PDF", "Give the data as text"),
    (rb"\x89HDF\r\n", "an HDF5 file, such as .h5ad", "Write the data as text"),
    (rb"PAR1\x15", "a Parquet table", "Write the table as text"),
    (rb"(RD[AX][23]\n)?X\n\x00\x00\x00", "a file of R (.rds or .RData)", "Write the data as text in R"),
    (rb"\x93NUMPY", "an array of NumPy", "Write the data as text"),
    (rb"\x80[\x02-\x05]", "a pickle of Python", "Write the data as text"),
    (rb"BAM\x01|CRAM[\x02\x03]", "a BAM or CRAM file of reads", "Give a file of the expected kind"),
    (rb"BCF\x02", "a BCF", "Write a VCF: `bcftools view IN.bcf > OUT.vcf`"),
    (rb"TBI\x01|CSI\x01|BAI\x01", "the index of a file (.tbi, .csi or .bai)", "Give the file that it belongs to"),
    (rb"\x87\x89\xf2\xeb|\xeb\xf2\x89\x87", "a bigBed file", "Write a BED: `bigBedToBed IN.bb OUT.bed`"),
    (rb"\x88\x8f\xfc\x26|\x26\xfc\x8f\x88", "a bigWig file", "Give intervals, not a signal"),
    (
        rb"\x43\x27\x41\x1a|\x1a\x41\x27\x43",
        "a .2bit file, which is read as a genome only",
        "For a FASTA: `twoBitToFa IN.2bit OUT.fa`",
    ),
    (rb"\x1f\x8b", "compressed by gzip twice", "Unpack it once"),
    (rb"BZh[1-9]1AY&SY", "compressed by bzip2", "Unpack it: `bunzip2 FILE`"),
    (rb"\xfd7zXZ\x00", "compressed by xz", "Unpack it: `unxz FILE`"),
    (rb"\x28\xb5\x2f\xfd", "compressed by Zstandard", "Unpack it: `unzstd FILE`"),
    (rb"\x1f\x9d", "compressed by compress (.Z)", _UNPACK),
    (rb"7z\xbc\xaf|Rar!\x1a", "an archive of 7-Zip or RAR", _UNPACK),
    (rb"(?s).{257}ustar", "a tar archive", "Unpack it: `tar -xf FILE`"),
    (rb"SQLite format 3\x00", "an SQLite database", "Write the data as text"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8[79]a", "an image", "Give the data as text"),
)


def kind_of(start: bytes) -> str | None:
    """Say what a file is that is not text, or not the text that a reader expects.

    Parameters
    ----------
    start : bytes
        The first :data:`START` bytes of the file, unpacked if it is gzip.

    Returns
    -------
    str or None
        Two parts of a message, "an HTML page ... . Fetch the file itself.", or None for a kind that is not in the list.
    """
    for pattern, kind, remedy in _KINDS:
        if re.match(pattern, start):
            return f"{kind}. {remedy}."
    return None


def kind_of_file(path: str | os.PathLike[str]) -> str | None:
    """Say what a file is, as :func:`kind_of`; None also for a folder and for a file that cannot be read."""
    try:
        with open(path, "rb") as file:
            start = file.read(START)
        if start.startswith(b"\x1f\x8b"):
            with gzip.open(path) as file:
                start = file.read(START)
    except (OSError, EOFError, zlib.error):
        return None
    return kind_of(start)
