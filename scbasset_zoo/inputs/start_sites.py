"""Read the transcription start sites of genes from a GTF."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.text_files import INTERVAL_COMMENTS, require_letters, text_lines, unquoted, whole_number
from scbasset_zoo.progress import say

# A key, then a value with or without quotes; a quoted value may hold semicolons.
_ATTRIBUTE = re.compile(r'[\s;]*([^\s";=\\]+)\s*(?:"([^"]*)"|([^";]*))')
# The same where a backslash stands before quotes within quotes.
_ESCAPED_ATTRIBUTE = re.compile(r'[\s;]*([^\s";=\\]+)\s*(?:"((?:[^"\\]|\\.)*)"|([^";]*))')
_NAMES = ("gene_id", "gene_name")


class _Site(NamedTuple):
    """A transcription start site (0-based)."""

    gene_id: str
    gene_name: str
    chrom: str
    strand: str
    tss: int


def read_start_sites(gtf: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the transcription start sites of a GTF: the 5' ends of its genes; those of transcripts for a gene without a line.

    Genes without a strand are skipped, and so are a few lines that are not those of a GTF. A message counts them.

    Parameters
    ----------
    gtf : path
        Plain or gzip. Positions are 1-based and inclusive, as in the files of GENCODE, Ensembl and UCSC.

    Returns
    -------
    DataFrame
        gene_id, gene_name (the id if there is no name), chrom, strand, tss (0-based), in the order of the GTF.

    Raises
    ------
    InputError
        There is no such file, it is damaged or has no genes, or too many lines cannot be read as GTF: more than three and more
        than a tenth, or more than half. The message has the first.
    """
    path = Path(gtf)
    sites: list[tuple[int, str, _Site]] = []
    odd_lines: list[str] = []
    n_lines, n_without_strand = 0, 0
    # Notes may have letters of another encoding.
    for number, line in text_lines(path, INTERVAL_COMMENTS, strict=False):
        try:
            fields = _fields(line)
            kind = unquoted(fields[2])
            if kind not in ("gene", "transcript"):
                continue
            site = _site([unquoted(field) for field in fields])
        except InputError as error:
            odd_lines.append(f"{path}, line {number}: {error}; found {line[:120]!r}.")
        else:
            n_without_strand += site.strand == "."
            sites.append((number, kind, site))
        n_lines += 1
    if len(odd_lines) > min(max(3, n_lines // 10), n_lines // 2):
        raise InputError(odd_lines[0] + f" {len(odd_lines):,} of {n_lines:,} lines of genes and transcripts cannot be read.")
    genes = {site.gene_id for _, kind, site in sites if kind == "gene" and site.strand != "."}
    rows = [site for _, kind, site in sites if site.strand != "." and (kind == "gene" or site.gene_id not in genes)]
    if not rows:
        raise InputError(f"{path} has no line of a gene or a transcript with a strand. Give a GTF of genes, such as GENCODE's.")
    if odd_lines:
        say(f"{len(odd_lines):,} of {n_lines:,} lines of {path.name} were skipped; the first is {odd_lines[0]}")
    if n_without_strand:
        say(f"{n_without_strand:,} genes and transcripts of {path.name} were skipped: they have no strand")
    return pd.DataFrame(rows, columns=list(_Site._fields))


def _fields(line: str) -> list[str]:
    """Split a line of a GTF into its nine columns."""
    fields = line.split("\t" if "\t" in line else None, 8)
    if len(fields) < 9:
        hint = ""
        if len(fields) > 2 and whole_number(fields[1]) is not None and whole_number(fields[2]) is not None:
            hint = " (it looks like BED, which does not say which lines are genes: give a GTF)"
        raise InputError(f"expected nine columns with tabs between them{hint}")
    return fields


def _site(fields: list[str]) -> _Site:
    """Return the start site of a gene or a transcript; its strand is a dot if it has none."""
    chrom, _, _, start_text, end_text, _, strand, _, text = fields
    start, end = whole_number(start_text), whole_number(end_text)
    if not chrom or start is None or end is None or not 1 <= start <= end or strand not in ("+", "-", ".", "?"):
        raise InputError("expected a chromosome, a start from 1 and an end not before it, and a strand +, - or a dot")
    attributes = _attributes(text)
    gene_id, gene_name = attributes.get("gene_id", ""), attributes.get("gene_name", "")
    if not gene_id:
        raise InputError("expected an attribute gene_id")
    require_letters(gene_id + gene_name, "gene_id and gene_name")
    return _Site(gene_id, gene_name or gene_id, chrom, strand.replace("?", "."), (end if strand == "-" else start) - 1)


def _attributes(text: str) -> dict[str, str]:
    """Parse the attributes of a line. The first value of a key that repeats is kept, but a gene has one id and one name."""
    if re.match(r"[\w.-]+=", text):
        raise InputError('expected attributes as GTF has them, gene_id "A"; the line is GFF3: `gffread IN.gff3 -T -o OUT.gtf`')
    for pattern in (_ATTRIBUTE, _ESCAPED_ATTRIBUTE):
        pairs, at = [], 0
        while match := pattern.match(text, at):
            key, quoted, plain = match.groups()
            pairs.append((key, plain.strip() if quoted is None else quoted))
            if quoted is None and key in _NAMES and " " in pairs[-1][1]:
                raise InputError(f"expected quotes around the {key}")
            at = match.end()
        if not text[at:].strip("; "):
            break
    else:
        raise InputError('expected attributes such as gene_id "A"; with quotes around each value')
    for key in _NAMES:
        if len({value for other, value in pairs if other == key}) > 1:
            raise InputError(f"expected one {key}")
    return dict(reversed(pairs))
