"""The plot of a training run."""

import pandas as pd
import pytest
from matplotlib.figure import Figure

from scbasset_zoo.training.history_plot import draw_history


def test_curves_and_lines_at_chance_have_names():
    columns = ("loss", "auroc", "validation_loss", "validation_auroc")
    history = pd.DataFrame({"epoch": [1, 2], **{column: [0.6, 0.61] for column in columns}})
    baselines = {"loss": {"by depth": 0.4}, "auroc": {"chance": 0.5, "by GC content alone": 0.55}}
    loss, auroc = draw_history(Figure(), history, 2, baselines).axes
    named = {line.get_label(): line for line in auroc.lines}
    assert list(named) == [
        "training peaks", "validation peaks", "chance (0.500)", "by GC content alone (0.550)", "best training AUROC (epoch 2)",
    ]  # fmt: skip
    assert list(named["chance (0.500)"].get_ydata()) == [0.5, 0.5]
    assert auroc.get_ylabel() == "AUROC, mean over cells"
    assert [line.get_ydata()[0] for line in loss.lines if line.get_label() == "by depth (0.400)"] == [pytest.approx(0.4)]
