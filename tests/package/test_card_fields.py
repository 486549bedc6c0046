"""Checks of the texts of a card."""

import subprocess
import sys

import pytest

LONG_TEXT = """
from scbasset_zoo.package import card_fields
card_fields._text("a" + " " * 2_000_000 + "b")
for blanks in (" " * 2_000_000, " " * 2_000_000 + "\\n"):
    try:
        card_fields._text(blanks)
    except ValueError:
        continue
    raise SystemExit("blanks are not refused")
card_fields._text(" " * 2_000_000 + "b")
"""


def test_long_texts_are_checked_in_linear_time():
    # With a quadratic pattern, two million blanks take hours.
    subprocess.run([sys.executable, "-c", LONG_TEXT], check=True, timeout=60)


@pytest.mark.parametrize("text", [" ", "...", " xxxx ", "??\n", "a TODO b", "-"])
def test_placeholders_are_refused(text):
    from scbasset_zoo.package.card_fields import _text

    with pytest.raises(ValueError, match="placeholder"):
        _text(text)
