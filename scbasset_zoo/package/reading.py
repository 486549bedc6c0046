"""Opens a model package on disk."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.annotation import cells_from_bytes
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.digests import order_digest, unseal
from scbasset_zoo.package.finding import Finding
from scbasset_zoo.package.integrity import file_size_findings, parse_card, read_card_bytes
from scbasset_zoo.package.tables import read_table
from scbasset_zoo.package.verifying import verify_package

if TYPE_CHECKING:
    import pandas as pd


_AGAIN = "Fetch or export the package again."


@dataclass(frozen=True)
class Package:
    """A model package in a local folder."""

    folder: Path
    card: Card
    card_sha256: str

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the card and check that every file is there with its size; other files' hashes are left to :meth:`verify`.

        Raises
        ------
        PackageError
            No package, a card with problems or a wrong digest, or files that are missing or of the wrong size.
        """
        folder = Path(folder)
        raw = read_card_bytes(folder)
        text, broken = unseal(raw)
        card = parse_card(folder, text)
        if broken:
            raise PackageError(f"{folder / 'card.yaml'}: {broken}.")
        wrong = list(file_size_findings(folder, card))
        if wrong:
            raise PackageError("\n  ".join([f"{folder} is not complete:", *map(str, wrong), _AGAIN]))
        return cls(folder, card, hashlib.sha256(raw).hexdigest())

    def model_bytes(self) -> bytes:
        """The bytes of model.onnx, which must be those that the card names."""
        return self._bytes("model.onnx")

    def cells(self) -> pd.DataFrame:
        """The model's cells in output order, indexed by barcode."""
        cells = cells_from_bytes(self._bytes("cells.parquet"), self.folder / "cells.parquet")
        if order_digest(cells.index) != self.card.cells.order_sha256:
            raise PackageError(f"{self.folder / 'cells.parquet'}: the cells or their order are not those of the card. {_AGAIN}")
        return cells

    def peaks(self) -> pd.DataFrame | None:
        """The training peaks in order: `chrom`, `start` (0-based), `end`, `split`; None where the package has none."""
        return read_table(self._bytes("peaks.parquet"), self.folder / "peaks.parquet") if self.card.peaks else None

    def verify(self) -> list[Finding]:
        """Everything that is wrong with the package on disk; see :func:`verify_package`."""
        return verify_package(self.folder)

    def _bytes(self, name: str) -> bytes:
        raw = (self.folder / name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.card.files[name].sha256:
            raise PackageError(f"{self.folder / name} is not the file that the card names (its SHA-256 differs). {_AGAIN}")
        return raw
