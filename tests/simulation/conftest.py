"""Small simulations that several tests read."""

import anndata as ad
import pytest

from scbasset_zoo.simulation.simulate import simulate
from tests.helpers.simulated import SMALL


@pytest.fixture(scope="session")
def simulation(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "simulation", **SMALL)


@pytest.fixture(scope="session")
def matrix(simulation):
    return ad.read_h5ad(simulation.matrix)


@pytest.fixture(scope="session")
def batched(tmp_path_factory):
    return simulate(tmp_path_factory.mktemp("simulate") / "batched", **{**SMALL, "n_batches": 3})
