"""Reads variants, one alternative allele at a time, from VCF, BCF, a table with a header, or a DataFrame.

BCF is read by pysam. Of a VCF only the first five columns are needed, so its lines are read as text. pysam refuses files that
people have: with five columns, compressed by gzip instead of bgzip, with blank lines, or with malformed genotypes. Its errors
name no line, and it calls a malformed position a truncated file.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from scbasset_zoo import InputError
from scbasset_zoo.extend.console import option
from scbasset_zoo.extend.files import columns_of, readable, require_letters, text_lines, whole_number

_VCF_HEADER = ["#CHROM", "POS", "ID", "REF", "ALT"]
# Names that a column of a table may have, in lower case.
_ALIASES = {
    "chrom": ("chrom", "#chrom", "chr", "#chr", "chromosome"),
    "pos": ("pos", "position"),
    "ref": ("ref", "reference"),
    "alt": ("alt", "alternative"),
    "id": ("id", "rsid", "snp", "name"),
}


class Allele(NamedTuple):
    """One alternative allele of a variant, as the file has it.

    Attributes
    ----------
    chrom : str
    pos : int
        First base of REF, counted from 1, as in a VCF.
    id : str
        "" if there is none.
    ref, alt : str
        In upper case. `alt` may be "*", ".", symbolic or a breakend.
    line : int
        Line of a text file, record of a BCF, or row of a table in memory; all count from 1.
    """

    chrom: str
    pos: int
    id: str
    ref: str
    alt: str
    line: int


def alleles_of_vcf(path: Path) -> Iterator[Allele]:
    """Yield the alternative alleles of a VCF (plain, gzip or bgzip, with or without an index) or BCF, in the order of the file.

    Only the first five columns are read.

    Raises
    ------
    InputError
        The file is no VCF, or a line is malformed: the message names the line.
    """
    if path.suffix == ".bcf":
        yield from _alleles_of_bcf(path)
        return
    has_header = False
    # Descriptions may have letters of another encoding.
    for number, line in text_lines(path, comments=(), strict=False):
        if line.startswith("#"):
            has_header = has_header or line.lower().startswith("##fileformat=vcf") or columns_of(line)[:5] == _VCF_HEADER
            continue
        if not has_header:
            raise InputError(
                f"{path} is not a VCF: its first line must begin with ##fileformat=VCF. A table with a header is given as "
                f"{option('variants')}."
            )
        fields = [field.strip() for field in line.split("\t", 5)[:5]]
        if len(fields) < 5:
            raise InputError(
                f"{path}, line {number}: expected CHROM, POS, ID, REF and ALT, separated by tabs; found {line[:80]!r}."
            )
        chrom, pos, identifier, ref, alts = fields
        yield from _alleles(chrom, pos, identifier, ref, alts, number, f"{path}, line {number}")


def alleles_of_table(source: Path | pd.DataFrame) -> Iterator[Allele]:
    """Yield the alternative alleles of a table with the columns chrom, pos (from 1, as in a VCF), ref, alt and, if known, id.

    Parameters
    ----------
    source : path or DataFrame
        A text file has a header, and tabs or commas between columns. Several alternatives have commas between them (in quotes, if
        commas are between columns).

    Raises
    ------
    InputError
        A column is missing, or a line is malformed: the message names the line.
    """
    if isinstance(source, pd.DataFrame):
        at = _places([str(name) for name in source.columns], "The table of variants")
        for number, row in enumerate(source.itertuples(index=False), start=1):
            yield from _of_row([str(value) for value in row], at, number, f"The table of variants, row {number}")
        return
    import csv

    places: dict[str, int] | None = None
    separator = ","
    for number, line in text_lines(source, comments=("##",)):
        if places is None:
            separator = "\t" if "\t" in line else ","
        fields = next(csv.reader([line], delimiter=separator))
        if places is None:
            places = _places(fields, f"{source}, line {number}")
        else:
            yield from _of_row(fields, places, number, f"{source}, line {number}")
    if places is None:
        raise InputError(f"{source} is empty. Expected a header with the columns chrom, pos, ref and alt.")


def _alleles_of_bcf(path: Path) -> Iterator[Allele]:
    import pysam

    verbosity = pysam.set_verbosity(0)  # messages of htslib name no file
    try:
        with readable(str(path)), pysam.VariantFile(str(path)) as file:
            for number, record in enumerate(file, start=1):
                for alt in record.alts or (".",):
                    yield Allele(record.chrom, record.pos, record.id or "", (record.ref or "").upper(), alt.upper(), number)
    except ValueError as error:
        raise InputError(f"{path} cannot be read as BCF: {error}.") from error
    finally:
        pysam.set_verbosity(verbosity)


def _alleles(chrom: str, pos: str, identifier: str, ref: str, alts: str, number: int, place: str) -> Iterator[Allele]:
    position = whole_number(pos)
    if position is None or not chrom or not ref:
        raise InputError(f"{place}: expected a chromosome, a position (a whole number, from 1) and REF; found {[chrom, pos, ref]}.")
    require_letters(f"{chrom}{identifier}", place)
    identifier = "" if identifier in (".", "nan", "None") else identifier
    for alt in alts.split(","):
        yield Allele(chrom, position, identifier, ref.upper(), alt.strip().upper(), number)


def _of_row(fields: list[str], places: dict[str, int], number: int, place: str) -> Iterator[Allele]:
    if len(fields) <= max(places.values()):
        raise InputError(f"{place}: expected {max(places.values()) + 1} columns or more; found {len(fields)}.")
    values = {name: fields[at].strip() for name, at in places.items()}
    yield from _alleles(values["chrom"], values["pos"], values.get("id", ""), values["ref"], values["alt"], number, place)


def _places(header: list[str], where: str) -> dict[str, int]:
    """Return the place of each column in a header."""
    names = [name.strip().lower() for name in header]
    places = {
        column: next(names.index(alias) for alias in aliases if alias in names)
        for column, aliases in _ALIASES.items()
        if set(aliases) & set(names)
    }
    missing = [column for column in ("chrom", "pos", "ref", "alt") if column not in places]
    if missing:
        raise InputError(
            f"{where}: there is no column {', '.join(missing)}. Expected a header with chrom, pos (counted from 1, as in a VCF), "
            f"ref, alt and, if known, id; found {', '.join(header[:8])}."
        )
    return places


def readers_of(vcf: Path | None, variants: Any) -> tuple[str, Iterator[Allele]]:
    """Return the name of the source, for messages, and a new iterator over its alleles.

    Raises
    ------
    InputError
        The source is a pipe, which can be read only once.
    """
    if vcf is None and isinstance(variants, pd.DataFrame):
        return "the table of variants", alleles_of_table(variants)
    path = Path(variants if vcf is None else vcf)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(
            f"{path} is a pipe or another special file, and variants are read twice. Write them to a file, and give that."
        )
    return str(path), alleles_of_table(path) if vcf is None else alleles_of_vcf(path)
