"""Compares what a page shows with what a program printed."""

import re

# Decimals and percentages differ a little between processors. Other numbers, such as counts and coordinates, do not.
_ROUNDED = re.compile(r"(?<![\w.:-])(-?\d+\.\d+(?![\w:%-]|\.\d)|\d+(?=%))")


def difference(shown, printed, *, whole=False, tolerance=0.1):
    """Return what of the shown text was not printed, or None.

    White space is not compared. Decimals may differ by `tolerance`, and percentages by a hundred times that.

    Parameters
    ----------
    whole : bool
        Nothing else may be printed before or after.
    """
    shown, printed = " ".join(shown.split()), " ".join(printed.split())
    pieces = _ROUNDED.split(shown)
    pattern = "".join(r"(-?[\d.]+)" if n % 2 else re.escape(piece) for n, piece in enumerate(pieces))
    found = (re.fullmatch if whole else re.search)(pattern, printed)
    if found is None:
        return f"not printed: {shown}\n    printed: {printed}"
    for expected, number in zip(pieces[1::2], found.groups(), strict=True):
        if abs(float(number) - float(expected)) > tolerance * (1 if "." in expected else 100):
            return f"{expected} is shown, and {number} was printed: {found.group()}"
    return None
