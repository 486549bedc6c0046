"""Time fastISM (Nair et al., Bioinformatics 2022) on a network with scBasset's layers.

fastISM needs Keras 2, so it runs in its own environment, which has none of this project's code:

    python3.11 -m venv fastism && fastism/bin/pip install "tensorflow-cpu==2.15.1" "numpy<2" fastism

fastISM accepts neither a GELU before the first convolution nor a max pool with padding. So in this network each GELU follows
its convolution, and the pools have no padding. For 1,344 bp the lengths stay the same: the network has the same products and
one GELU of 4 channels less. Batch normalisation is folded into the convolutions, as in the model that it is compared with.

The argument is the number of sequences. For each line on standard input the program runs ISM of these sequences with one
replacement base, and prints the seconds and the number of substitutions.
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
    """Compare three positions, two of them at the ends, with full passes.

    fastISM's own check is too strict for these outputs: it accepts absolute differences of 1e-6 only.
    """
    ranges = [(position, position + 1) for position in (0, 700, LENGTH - 1)]
    sequences = tf.one_hot(np.random.default_rng(1).integers(1, 4, (2, LENGTH)), 4)
    effects, expected = (
        np.array(run(sequences, replace_with=[1, 0, 0, 0]))
        for run in (fastism.FastISM(model, change_ranges=ranges, test_correctness=False), NaiveISM(model, change_ranges=ranges))
    )
    assert np.abs(effects - expected).max() < 1e-4


def main():
    batch = int(sys.argv[1])
    # TensorFlow may print; standard output is for the results alone.
    results, sys.stdout = sys.stdout, sys.stderr
    model = network()
    ism = fastism.FastISM(model, test_correctness=False)
    check(model)
    codes = np.random.default_rng(0).integers(0, 4, (batch, LENGTH))
    sequences = tf.constant(np.eye(4, dtype=np.float32)[codes])
    for _ in sys.stdin:
        start = time.perf_counter()
        ism(sequences, replace_with=[1, 0, 0, 0])
        print(time.perf_counter() - start, int((codes != 0).sum()), file=results, flush=True)


if __name__ == "__main__":
    main()
