"""A model that many threads and other processes use gives the numbers that it gives alone."""

import copy
import multiprocessing
import sys
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np
import pytest
from helpers import toy
from helpers.rounding import ROUNDING

from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.zoo.models import open_model


@pytest.fixture(scope="module")
def model(original):
    return open_model(original, "cpu")


@pytest.fixture
def often_switching():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_with_different_references_get_their_own_numbers(model, often_switching):
    sequences = toy.random_sequences(8)
    starts = np.arange(0, 40, 4)
    expected = [model.mutate(sequence, starts, "GATA", quiet=True) for sequence in sequences]

    def work(i):
        return [model.mutate(sequences[i], starts, "GATA", quiet=True) for _ in range(60)]

    with ThreadPoolExecutor(8) as pool:
        for i, results in enumerate(pool.map(work, range(8))):
            for result in results:
                np.testing.assert_allclose(result, expected[i], rtol=0, atol=ROUNDING)


def test_threads_share_genome_and_predictions(model, original, tmp_path, often_switching):
    genome = Genome(toy.toy_genome(tmp_path / "toy.fa"))
    peaks = model.package.peaks()
    expected = model.predict(peaks, genome).X
    with ThreadPoolExecutor(8) as pool:
        for result in pool.map(lambda _: model.predict(peaks, genome).X, range(40)):
            np.testing.assert_allclose(result, expected, rtol=0, atol=ROUNDING)


def test_a_model_goes_to_workers_of_joblib_and_multiprocessing(model):
    sequences = toy.random_sequences(2)
    expected = model.embed(sequences)
    by_joblib = joblib.Parallel(n_jobs=2)(joblib.delayed(model.embed)([sequence]) for sequence in sequences)
    np.testing.assert_allclose(np.concatenate(by_joblib), expected, rtol=0, atol=ROUNDING)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        by_process = pool.map(model.embed, [[sequence] for sequence in sequences])
    np.testing.assert_allclose(np.concatenate(by_process), expected, rtol=0, atol=ROUNDING)


def test_the_number_of_threads_changes_rounding_only_and_goes_along(original, model):
    one = open_model(original, "cpu", threads=1)
    sequences = toy.random_sequences(5)
    np.testing.assert_allclose(one.embed(sequences), model.embed(sequences), rtol=0, atol=ROUNDING)
    assert copy.deepcopy(one).device.threads == 1
