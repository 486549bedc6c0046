"""Opens a model package: its card, its network and its tables."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.cells_table import cells_from_bytes
from scbasset_zoo.package.digests import order_digest, unseal
from scbasset_zoo.package.finding import Finding
from scbasset_zoo.package.integrity import file_size_findings, parse_card, read_card_bytes
from scbasset_zoo.package.tables import read_table
from scbasset_zoo.package.verifying import verify_package

if TYPE_CHECKING:
    import onnx
    import pandas as pd


FETCH_AGAIN = "Fetch or export the package again."


@dataclass(frozen=True)
class Package:
    """A model package in a local folder.

    Attributes
    ----------
    folder : Path
    card : Card
    card_sha256 : str
        SHA-256 of card.yaml, which identifies the package.
    """

    folder: Path
    card: Card
    card_sha256: str

    def __repr__(self) -> str:
        return f"Package({self.card.id} {self.card.version}, {str(self.folder)!r})"

    def _repr_markdown_(self) -> str:
        from scbasset_zoo.package.readme import describe

        return describe(self.card, self.cells())

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Self:
        """Read the card, and check that every file exists and has the size that the card states.

        The hash of a file is checked when the file is read, and by :meth:`verify`.

        Raises
        ------
        PackageError
            The folder is not a package, the card has problems or a wrong digest, or files are missing or have a wrong size.
        """
        folder = Path(folder)
        raw = read_card_bytes(folder)
        text, digest_problem = unseal(raw)
        card = parse_card(folder, text)
        if digest_problem:
            raise PackageError(f"{folder / 'card.yaml'}: {digest_problem}.")
        findings = list(file_size_findings(folder, card))
        if findings:
            raise PackageError("\n  ".join([f"{folder} is not complete:", *map(str, findings), FETCH_AGAIN]))
        return cls(folder, card, hashlib.sha256(raw).hexdigest())

    def model_bytes(self) -> bytes:
        """Return the bytes of model.onnx, after a check of their hash."""
        return self._bytes("model.onnx")

    def network(self) -> onnx.ModelProto:
        """Parse model.onnx, and check its graph against the contract, without running it.

        Raises
        ------
        PackageError
            model.onnx is not the file that the card describes, or its graph breaks the contract: for example, it has an
            operator that is not allowed, or values without bound.
        """
        from scbasset_zoo.graph.checks import contract_problems
        from scbasset_zoo.graph.model_proto import parse_model

        model = parse_model(self.model_bytes())
        problems = contract_problems(model, self.card.contract)
        if problems:
            path = self.folder / "model.onnx"
            raise PackageError("\n  ".join([f"{path} is not run:", *(f"it {problem}" for problem in problems), FETCH_AGAIN]))
        return model

    def cells(self) -> pd.DataFrame:
        """Return the cells of the model in the order of its outputs, indexed by barcode."""
        cells = cells_from_bytes(self._bytes("cells.parquet"), self.folder / "cells.parquet")
        if order_digest(cells.index) != self.card.cells.order_sha256:
            raise PackageError(
                f"{self.folder / 'cells.parquet'}: the cells or their order are not those of the card. {FETCH_AGAIN}"
            )
        return cells

    def peaks(self) -> pd.DataFrame | None:
        """Return the training peaks in order, with `chrom`, `start` (0-based), `end` and `split`; None if there are none."""
        return read_table(self._bytes("peaks.parquet"), self.folder / "peaks.parquet") if self.card.peaks else None

    def verify(self) -> list[Finding]:
        """Return everything that is wrong with the package; see :func:`verify_package`."""
        return verify_package(self.folder)

    def _bytes(self, name: str) -> bytes:
        raw = (self.folder / name).read_bytes()
        if hashlib.sha256(raw).hexdigest() != self.card.files[name].sha256:
            raise PackageError(f"{self.folder / name} is not the file that the card names (its SHA-256 differs). {FETCH_AGAIN}")
        return raw
