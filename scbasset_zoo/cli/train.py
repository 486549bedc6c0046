"""`scbasset-zoo train`: fit scBasset to a prepared peak set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import Threads, from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.progress import say
from scbasset_zoo.training.train_options import TrainingOptions


@from_model(TrainingOptions)
def train(
    prepared: Annotated[Path, typer.Argument(help="Folder made by `scbasset-zoo prepare`.")],
    out: Annotated[Path, typer.Option(help="Folder for the run.")],
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in OUT after an interruption.")] = False,
    threads: Threads = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a run that is in OUT.")] = False,
    **options: Any,
) -> None:
    """Fit scBasset to a prepared peak set. The defaults are the paper's recipe."""
    import scbasset_zoo as sz

    run = sz.train(prepared, out=out, resume=resume, overwrite=overwrite, **options)
    if run.status == "interrupted":
        say(f"{run.stopped_because}; continue with: scbasset-zoo train {prepared} --out {out} --resume")
        raise typer.Exit(130)
    from scbasset_zoo.training.verdict import compare_with_validation

    best_epoch = int(run.history["epoch"].iloc[int(run.history["auroc"].argmax())])
    answer(f"stopped because {run.stopped_because}")
    answer(compare_with_validation(run.history, best_epoch))
    if run.verdict is not None:
        answer(run.verdict["statement"])
        if run.verdict["learnt"] != "sequence":
            more = 2 * int(run.history["epoch"].iloc[-1])
            answer(
                "Train on before you use it, since training begins with a plateau that may last tens of epochs: "
                f"scbasset-zoo train {prepared} --out {out} --resume --epochs {more}. If that does not help, prepare more peaks "
                "and cells, and check that genome and peaks are of one assembly."
            )
    answer(f"run in {out}; next: scbasset-zoo export {out} --out PACKAGE")
