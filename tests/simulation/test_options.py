"""Options out of range."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.simulation.simulate import simulate
from tests.helpers.simulated import SMALL


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_types": 17}, "n_types: must be at most 16; found 17"),
        ({"n_types": 0}, "n_types: must be at least 1; found 0"),
        ({"n_cells": 5}, "5 cells cannot cover 6 cell types"),
        ({"n_batches": 1}, "n_batches: must be 0 .* or at least 2; found 1"),
        ({"n_batches": -1}, "n_batches: must be 0 .* or at least 2; found -1"),
        ({"n_batches": 301}, "cannot cover 301 batches"),
        ({"n_peaks": 1}, "n_peaks: must be at least 2"),
        ({"density": 0.0}, "density: must be more than 0"),
        ({"density": 0.51}, "density: must be at most 0.5"),
        ({"density": float("nan")}, "density: must be"),
        ({"signal": -1}, "signal: must be at least 0"),
        ({"signal": float("inf")}, "signal: must be a finite number"),
        ({"peak_width": 1_345}, "peak_width: must be at most 1344"),
        ({"seed": -1}, "seed: must be at least 0"),
        ({"n_cell": 5}, "n_cell is not an option; did you mean n_cells"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        simulate(tmp_path / "s", **{**SMALL, **wrong})
    assert list(tmp_path.iterdir()) == []
