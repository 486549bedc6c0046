"""Names of files for any names of groups."""

from __future__ import annotations

import re
from collections.abc import Sequence

# Names of files have at most 255 bytes.
LONGEST = 80


def file_names(names: Sequence[str], suffix: str) -> list[str]:
    """Return a file name for each name, all distinct, also where the file system ignores the case of letters.

    Characters other than ASCII letters, digits, `.`, `_`, `+` and `-` become `_`. Names that would be the same get a number.

    Parameters
    ----------
    names : sequence of str
    suffix : str
        Ends each file name, such as ".bw".
    """
    plain = [_plain(name) for name in names]
    taken: set[str] = set()
    # A name that needs no change keeps its file name.
    for_names: dict[int, str] = {}
    for position in sorted(range(len(names)), key=lambda position: plain[position] != names[position]):
        number, name = 1, plain[position]
        while name.lower() in taken:
            number += 1
            name = f"{plain[position]}-{number}"
        taken.add(name.lower())
        for_names[position] = f"{name}{suffix}"
    return [for_names[position] for position in range(len(names))]


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name)[:LONGEST].strip("._-") or "track"
