"""Runs fastISM (Nair et al., Bioinformatics 2022) on a network of scBasset's layers, once for every line it reads.

It lives in an environment of its own, since fastISM needs Keras 2:

    python3.11 -m venv fastism && fastism/bin/pip install "tensorflow-cpu==2.15.1" "numpy<2" fastism

fastISM takes no GELU before a convolution of the input and no same-padded pool. So this network has each GELU after its
convolution and pools without padding, which at 1,344 bp give the same lengths: the same products, one GELU of 4 channels
less. Batch normalisation is folded away, as in the model that it is compared with.

Prints, for each line read, the seconds and the substitutions of ISM of `batch` sequences (argument) by one replacement base.
"""

import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import fastism
import numpy as np
import tensorflow as tf
from fastism.ism_base import NaiveISM

LENGTH = 1344
BLOCKS = ((288, 17, 3), (288, 5, 2), (323, 5, 2), (363, 5, 2), (407, 5, 2), (456, 5, 2), (512, 5, 2), (256, 1, 1))


@tf.keras.utils.register_keras_serializable()
def quick_gelu(x):
    return x * tf.sigmoid(1.702 * x)


def network():
    random = {"kernel_initializer": tf.keras.initializers.VarianceScaling(3.0, seed=0)}
    x = sequence = tf.keras.Input((LENGTH, 4))
    for channels, width, pool in BLOCKS:
        x = tf.keras.layers.Conv1D(channels, width, padding="same", **random)(x)
        x = tf.keras.layers.Activation(quick_gelu)(x)
        if pool > 1:
            x = tf.keras.layers.MaxPooling1D(pool)(x)
    x = tf.keras.layers.Dense(32, **random)(tf.keras.layers.Flatten()(x))
    return tf.keras.Model(sequence, tf.keras.layers.Activation(quick_gelu)(x))


def check(model):
    """fastISM's own check asks for 1e-6 of outputs of any size: compare some positions, both ends among them, to 1e-4."""
    ranges = [(position, position + 1) for position in (0, 700, LENGTH - 1)]
    sequences = tf.one_hot(np.random.default_rng(1).integers(1, 4, (2, LENGTH)), 4)
    found, expected = (
        np.array(way(sequences, replace_with=[1, 0, 0, 0]))
        for way in (fastism.FastISM(model, change_ranges=ranges, test_correctness=False), NaiveISM(model, change_ranges=ranges))
    )
    assert np.abs(found - expected).max() < 1e-4


def main():
    batch = int(sys.argv[1])
    answers, sys.stdout = sys.stdout, sys.stderr
    model = network()
    ism = fastism.FastISM(model, test_correctness=False)
    check(model)
    codes = np.random.default_rng(0).integers(0, 4, (batch, LENGTH))
    sequences = tf.constant(np.eye(4, dtype=np.float32)[codes])
    for _ in sys.stdin:
        start = time.perf_counter()
        ism(sequences, replace_with=[1, 0, 0, 0])
        print(time.perf_counter() - start, int((codes != 0).sum()), file=answers, flush=True)


if __name__ == "__main__":
    main()
