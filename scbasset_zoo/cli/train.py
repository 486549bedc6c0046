"""`scbasset-zoo train`: fit scBasset to a prepared peak set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from scbasset_zoo.cli.options import Threads, from_model
from scbasset_zoo.cli.output import answer
from scbasset_zoo.progress import say
from scbasset_zoo.training.train_options import TrainingOptions

# After so many steps, fits have left the plateau at the start (docs/training.md).
_STEPS_OF_PLATEAU = 300


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
            more = _epochs_to_train_on(run)
            answer(
                "Train on before you use it, since training begins with a plateau that may last hundreds of steps: "
                f"scbasset-zoo train {prepared} --out {out} --resume --epochs {more}. If that does not help, prepare more peaks "
                "and cells, and check that genome and peaks are of one assembly."
            )
    answer(f"run in {out}; next: scbasset-zoo export {out} --out PACKAGE")


def _epochs_to_train_on(run: Any) -> int:
    """Return how many epochs to train in all: twice those that were done, and so many steps that the plateau should be over."""
    from scbasset_zoo.training.run_folder import checked_record

    record = checked_record(run.folder)
    steps = -(-record["data"]["manifest"]["splits"]["train"] // record["options"]["batch_size"])
    return max(2 * int(run.history["epoch"].iloc[-1]), -(-_STEPS_OF_PLATEAU // steps))
