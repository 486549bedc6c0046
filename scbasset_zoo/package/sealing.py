"""Seals a package again after its card was edited on purpose."""

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
    """Make a package whole again after its card.yaml was edited on purpose, or change nothing.

    README.md is rendered anew, `metadata_props` of model.onnx follow the card, and hashes and the card's digest are renewed.
    The other files must be those that the card names: a changed network, table or test vector needs a new export.

    Raises
    ------
    PackageError
        The edited card has problems, other files were changed, or the package would not verify: everything is listed.
    """
    from scbasset_zoo.graph.model_proto import parse_model

    folder = Path(folder).absolute()
    card = parse_card(folder, unseal(read_card_bytes(folder))[0])
    findings = [
        finding
        for finding in (*file_hash_findings(folder, card), *unexpected_file_findings(folder, card))
        if finding.file != "README.md"
    ]
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
