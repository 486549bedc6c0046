"""Shift and reverse complement inside the graph are the plain operations on the stored sequence."""

import numpy as np

from scbasset_zoo.inputs import dna
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training.augmentation import augment, centre, one_hot  # noqa: E402

FLANK, LENGTH, SHIFT = 5, 40, 3


def codes(n, seed=0):
    return np.random.default_rng(seed).integers(0, 5, (n, LENGTH + 2 * FLANK)).astype(np.int8)


def augmented(stored, seed, **options):
    options = {"flank": FLANK, "shift": SHIFT, "reverse_complement": True, **options}
    return augment(tf.constant(stored), seed=tf.constant([3, seed], tf.int64), **options).numpy()


def test_one_hot_is_that_of_the_runtime():
    stored = codes(6)
    np.testing.assert_array_equal(one_hot(tf.constant(stored)).numpy(), dna.one_hot(stored))


def test_every_result_is_a_shift_of_one_strand_and_all_of_them_occur_about_equally_often():
    stored = codes(2000)
    counts = np.zeros((2 * SHIFT + 1, 2), dtype=int)
    for original, result in zip(stored, augmented(stored, 0), strict=True):
        windows = [original[FLANK + shift : FLANK + shift + LENGTH] for shift in range(-SHIFT, SHIFT + 1)]
        matches = [
            (i, s) for i, w in enumerate(windows) for s, x in enumerate((w, dna.reverse_complement(w))) if (x == result).all()
        ]
        assert len(matches) == 1
        counts[matches[0]] += 1
    # 2,000 draws over 14 outcomes: 143 expected, standard deviation 11.5.
    assert counts.min() > 143 - 5 * 11.5
    assert counts.max() < 143 + 5 * 11.5


def test_the_draw_depends_on_the_seed_alone():
    stored = codes(50)
    np.testing.assert_array_equal(augmented(stored, 1), augmented(stored, 1))
    assert (augmented(stored, 1) != augmented(stored, 2)).any()


def test_without_shift_and_strands_the_window_is_unchanged():
    stored = codes(8)
    np.testing.assert_array_equal(augmented(stored, 0, shift=0, reverse_complement=False), stored[:, FLANK:-FLANK])
    np.testing.assert_array_equal(centre(tf.constant(stored), FLANK).numpy(), stored[:, FLANK:-FLANK])
    np.testing.assert_array_equal(centre(tf.constant(stored), 0).numpy(), stored)
