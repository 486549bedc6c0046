"""Seals a package after its card was edited: renews the files, hashes and digest that depend on the card."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.digests import unseal
from scbasset_zoo.package.integrity import file_hash_findings, parse_card, read_card_bytes, unexpected_file_findings
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.writing import with_metadata, write_card


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
    model = parse_model((folder / "model.onnx").read_bytes())
    with files.new_folder(folder, overwrite=True) as partial:
        for name in card.files:
            if name not in ("README.md", "model.onnx"):
                (partial / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(folder / name, partial / name)
        (partial / "model.onnx").write_bytes(with_metadata(model, card.contract.metadata).SerializeToString())
        write_card(partial, card)
    return Package.open(folder)
