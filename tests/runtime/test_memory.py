"""Free memory, and what fits into it."""

import subprocess
import sys

import pytest

from scbasset_zoo.runtime import memory
from scbasset_zoo.runtime.memory import n_that_fit


def test_available_memory_is_a_sensible_figure():
    assert 2**20 < memory.available_memory() < 2**50


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
def test_a_limit_of_the_address_space_is_that_of_the_memory():
    code = (
        "import resource; from scbasset_zoo.runtime.memory import available_memory as left\n"
        "resource.setrlimit(resource.RLIMIT_AS, (3 << 29, resource.RLIM_INFINITY)); before = left()\n"
        "block = bytearray(1 << 28); print(before, left())"
    )
    before, after = map(int, subprocess.check_output([sys.executable, "-c", code], text=True).split())
    assert before < 3 << 29
    assert abs(before - after - (1 << 28)) < 1 << 20


def test_as_many_fit_as_a_share_of_the_free_memory_holds():
    assert n_that_fit(512, 100_000, share=0.25) == 512
    assert n_that_fit(512, 10**15, share=0.25) == 1


def test_all_fit_if_the_free_memory_is_unknown(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: None)
    assert n_that_fit(512, 10**15, share=0.25) == 512
