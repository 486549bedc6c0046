"""`scbasset-zoo verify`: check a model package against its card."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer, answer_json


def verify(
    model: Annotated[str, typer.Argument(help="Folder or URL of a model package, or name of a model in the zoo.")],
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check the files, the network and its test outputs. List everything that is wrong, and exit with 1 if anything is."""
    from scbasset_zoo.errors import InputError, PackageError, SourceError
    from scbasset_zoo.package import Finding, verify_package
    from scbasset_zoo.zoo.models import find_folder

    try:
        findings = verify_package(find_folder(model))
    except (InputError, PackageError, SourceError) as error:
        if not json:
            raise
        findings = [Finding(model, str(error))]
    if json:
        answer_json({"ok": not findings, "findings": [asdict(finding) for finding in findings]})
    elif findings:
        answer(f"{model}: {len(findings)} finding{'s' * (len(findings) > 1)}")
        for finding in findings:
            answer(f"  {finding}")
    else:
        answer(f"{model}: OK")
    if findings:
        raise typer.Exit(1)
