"""`scbasset-zoo simulate`."""

import typer
from typer.testing import CliRunner

from scbasset_zoo.simulation.experiment import load_simulation


def test_command_line(tmp_path):
    from scbasset_zoo.cli.simulate import simulate as command

    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(tmp_path / "s"), "--n-cells", "20", "--n-peaks", "60", "--n-batches", "2", "--seed", "5"])
    assert result.exit_code == 0, result.output
    assert "20 cells of 6 types, 2 batches x 60 peaks" in result.stdout
    assert "scbasset-zoo prepare" in result.stdout
    options = load_simulation(tmp_path / "s").parameters["options"]
    assert (options["n_cells"], options["n_peaks"], options["n_batches"], options["seed"]) == (20, 60, 2, 5)
