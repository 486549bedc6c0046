"""What the console shows while a network is trained."""

import re

from scbasset_zoo.training.display import Display, time_left
from scbasset_zoo.training.train_options import TrainingOptions


def row(epoch, auroc):
    numbers = {"loss": 0.3, "validation_loss": 0.3, "validation_auroc": 0.5, "peaks_per_second": 100.0, "seconds": 60.0}
    return {"epoch": epoch, "auroc": auroc, **numbers}


def test_the_plateau_is_explained_once_and_its_end_is_shown(capsys):
    with Display(20, TrainingOptions(epochs=9, patience=4)) as display:
        assert "At most 9 epochs of 20 steps" in capsys.readouterr().err
        shown = []
        for epoch, auroc in enumerate((0.51, 0.55, 0.62, 0.7), 1):
            display.epoch(row(epoch, auroc), {"best_epoch": epoch})
            shown.append(capsys.readouterr().err)
    assert "still near chance (0.510) after 20 steps" in shown[0]
    assert "plateau is over" not in shown[1]
    assert [len(re.findall("near chance|plateau", text)) for text in shown] == [1, 0, 1, 0]
    assert "The plateau at the start is over" in shown[2]


def test_a_quiet_display_shows_nothing(capsys):
    with Display(20, TrainingOptions(), quiet=True) as display:
        display.epoch(row(1, 0.5), {"best_epoch": 1})
    assert capsys.readouterr().err == ""


def test_time_left_is_that_of_the_epochs_and_of_the_stopping_rule():
    options = TrainingOptions(epochs=200, patience=50)
    assert time_left(row(20, 0.7), {"best_epoch": 20}, options) == "at most 3.0 h left"
    assert time_left(row(20, 0.7), {"best_epoch": 15}, options) == "at most 3.0 h left, 45 min if the AUROC does not rise"
    assert time_left(row(190, 0.7), {"best_epoch": 185}, options) == "at most 10 min left"
    assert time_left(row(200, 0.7), {"best_epoch": 200}, options) == ""
