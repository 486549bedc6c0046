"""The loss and the AUROC agree with Keras and scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training.auroc import MeanAuroc, auroc_of_counts  # noqa: E402
from scbasset_zoo.training.loss import binary_cross_entropy  # noqa: E402


def simulated(n=400, n_cells=12, seed=0, spread=2.0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, spread, (n, n_cells)).astype(np.float32)
    labels = (rng.random((n, n_cells)) < 1 / (1 + np.exp(-logits))).astype(np.float32)
    return logits, labels


def entries(labels):
    return tuple(tf.constant(index, tf.int32) for index in np.nonzero(labels))


def test_loss_and_gradient_are_those_of_dense_binary_cross_entropy():
    logits, labels = simulated()
    variable = tf.Variable(logits)
    with tf.GradientTape(persistent=True) as tape:
        ours = 3 * binary_cross_entropy(variable, *entries(labels))
        dense = 3 * tf.reduce_mean(keras.losses.binary_crossentropy(labels, variable, from_logits=True))
    assert float(ours) == pytest.approx(float(dense), rel=1e-6)
    np.testing.assert_allclose(tape.gradient(ours, variable).numpy(), tape.gradient(dense, variable).numpy(), atol=1e-9)


def test_loss_of_a_batch_without_an_open_peak():
    logits = tf.constant([[0.0, 1.0]])
    assert float(binary_cross_entropy(logits, *entries(np.zeros((1, 2))))) == pytest.approx(
        np.log1p(np.exp([0, 1])).mean(), rel=1e-6
    )


def test_mean_auroc_over_batches_is_scikit_learns_to_a_thousandth():
    logits, labels = simulated(n=1000, n_cells=30)
    auroc = MeanAuroc(30)
    for part in np.array_split(np.arange(1000), 7):
        auroc.update(tf.constant(logits[part]), *entries(labels[part]))
    expected = np.mean([roc_auc_score(labels[:, c], logits[:, c]) for c in range(30)])
    assert auroc.result() == pytest.approx(expected, abs=1e-3)
    auroc.reset()
    assert np.isnan(auroc.result())


def test_mean_auroc_of_many_cells_counts_an_evenly_spaced_subset_exactly():
    logits, labels = simulated(n=300, n_cells=50)
    auroc = MeanAuroc(50, max_cells=10)
    auroc.update(tf.constant(logits), *entries(labels))
    expected = np.mean([roc_auc_score(labels[:, c], logits[:, c]) for c in auroc.cells])
    assert len(auroc.cells) == 10
    assert auroc.result() == pytest.approx(expected, abs=1e-3)


def test_auroc_of_counts_gives_half_to_ties_and_nan_to_one_class():
    n_open = np.array([[0, 2, 1], [1, 1, 1], [0, 0, 3]])
    n_seen = np.array([[3, 4, 1], [2, 2, 2], [0, 0, 3]])
    scores = np.repeat([0, 1, 2], n_seen[0])
    labels = np.concatenate([np.arange(seen) < is_open for is_open, seen in zip(n_open[0], n_seen[0], strict=True)])
    assert auroc_of_counts(n_open, n_seen)[0] == pytest.approx(roc_auc_score(labels, scores))
    assert auroc_of_counts(n_open, n_seen)[1] == 0.5
    assert np.isnan(auroc_of_counts(n_open, n_seen)[2])


def test_logits_beyond_the_bins_are_counted_in_the_outermost():
    auroc = MeanAuroc(1)
    auroc.update(tf.constant([[-100.0], [100.0], [0.0]]), tf.constant([1], tf.int32), tf.constant([0], tf.int32))
    assert auroc.result() == 1.0
