"""Free memory, and what fits into it."""

from scbasset_zoo.runtime import memory
from scbasset_zoo.runtime.memory import n_that_fit


def test_available_memory_is_a_sensible_figure():
    assert 2**20 < memory.available_memory() < 2**50


def test_as_many_fit_as_a_share_of_the_free_memory_holds():
    assert n_that_fit(512, 100_000, share=0.25) == 512
    assert n_that_fit(512, 10**15, share=0.25) == 1


def test_all_fit_if_the_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert n_that_fit(512, 10**15, share=0.25) == 512
