"""Each reader of text gives one result for every encoding, line end and compression of a file, and one error for other files."""

import gzip
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from Bio import bgzf
from helpers.gtf import GTF_LINE
from scbasset_zoo_plugins.motifs.loading import load_motifs
from scbasset_zoo_plugins.variant_effect.variant_files import alleles_of_table, alleles_of_vcf

from scbasset_zoo.counting.called_peaks import read_called_peaks
from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import read_about
from scbasset_zoo.inputs.bed import read_bed
from scbasset_zoo.inputs.dna import decode
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.start_sites import read_start_sites
from scbasset_zoo.inputs.text_files import read_names
from scbasset_zoo.inputs.windows import fasta_windows
from scbasset_zoo.simulation.background import read_background

BED = "track name=x\n# peaks\nchr2\t5\t9\tpéak\nchr1\t1\t4\n"
NARROW_PEAK = "track type=narrowPeak\nchr2\t5\t9\tpéak\t50\t.\t2.5\t7.5\t5.25\t3\nchr1\t1\t4\tb\t9\t.\t1.5\t2\t0\t-1\n"
GTF = (
    "#!genome\n"
    + GTF_LINE.format("chr1", "gene", 11, 20, "+", "G1", "GÄNE")
    + GTF_LINE.format("chr1", "gene", 31, 40, "-", "G2", "B")
)
MEME = (
    "MEME version 4\n\nALPHABET= ACGT\n\nMOTIF M1 TFα\nletter-probability matrix: alength= 4 w= 2\n0.7 0.1 0.1 0.1\n0 0 1 0\n\n"
    "MOTIF M2 B\nletter-probability matrix: alength= 4 w= 1\n0 0 0 1\n"
)
VCF = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\nchré\t5\t.\tA\tc,G\t.\nchr2\t7\trs1\tAC\tT\t.\n"
VARIANT_TABLE = "chrom,pos,ref,alt,rsid\nchré,5,A,c,rs1\nchr2,7,AC,T,\n"
NAMES = "AAAC-1\ncell é\n#3\n"
YAML = "id: lab/model\nintended_use: für\nlimits: none\n"
FASTA = ">one é\nACGT\nACGT\n>two\nTTTTNNNN\n"
LONG_FASTA = f">one\n{'ACGTTGCA' * 100}\n{'GATTACAA' * 100}\n"
MTX = "%%MatrixMarket matrix coordinate integer general\n% about\n2 3 3\n1 1 5\n2 3 1\n1 2 2\n"


def _folder(path):
    """Read a 10x folder whose files all have the bytes of one variant."""
    matrix = open_matrix(path)
    entries = sorted((int(c), int(p)) for cell, peak in matrix.open_entries() for c, p in zip(cell, peak, strict=True))
    return matrix.cells.index.tolist(), matrix.peaks.to_numpy().tolist(), entries


def _called_peaks(path):
    peaks = read_called_peaks(path)
    scores = {name: values.tolist() for name, values in peaks.scores.items()}
    return peaks.chroms.tolist(), peaks.summits.tolist(), scores, len(peaks.lines)


def _motifs(path):
    return [(motif.name, motif.tf, motif.pwm.tolist()) for motif in load_motifs(path)]


def _sequences(path):
    windows = fasta_windows(path, 8)
    return windows.var.index.tolist(), [decode(row) for row in windows.read(0, 2)], [decode(row) for row in windows.read(1, 2)]


# A text, or the texts of a folder's files, and the function that reads it.
READERS = {
    "BED": (BED, lambda path: read_bed(path).to_numpy().tolist()),
    "called peaks": (NARROW_PEAK, _called_peaks),
    "GTF": (GTF, lambda path: read_start_sites(path).to_numpy().tolist()),
    "MEME": (MEME, _motifs),
    "VCF": (VCF, lambda path: list(alleles_of_vcf(path))),
    "table of variants": (VARIANT_TABLE, lambda path: list(alleles_of_table(path))),
    "names of cells": (NAMES, read_names),
    "card fields": (YAML, read_about),
    "sequences": (FASTA, _sequences),
    "background": (LONG_FASTA, lambda path: read_background(path, 1).tolist()),
    "10x features": (
        {"matrix.mtx": MTX, "barcodes.tsv": NAMES, "features.tsv": "chr1:1-4\té\tPeaks\nchr1:6-9\té\tPeaks\n"},
        _folder,
    ),
    "10x peaks": ({"matrix.mtx": MTX, "barcodes.tsv": NAMES, "peaks.bed": BED}, _folder),
}


