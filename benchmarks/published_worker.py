"""Time training steps of scBasset as it was published: its layers and its recipe, in legacy Keras.

The published code needs Keras 2, so this runs in an environment of its own, which has none of this project's code:

    python3.11 -m venv published && published/bin/pip install "tensorflow-cpu==2.15.1" "numpy<2"

The arguments are a folder with `sequences.npy` (int8, peaks x 1,344, bases A C G T as 0 to 3) and `labels.npy` (bool, peaks x
cells), and the batch size. For each line on standard input the program trains one epoch and prints its seconds.

As in the published recipe, peaks come one by one as one-hot float32 and dense labels, the strand and the shift are drawn for each
batch, the loss is the binary cross-entropy, and the areas under both curves, ROC and precision-recall, are computed for each cell.
"""

import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf

LENGTH = 1344
BLOCKS = ((288, 17, 3), (288, 5, 2), (323, 5, 2), (363, 5, 2), (407, 5, 2), (456, 5, 2), (512, 5, 2), (256, 1, 1))
MAX_SHIFT = 3


def gelu(x):
    return x * tf.sigmoid(1.702 * x)


class Augment(tf.keras.layers.Layer):
    """Shifts the batch by up to 3 bp, and turns it to the other strand, in training."""

    def call(self, sequence, training=None):
        if not training:
            return sequence
        shift = tf.random.uniform((), -MAX_SHIFT, MAX_SHIFT + 1, tf.int32)
        padded = tf.pad(sequence, ((0, 0), (MAX_SHIFT, MAX_SHIFT), (0, 0)), constant_values=0.25)
        start = MAX_SHIFT + shift
        shifted = padded[:, start : start + LENGTH]
        shifted.set_shape((None, LENGTH, 4))
        return tf.cond(tf.random.uniform(()) > 0.5, lambda: shifted[:, ::-1, ::-1], lambda: shifted)


def network(n_cells):
    start = {"kernel_initializer": "he_normal", "use_bias": False}
    x = sequence = tf.keras.Input((LENGTH, 4))
    x = Augment()(x)
    for filters, width, pool in BLOCKS:
        x = tf.keras.layers.Conv1D(filters, width, padding="same", **start)(tf.keras.layers.Activation(gelu)(x))
        x = tf.keras.layers.BatchNormalization(momentum=0.9)(x)
        if pool > 1:
            x = tf.keras.layers.MaxPooling1D(pool, padding="same")(x)
    x = tf.keras.layers.Flatten()(tf.keras.layers.Activation(gelu)(x))
    x = tf.keras.layers.BatchNormalization(momentum=0.9)(tf.keras.layers.Dense(32, **start)(x))
    x = tf.keras.layers.Activation(gelu)(tf.keras.layers.Dropout(0.2)(x))
    x = tf.keras.layers.Dense(n_cells, activation="sigmoid", kernel_initializer="he_normal")(x)
    model = tf.keras.Model(sequence, x)
    model.compile(
        tf.keras.optimizers.Adam(0.01, beta_1=0.95, beta_2=0.9995),
        tf.keras.losses.BinaryCrossentropy(),
        metrics=[tf.keras.metrics.AUC(curve=curve, multi_label=True) for curve in ("ROC", "PR")],
    )
    return model


def without_waiting():
    """Options without the tuning of buffers, whose thread may keep an epoch from ending for as long as the epoch took.

    Epochs of many steps hardly suffer from this, since the thread sleeps for a minute at most. Here it would be counted.
    """
    options = tf.data.Options()
    options.autotune.enabled = False
    return options


def main():
    folder, batch_size = Path(sys.argv[1]), int(sys.argv[2])
    # TensorFlow may print; standard output is for the results alone.
    results, sys.stdout = sys.stdout, sys.stderr
    codes, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("sequences", "labels"))
    one_hot, rng = np.eye(4, dtype=np.float32), np.random.default_rng(0)

    def peaks():
        for peak in rng.permutation(len(codes)):
            yield one_hot[codes[peak]], labels[peak].astype(np.float32)

    signature = tuple(tf.TensorSpec(shape, tf.float32) for shape in ((LENGTH, 4), labels.shape[1:]))
    data = tf.data.Dataset.from_generator(peaks, output_signature=signature).batch(batch_size).prefetch(tf.data.AUTOTUNE)
    data = data.with_options(without_waiting())
    model = network(labels.shape[1])
    for _ in sys.stdin:
        start = time.perf_counter()
        model.fit(data, verbose=0)
        print(time.perf_counter() - start, file=results, flush=True)


if __name__ == "__main__":
    main()
