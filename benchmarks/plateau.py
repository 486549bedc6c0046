"""How many steps a fit idles at an AUROC near 0.5, with and without a warmup of the learning rate.

Run `nice python -m benchmarks.plateau` in the root of the repository. It takes half an hour on one core.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import scbasset_zoo as sz
from benchmarks.table import machine, markdown, write_section
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

WIDTH, BATCH_SIZE, EPOCHS, SEEDS = 0.25, 32, 8, (0, 1, 2)
SIZE = {"n_cells": 300, "n_peaks": 2_400, "signal": 1.5}
# A fit has left the plateau in the first epoch whose training AUROC is at least this.
LEFT = 0.55
SETTINGS: dict[str, dict[str, Any]] = {
    "published recipe": {},
    "--warmup 100": {"warmup": 100},
    "--warmup 300": {"warmup": 300},
    "--learning-rate 0.003": {"learning_rate": 0.003},
}


def main() -> None:
    """Fit each setting from each seed, print the table and write it into docs/benchmarks.md."""
    require_tensorflow()
    with tempfile.TemporaryDirectory() as folder:
        simulation = sz.simulate(Path(folder) / "simulated", quiet=True, **SIZE)
        prepared = sz.prepare(
            simulation.matrix, genome=simulation.genome, assembly="simulated", out=Path(folder) / "prepared", quiet=True,
            min_cell_fraction=0,
        )  # fmt: skip
        rows = []
        for seed in SEEDS:
            for name, options in SETTINGS.items():
                history, n_steps = fit(prepared, seed, options)
                left = next((number for number, row in enumerate(history, 1) if row["auroc"] >= LEFT), None)
                steps = f"more than {EPOCHS * n_steps}" if left is None else f"{(left - 1) * n_steps} to {left * n_steps}"
                last = history[-1]
                rows.append((f"{name}, seed {seed}", steps, f"{last['auroc']:.3f}", f"{last['validation_auroc']:.3f}"))
                print(rows[-1], flush=True)
    rows.sort(key=lambda row: [name for name in SETTINGS if row[0].startswith(f"{name},")])
    table = markdown(("fit", "steps of the plateau", "training AUROC at the end", "validation AUROC at the end"), rows)
    write_section(
        "plateau",
        "## The plateau at the start of training\n\nA fit has left the plateau in the first epoch whose training AUROC (mean over "
        f"cells) is at least {LEFT:g}; the table shows the steps at which this epoch began and ended. Chance is 0.5. Networks of "
        f"width {WIDTH:g} are fitted for {EPOCHS} epochs of {n_steps} steps, in batches of {BATCH_SIZE}, to {prepared.n_cells} "
        f"simulated cells of six types x {prepared.n_peaks:,} peaks (`sz.simulate(signal={SIZE['signal']})`), in float32.\n\n"
        f"{machine('tensorflow', 'keras')}\n\n{table}\n",
    )
    print(table)


def fit(prepared: Any, seed: int, options: dict[str, Any]) -> tuple[list[dict[str, Any]], int]:
    """Return the history of a fit, a row for each epoch, and the number of steps in an epoch."""
    from scbasset_zoo.training.fit import Fit
    from scbasset_zoo.training.process_settings import standard_settings
    from scbasset_zoo.training.train_options import TrainingOptions

    recipe = TrainingOptions(seed=seed, width=WIDTH, batch_size=BATCH_SIZE, precision="float32", **options)
    with standard_settings():
        network = Fit(prepared, recipe, None)
        history = []
        for _ in range(EPOCHS):
            for _ in network.epoch():
                pass
            history.append(network.end_epoch())
    return history, network.n_steps


if __name__ == "__main__":
    main()
