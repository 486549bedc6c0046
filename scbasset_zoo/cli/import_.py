"""`scbasset-zoo import`: a command for each importer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scbasset_zoo.cli.groups import registered_group
from scbasset_zoo.cli.output import answer
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scbasset_zoo.extend.importer import Importer
    from scbasset_zoo.plugin_manager import Registry


def _importers() -> Registry[type[Importer]]:
    from scbasset_zoo.plugin_manager import importers

    return importers()


def _command(kind: type[Importer]) -> Callable[..., None]:
    def convert(
        source: Annotated[Path, typer.Argument(help="The file to import.")],
        out: Annotated[Path, typer.Option(help="Folder for the package.")],
        about: Annotated[
            Path | None,
            typer.Option(help="YAML with card fields that only you know: id, version, description, authors, license, data, ..."),
        ] = None,
        overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a package that is in OUT.")] = False,
        **options: Any,
    ) -> None:
        from scbasset_zoo.extend.about import read_about
        from scbasset_zoo.options import checked_options

        checked = checked_options(f"import {kind.name}", kind.Options, options)
        card = kind().convert(source, checked, out=out, about=read_about(about), overwrite=overwrite).card
        answer(f"{card.id} {card.version}: {card.cells.n_cells:,} cells, {card.genome.assembly}")
        answer(f"package in {out}; next: scbasset-zoo predict {out} --peaks PEAKS --genome FASTA --out FILE.h5ad")
        if card.license == "NOASSERTION":
            say("Before you share the package, give its authors and its licence with --about FILE.yaml.")

    return convert


app = registered_group(_importers, _command, help="Make a model package of a file of another program.")
