"""`scbasset-zoo verify`: is a model package what its card says?"""

from __future__ import annotations

import json as json_module
from dataclasses import asdict
from typing import Annotated

import typer


def verify(
    model: Annotated[str, typer.Argument(help="Folder of a model package, or a name or URL of the zoo.")],
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check every file, the network and its test outputs, and list all that is wrong; exit 1 if anything is."""
    from scbasset_zoo.errors import InputError, PackageError, SourceError
    from scbasset_zoo.package.finding import Finding
    from scbasset_zoo.package.verifying import verify_package
    from scbasset_zoo.zoo.models import find_folder

    try:
        findings = verify_package(find_folder(model))
    except (InputError, PackageError, SourceError) as error:
        if not json:
            raise
        findings = [Finding(model, str(error))]
    if json:
        typer.echo(json_module.dumps({"ok": not findings, "findings": [asdict(finding) for finding in findings]}, indent=2))
    elif findings:
        typer.echo(f"{model}: {len(findings)} finding{'s' * (len(findings) > 1)}")
        for finding in findings:
            typer.echo(f"  {finding}")
    else:
        typer.echo(f"{model}: OK")
    if findings:
        raise typer.Exit(1)
