"""Errors about unknown names suggest the right ones, and help names every option in full."""

import re

import pytest
from helpers import toy
from typer.testing import CliRunner

import scbasset_zoo as sz
from scbasset_zoo.cli.main import app
from scbasset_zoo.wording import did_you_mean


def run(*arguments):
    return CliRunner(env={"COLUMNS": "80"}).invoke(app, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "suggestion"),
    [
        (["predct"], "Did you mean 'predict'?"),
        (["run", "embeding"], "Did you mean 'embedding'?"),
        (["predict", "m", "--label", "x"], "(Possible options: --group-by)"),
        (["run", "embedding", "m", "--gruop-by", "x"], "--group-by"),
        (["run", "ism", "m", "--fasta", "x"], "(Possible options: --genome)"),
        (["run", "denoise", "m", "--bed", "x"], "(Possible options: --peaks)"),
    ],
)
def test_an_unknown_name_is_answered_by_the_nearest(arguments, suggestion):
    done = run(*arguments)
    assert done.exit_code == 2
    assert suggestion in done.stderr


def test_an_unknown_column_is_answered_by_the_nearest(tmp_path):
    model = sz.open_model(toy.toy_package(tmp_path / "toy").folder, "cpu")
    genome = toy.toy_genome(tmp_path / "toy.fa")
    for call in (
        lambda: model.predict(["chr1:100-600"], genome, group_by="celltype"),
        lambda: sz.run("embedding", model, group_by="celltype", n_neighbours=3, quiet=True),
    ):
        with pytest.raises(sz.InputError, match="Did you mean 'cell_type'"):
            call()
    assert did_you_mean("nothing like it", model.cells) == ""


def test_control_characters_of_a_name_do_not_reach_the_terminal():
    assert "\x1b" not in run("pre\x1b[31mdict").stderr + run("predict", "m", "--o\x1b[31mut", "x").stderr


@pytest.mark.parametrize("command", [["prepare"], ["train"], ["predict"], ["run", "motif-insertion"], ["run", "denoise"]])
def test_help_has_80_columns_and_cuts_no_name(command):
    for flag in ("-h", "--help"):
        lines = run(*command, flag).stdout.splitlines()
        assert max(map(len, lines)) <= 80
        # "{matrix}..." stands for several; a name that is cut ends in dots, too.
        whole = [re.sub(r"\{(matrix|model)\}\.\.\.|(matrix|model)\.\.\. <", "", line) for line in lines]
        assert not [line for line in whole if "\u2026" in line or "..." in line]
    text = " ".join(" ".join(lines).split())
    assert "[required]" in text
    if command[-1] == "motif-insertion":
        assert "COLUMN:GROUP:OTHER" in text
        assert "[default: 1000]" in text
