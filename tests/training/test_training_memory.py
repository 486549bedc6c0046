"""The memory of a training run is said and checked before the run starts."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.runtime import memory
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()

from scbasset_zoo.training import training_memory  # noqa: E402
from scbasset_zoo.training.architecture import Architecture  # noqa: E402
from scbasset_zoo.training.train_options import TrainingOptions  # noqa: E402
from scbasset_zoo.training.training_memory import (  # noqa: E402
    head_bytes,
    logits_bytes,
    say_and_check_memory,
    step_memory,
    trunk_bytes,
)


def check(n_cells, *, resumed=False, n_shares=1, **options):
    prepared = SimpleNamespace(n_cells=n_cells, rows=lambda split: np.arange(1000))
    options = TrainingOptions(**options)
    return say_and_check_memory(
        prepared, options, Architecture(n_cells), "float32", on_gpu=False, resumed=resumed, n_shares=n_shares
    )


def test_size_and_memory_are_said(monkeypatch, capsys):
    monkeypatch.setattr(memory, "available_memory", lambda: 64 * 2**30)
    check(1_000_000, cells_per_step=50_000)
    said = capsys.readouterr().err
    assert "1,000 training peaks x 1,000,000 cells, of which each step draws 50,000; 8 steps an epoch" in said
    assert "head 125.9 MiB, its optimiser 251.8 MiB" in said


def test_each_worker_takes_memory_for_its_share_of_a_batch(monkeypatch, capsys):
    monkeypatch.setattr(memory, "available_memory", lambda: 64 * 2**30)
    activations = {}
    for n_shares in (1, 2):
        check(10_000, batch_size=1000, n_shares=n_shares)
        said = capsys.readouterr().err
        assert ("of memory on each worker:" in said) == (n_shares == 2)
        activations[n_shares] = float(re.search(r"activations ([\d.]+) GiB", said)[1])
    assert activations[1] == pytest.approx(2 * activations[2], rel=0.02)


def test_a_run_that_cannot_fit_is_refused_with_advice(monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * 2**30)
    with pytest.raises(InputError, match=r"4\.0 GiB are free.*smaller batch_size.*cells_per_step=50000"):
        check(10_000_000)
    with pytest.raises(InputError, match=r"smaller batch_size, or with a larger accumulate, or with fewer cells"):
        check(1_000, batch_size=1000, accumulate=1)
    with pytest.raises(InputError, match=r"Resume where more memory is free, or start a new run with a smaller batch_size"):
        check(1_000, batch_size=1000, accumulate=1, resumed=True)
    with pytest.raises(InputError, match=r"less than 2 peaks of a batch of 2 in a part.*smaller accumulate"):
        check(1_000, batch_size=2, accumulate=2)


def test_a_batch_that_does_not_fit_is_split_into_as_few_parts_as_fit(monkeypatch, capsys):
    monkeypatch.setattr(memory, "available_memory", lambda: 4 * 2**30)
    monkeypatch.setattr(training_memory, "available_memory", lambda: 4 * 2**30)
    n_parts = check(1_000, batch_size=1000)
    fits = [step_memory(Architecture(1_000), 1000, 1_000, "float32", n).total <= 0.9 * 4 * 2**30 for n in (n_parts - 1, n_parts)]
    assert fits == [False, True]
    said = " ".join(capsys.readouterr().err.split())
    assert (
        f"each batch is computed in {n_parts} parts, one after another, and batch normalisation uses the statistics of each" in said
    )
    assert check(1_000, batch_size=64) == 1


def test_memory_of_the_head_grows_with_cells_and_that_of_logits_does_not_in_blocks():
    assert head_bytes(Architecture(1_000_000), 1_000_000) == (132_000_000, 264_000_000, 132_000_000)
    assert logits_bytes(128, 1_000) == 4 * 4 * 128 * 1_000
    assert logits_bytes(128, 10_000_000) == logits_bytes(128, 1_000_000) < logits_bytes(128, 8_000)


def test_activations_are_those_of_a_tiny_network_counted_by_hand():
    # One base with 4 channels, then one filter a block; 12 bytes are the outputs of a convolution.
    tiny = Architecture(1, width=1e-9, sequence_length=1)
    assert trunk_bytes(tiny, 2, "float32") == 2 * ((3 * 4 * 4 + 12) + 7 * (3 * 4 + 12) + 2 * 4)
