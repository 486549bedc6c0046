"""The types of the fields of a card; each type checks its values."""

from __future__ import annotations

import re
from typing import Annotated, Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from pydantic import AfterValidator, Field

MAX_DEPTH = 16
MAX_TEXT, MAX_ADDRESS, MAX_ID = 20_000, 2_000, 200  # characters
NO_LICENSE = "NOASSERTION"
# For a text without blanks at its ends.
PLACEHOLDER = re.compile(r"\b(TODO|FIXME|XXX|TBD|TBA)\b|\A(\.\.\.|…|todo|fixme|tbd|tba|xxx+|\?+|-+)?\Z")
# Escape sequences for terminals, and marks that reverse the direction of text.
INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
# Releases of packaging before 26.3 accept a reference without a name.
_NAMELESS_REFERENCE = re.compile(r"\bLicenseRef-(?![A-Za-z0-9.-])", re.IGNORECASE)
_PATH_PART = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}")


def _text(value: str) -> str:
    if PLACEHOLDER.search(value.strip()):
        raise ValueError(f"{value!r} is empty or a placeholder; write the real value")
    invisible = INVISIBLE.search(value)
    if invisible:
        raise ValueError(f"has the control character {invisible.group()!r} at position {invisible.start()}; remove it")
    return value


def _license(value: str) -> str:
    if value == NO_LICENSE:
        return value
    try:
        if _NAMELESS_REFERENCE.search(value):
            raise InvalidLicenseExpression(value)
        spelt = canonicalize_license_expression(value)
    except InvalidLicenseExpression:
        raise ValueError(
            f"{value!r} is not an SPDX licence expression, such as Apache-2.0, CC-BY-4.0 or LicenseRef-NAME for one of your own"
        ) from None
    if value != spelt:
        raise ValueError(f"{value!r} is spelt {spelt!r} in SPDX")
    return value


def _relative_path(value: str) -> str:
    parts = value.split("/")
    if len(parts) > MAX_DEPTH or not all(map(_PATH_PART.fullmatch, parts)):
        raise ValueError(f"{value!r} must be a plain relative path inside the package, such as tests/sequences.txt")
    return value


def _plain_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_plain_value(member) for member in value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float) and not abs(value) < float("inf"):
        raise ValueError(f"{value} is not a finite number")
    if not isinstance(value, bool | int | float):
        raise ValueError(f"{value!r} must be a text, a number, true or false, or a list of them")
    return value


Text = Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(_text)]
Count = Annotated[int, Field(ge=0, lt=2**53)]
Positive = Annotated[int, Field(ge=1, lt=2**53)]
Number = Annotated[float, Field(allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Tolerance = Annotated[float, Field(ge=0, le=0.01)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Doi = Annotated[str, Field(max_length=MAX_ADDRESS, pattern=r"^10\.\d{4,9}/[^\s]+$")]
Url = Annotated[str, Field(max_length=MAX_ADDRESS, pattern=r"^https?://[^\s/]+\.[^\s]+$")]
Orcid = Annotated[str, Field(pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")]
ModelId = Annotated[
    str, Field(max_length=MAX_ID, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$"), AfterValidator(_text)
]
Version = Annotated[str, Field(max_length=MAX_ID, pattern=r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$")]
License = Annotated[str, Field(max_length=200), AfterValidator(_license)]
Tag = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
RelativePath = Annotated[str, AfterValidator(_relative_path)]
Value = Annotated[Any, AfterValidator(_plain_value)]
