"""Writes a package again with another card or network: renews the files, hashes and digest that depend on them."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.card import Card
from scbasset_zoo.package.digests import unseal
from scbasset_zoo.package.integrity import (
    file_hash_findings,
    files_of_package,
    parse_card,
    read_card_bytes,
    unexpected_file_findings,
)
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import with_metadata, write_card

if TYPE_CHECKING:
    import onnx


def seal_package(folder: str | os.PathLike[str]) -> Package:
    """Make a package complete again after its card.yaml was edited. If anything is wrong, change nothing.

    This renders README.md again and renews `metadata_props` of model.onnx, all hashes, and the digest of the card. A card of
    an earlier schema version is written in the current one. All other files must still be those that the card names: a
    changed network, table or test vector needs a new export.

    Raises
    ------
    PackageError
        The edited card has problems, other files were changed, or the package would not verify. The message lists everything.
    """
    from scbasset_zoo.graph.model_proto import parse_model

    folder = Path(folder).absolute()
    card = parse_card(folder, unseal(read_card_bytes(folder))[0])
    findings = [*file_hash_findings(folder, card), *unexpected_file_findings(folder, card)]
    findings = [finding for finding in findings if finding.file != "README.md"]
    if findings:
        raise PackageError("\n  ".join([f"{folder} was not sealed; only its card may have been edited:", *map(str, findings)]))
    return write_again(folder, card, parse_model((folder / "model.onnx").read_bytes()), out=folder, overwrite=True)


def write_again(folder: Path, card: Card, model: onnx.ModelProto, *, out: Path, overwrite: bool) -> Package:
    """Write the package in `folder` with this card and network to `out`, with its tables and test vectors as they are.

    Raises
    ------
    PackageError
        The new package does not verify. Nothing is changed.
    InputError
        `out` exists and is not to be replaced, or cannot be written.
    """
    files.check_destination(out, overwrite=overwrite, replaceable=files_of_package)
    with files.new_folder(out, overwrite=overwrite) as partial:
        for name in card.files:
            if name not in ("README.md", "model.onnx"):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, partial / name)
        (partial / "model.onnx").write_bytes(with_metadata(model, card.contract.metadata).SerializeToString())
        write_card(partial, card)
    return Package.open(out)
