"""A simulation on disk."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.simulation.experiment import load_simulation


def test_a_simulation_loads_again(simulation):
    loaded = load_simulation(simulation.folder)
    assert loaded == simulation
    assert loaded.assembly == "simulated"
    assert loaded.activities.shape == (300, len(loaded.motifs))
    assert list(loaded.activities.index) == list(loaded.cells.index)
    assert list(loaded.strengths.index) == list(loaded.peaks.index)


def test_a_folder_that_is_no_simulation_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"simulation\.json"):
        load_simulation(tmp_path)
