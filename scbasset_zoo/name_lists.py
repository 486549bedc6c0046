"""Lists of names in one text, as options of the command line have them: separated by commas."""

from __future__ import annotations

import re

# A name is in quotes, an interval whose positions may have commas (chr1:4,100,000-4,100,500), or without commas.
_NAME = re.compile(r'\s*"((?:[^"]|"")*)"\s*(?:,|\Z)|([^,:]+:\d{1,3}(?:,\d{3})*-\d{1,3}(?:,\d{3})*)(?:,|\Z)|([^,]*)(?:,|\Z)')


def split_names(text: str) -> list[str]:
    """Return the names of a text, without blanks beside them. A name that has commas is in quotes, or is an interval.

    Examples
    --------
    >>> split_names('B cell, "T cell, naive"')
    ['B cell', 'T cell, naive']
    >>> split_names("chr1:4,100,000-4,100,500,chr2:10-20")
    ['chr1:4,100,000-4,100,500', 'chr2:10-20']
    """
    names = []
    for match in _NAME.finditer(text):
        quoted, interval, plain = match.groups()
        names.append((interval or plain or "").strip() if quoted is None else quoted.replace('""', '"'))
    return [name for name in names if name]


def written_name(name: str) -> str:
    """Return a name as :func:`split_names` reads it: in quotes, if it would be read as something else."""
    return name if split_names(name) == [name] and '"' not in name else '"' + name.replace('"', '""') + '"'
