"""`scbasset-zoo genome`: check the file of a genome, and download one by its name."""

from __future__ import annotations

from typing import Annotated

import typer

from scbasset_zoo.cli.output import answer, answer_json
from scbasset_zoo.cli.suggestions import SuggestingCommand, SuggestingGroup

app = typer.Typer(
    cls=SuggestingGroup,
    help="Check the file of a genome, and download one by its name.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    callback=lambda: None,
)


@app.command(cls=SuggestingCommand)
def check(
    genome: Annotated[str, typer.Argument(help="FASTA (plain, gzip or bgzip), .2bit, or a name such as hg38.")],
    assembly: Annotated[str | None, typer.Option(help="Assembly to compare with. By default the one that fits.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Compare a genome with an assembly, by the lengths of its chromosomes. Exit with 1 if it is another."""
    import scbasset_zoo as sz

    checked = sz.check_genome(genome, assembly)
    if json:
        answer_json(checked.as_dict())
    else:
        for line in checked.report().splitlines():
            answer(line)
    if assembly is not None and not checked.ok:
        raise typer.Exit(1)


@app.command(cls=SuggestingCommand)
def get(
    name: Annotated[str, typer.Argument(help="UCSC's name of an assembly, such as hg38, or another name such as GRCh38.")],
) -> None:
    """Download a genome from UCSC into the cache, if it is not there, and print its path."""
    from scbasset_zoo.errors import InputError
    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.inputs.named_genome import genome_name

    if genome_name(name) is None:
        raise InputError(f"{name!r} is no name of an assembly. A name has letters and digits only, such as hg38 or mm10.")
    answer(Genome(name).path)