def _bgzip(data):
    path = Path(os.environ["PYTEST_CURRENT_TEST_FOLDER"]) / "packed.gz"
    with bgzf.BgzfWriter(str(path)) as file:
        # Blocks of a few bytes.
        for first in range(0, len(data), 7):
            file.write(data[first : first + 7])
            file.flush()
    return path.read_bytes()


def _parts(data):
    return gzip.compress(data[:9]) + gzip.compress(data[9:]) + bytes(100)


VARIANTS = {
    "byte-order mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "UTF-16, little end first": lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
    "UTF-16, big end first": lambda text: b"\xfe\xff" + text.encode("utf-16-be"),
    "UTF-32": lambda text: text.encode("utf-32"),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "byte-order mark, CRLF, gzip": lambda text: gzip.compress(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode()),
    "UTF-16, CRLF, gzip": lambda text: gzip.compress(text.replace("\n", "\r\n").encode("utf-16")),
    "gzip": lambda text: gzip.compress(text.encode()),
    "gzip of two parts and zeros": lambda text: _parts(text.encode()),
    "bgzip": lambda text: _bgzip(text.encode()),
    "no end of the last line": lambda text: text.rstrip("\n").encode(),
    "blanks at the ends of lines": lambda text: text.replace("\n", " \t \n").encode(),
    "blank lines at the end": lambda text: (text + "\n  \n\n").encode(),
}
OTHERS = {
    "HTML page": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>\n", "is an HTML page"),
    "gzip of an HTML page": (gzip.compress(b"<html><body>404</body></html>\n"), "is an HTML page"),
    "XML": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is an XML file"),
    "Git LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "is a pointer of Git LFS.*git lfs pull",
    ),
    "workbook": (b"PK\x03\x04\x14\x00\x06\x00\x08\x00xl/workbook.xml", "is an .xlsx workbook"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n", "is a PDF"),
    "RDS": (gzip.compress(b"X\n\x00\x00\x00\x03\x00\x04\x01\x02"), "is a file of R"),
    "HDF5": (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file"),
    "gzip twice": (gzip.compress(gzip.compress(b"chr1\t5\t9\n")), "compressed by gzip twice"),
    "bzip2": (b"BZh91AY&SY\x00\x01", "compressed by bzip2.*bunzip2"),
    "NUL bytes": (b"chr1\t5\t9\x00\n>a\nMEME\n", "is not text: it has NUL bytes"),
    "UTF-16 without a mark": ("chr1\t5\t9\n".encode("utf-16-le"), "is not text: it has NUL bytes.*save it as UTF-8"),
}


@pytest.fixture(autouse=True)
def _folder_of_the_test(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_CURRENT_TEST_FOLDER", str(tmp_path))


def written(folder, texts, as_bytes, suffix=""):
    """Write a file, or a folder of files, and return its path."""
    if isinstance(texts, str):
        path = folder / f"file.txt{suffix}"
        path.write_bytes(as_bytes(texts))
        return path
    path = folder / f"files{suffix}"
    path.mkdir()
    for name, text in texts.items():
        (path / f"{name}{suffix}").write_bytes(as_bytes(text))
    return path


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("reader", READERS)
def test_a_variant_of_a_file_is_read_as_the_plain_file(reader, variant, tmp_path):
    texts, read = READERS[reader]
    expected = read(written(tmp_path, texts, str.encode))
    assert len(expected) > 0
    # The bytes say how a file is packed, and not its name.
    for suffix in ("", ".gz"):
        folder = tmp_path / f"variant{suffix}"
        folder.mkdir()
        assert read(written(folder, texts, VARIANTS[variant], suffix)) == expected


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("reader", READERS)
def test_a_file_of_another_kind_is_named(reader, other, tmp_path):
    texts, read = READERS[reader]
    data, message = OTHERS[other]
    with pytest.raises(InputError, match=f"(?s)(file|files/[a-z.]+)[^/]* {message}"):
        read(written(tmp_path, texts, lambda text: data))


@pytest.mark.parametrize("reader", READERS)
def test_damaged_gzip_is_refused(reader, tmp_path):
    texts, read = READERS[reader]
    blocks = _bgzip(b"x")
    damages = {
        "cut": (lambda text: gzip.compress(text.encode())[:-12], "cut short"),
        "checksum": (lambda text: gzip.compress(text.encode())[:-8] + bytes(8), "damaged"),
        "bgzip": (lambda text: _bgzip(text.encode())[:-28], "cut short: bgzip's end-of-file mark is missing"),
        "rest": (lambda text: gzip.compress(text.encode()) + b"rest", "damaged"),
    }
    assert blocks.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    for name, (damage, message) in damages.items():
        (tmp_path / name).mkdir()
        with pytest.raises(InputError, match=f"(?s)(file|files/[a-z.]+).*{message}"):
            read(written(tmp_path / name, texts, damage))


@pytest.mark.parametrize("reader", READERS)
def test_a_missing_file_and_a_folder_are_named(reader, tmp_path):
    texts, read = READERS[reader]
    with pytest.raises(InputError, match="no .*nowhere|neither .*nowhere|nowhere does not exist"):
        read(tmp_path / "nowhere")
    if isinstance(texts, str):
        with pytest.raises(InputError, match=tmp_path.name):
            read(tmp_path)


@pytest.mark.parametrize(
    ("reader", "place"),
    [
        ("BED", "line 3"),
        ("MEME", "line 5"),
        ("VCF", "line 3"),
        ("names of cells", "line 2"),
        ("card fields", ""),
        ("10x peaks", "line 2"),
    ],
)
def test_letters_of_another_encoding_in_names_are_refused_with_the_line(reader, place, tmp_path):
    texts, read = READERS[reader]
    latin = lambda text: text.replace("α", "é").encode("latin-1")  # noqa: E731
    with pytest.raises(InputError, match=f"(?s){place}.*(expected UTF-8.*iconv|utf-8)"):
        read(written(tmp_path, texts, latin))


def test_letters_of_another_encoding_in_comments_and_notes_do_no_harm(tmp_path):
    note = 'level 2; note "Gène";'
    texts = {
        "BED": ("# Gène\n" + BED.replace("é", "e"), "BED"),
        "GTF": ("# Gène\n" + GTF.replace("Ä", "A").replace("level 2;", note), "GTF"),
        "MEME": (MEME.replace("α", "a") + "URL Gène\n", "MEME"),
        "VCF": ("##fileformat=VCFv4.2\n##about=Gène\n" + VCF.replace("é", "e"), "VCF"),
    }
    for name, (text, reader) in texts.items():
        (tmp_path / f"{name}.txt").write_bytes(text.encode("latin-1"))
        (tmp_path / f"{name}.utf8").write_bytes(text.encode())
        read = READERS[reader][1]
        rows, expected = read(tmp_path / f"{name}.txt"), read(tmp_path / f"{name}.utf8")
        # Lines of a VCF are numbered.
        assert rows == expected


def test_the_locale_does_not_matter(tmp_path):
    for reader in ("BED", "GTF", "MEME"):
        (tmp_path / reader).write_bytes(READERS[reader][0].encode())
    code = (
        "import sys, locale\nfrom scbasset_zoo.inputs.bed import read_bed\n"
        "from scbasset_zoo.inputs.start_sites import read_start_sites\n"
        "from scbasset_zoo_plugins.motifs.loading import load_motifs\n"
        "assert locale.getpreferredencoding(False).lower() in ('ansi_x3.4-1968', 'ascii', 'us-ascii', '646')\n"
        "print(ascii([read_bed('BED')['name'][0], read_start_sites('GTF')['gene_name'][0], load_motifs('MEME')[0].tf]))"
    )
    environment = os.environ | {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == ascii(["péak", "GÄNE", "TFα"]), ran.stderr


@pytest.mark.parametrize("reader", ["BED", "GTF", "MEME", "VCF", "sequences"])
def test_a_pipe_is_read_once(reader, tmp_path):
    text, read = READERS[reader]
    expected = read(written(tmp_path, text, str.encode))
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_text, args=(text,), daemon=True)
    writer.start()
    assert read(tmp_path / "pipe") == expected
    writer.join()
