"""The gradient of a batch in parts is the sum over its parts, and moving statistics move as in a whole batch."""

import numpy as np
import pytest
from helpers.tiny_fits import TINY

import scbasset_zoo as sz
from scbasset_zoo.errors import InputError
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training.augmentation import centre, one_hot  # noqa: E402
from scbasset_zoo.training.fit import Fit  # noqa: E402
from scbasset_zoo.training.learning_rate import learning_rate  # noqa: E402
from scbasset_zoo.training.train_options import TrainingOptions  # noqa: E402


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    simulation = sz.simulate(folder / "simulated", n_cells=30, n_peaks=80, n_types=3, density=0.2, quiet=True)
    return sz.prepare(
        simulation.matrix, genome=simulation.genome, assembly="simulated", out=folder / "prepared", split="70/15/15", quiet=True
    )


def fit_in_parts(prepared, **options):
    tiny = {name: value for name, value in TINY.items() if name != "quiet"}
    return Fit(prepared, TrainingOptions(**{**tiny, "shift": 0, "reverse_complement": False, **options}).for_cells(30), None)


def cross_entropy_and_penalty(fit, rows, part_number):
    """The loss of a part by TensorFlow's own formula on dense labels."""
    codes, peak, cell = fit.prepared.batch(rows)
    labels = np.zeros((len(rows), 30), np.float32)
    labels[peak, cell] = 1
    fit.network.restart_dropout(fit.options.seed, tf.constant(part_number, tf.int64))
    logits = fit.network(one_hot(centre(tf.constant(codes), fit.prepared.flank)), training=True)
    entropy = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))
    return entropy + fit.options.l2_cell * tf.reduce_sum(tf.square(fit.network.cell_head.kernel))


def test_the_gradient_in_parts_is_the_sum_over_parts_weighted_by_their_peaks(prepared):
    fit = fit_in_parts(prepared, accumulate=3, l2_cell=0.01)
    rows, step = fit.train_rows[:31], 4
    parts = np.array_split(rows, 3)
    assert [len(part) for part in parts] == [11, 10, 10]
    loss = 0.0
    for number, part in enumerate(parts):
        share = tf.constant(len(part) / 31, tf.float32)
        loss += float(fit._train_part(*fit.prepared.batch(part), tf.constant(3 * step + number, tf.int64), share))
    expected_loss, expected = 0.0, [0.0] * len(fit.trained)
    for number, part in enumerate(parts):
        with tf.GradientTape() as tape:
            of_part = cross_entropy_and_penalty(fit, part, 3 * step + number) * len(part) / 31
        expected_loss += float(of_part)
        expected = [total + one.numpy() for total, one in zip(expected, tape.gradient(of_part, fit.trained), strict=True)]
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    for variable, total, one in zip(fit.trained, fit.copies[0].sums.take(), expected, strict=True):
        assert np.abs(total - one).max() <= 1e-4 * np.abs(one).max() + 1e-7, variable.path
    assert not any(total.numpy().any() for total in fit.copies[0].sums.take())


def test_moving_statistics_of_equal_parts_move_as_far_as_those_of_a_batch(prepared):
    whole, halves = fit_in_parts(prepared), fit_in_parts(prepared, accumulate=2)
    rows = fit_in_parts(prepared).train_rows[:20]
    for fit, batches in ((whole, [rows]), (halves, [rows, rows])):
        for batch in batches:
            fit.network(one_hot(centre(tf.constant(fit.prepared.batch(batch)[0]), fit.prepared.flank)), training=True)
    for name in ("moving_mean", "moving_variance"):
        ours, theirs = (np.asarray(getattr(fit.network.trunk.get_layer("conv_0_norm"), name)) for fit in (halves, whole))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-7)


def test_parts_of_less_than_two_peaks_are_refused(prepared):
    with pytest.raises(InputError, match="accumulate=20 would leave less than 2 peaks of a batch of 20 in a part"):
        fit_in_parts(prepared, accumulate=20)


def test_the_learning_rate_rises_in_equal_parts_and_stays():
    rates = [float(learning_rate(tf.constant(step, tf.int64), 0.01, 4)) for step in range(6)]
    np.testing.assert_allclose(rates, [0.0025, 0.005, 0.0075, 0.01, 0.01, 0.01], rtol=1e-6)
    assert float(learning_rate(tf.constant(0, tf.int64), 0.01, 0)) == np.float32(0.01)
