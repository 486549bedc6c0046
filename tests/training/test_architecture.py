"""The network is the published one: its size, its order of layers, its arithmetic."""

import numpy as np
import pytest

from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training.architecture import Architecture, Network, n_trainable  # noqa: E402
from scbasset_zoo.training.layers import BatchNormalization  # noqa: E402

SMALL = {"width": 0.03, "embedding_size": 5}


def one_hot(n, length, seed=0):
    return np.eye(4, dtype=np.float32)[np.random.default_rng(seed).integers(0, 4, (n, length))]


def give_random_weights(network, seed=1):
    rng = np.random.default_rng(seed)
    for weight in network.weights:
        if "seed" not in weight.path:
            low, high = (0.5, 1.5) if weight.path.endswith(("gamma", "moving_variance")) else (-0.4, 0.4)
            weight.assign(rng.uniform(low, high, weight.shape))


@pytest.mark.parametrize("n_cells", [1, 533, 2034])
def test_number_of_trainable_parameters_is_the_published_one(n_cells):
    assert n_trainable(Network(Architecture(n_cells))) == 4_513_960 + 33 * n_cells


def test_layers_are_those_of_the_paper():
    convolutions = [layer for layer in Network(Architecture(2)).trunk.layers if isinstance(layer, keras.layers.Conv1D)]
    assert [tuple(layer.kernel.shape) for layer in convolutions] == [
        (17, 4, 288), (5, 288, 288), (5, 288, 323), (5, 323, 363), (5, 363, 407), (5, 407, 456), (5, 456, 512), (1, 512, 256),
    ]  # fmt: skip
    assert all(not layer.use_bias and layer.padding == "same" for layer in convolutions)


def test_inference_is_the_naive_computation_in_float64():
    network = Network(Architecture(3, **SMALL))
    give_random_weights(network)
    sequence = one_hot(2, 1344)
    expected = naive_logits(network, sequence.astype(np.float64))
    assert np.abs(network(sequence).numpy() - expected).max() < 1e-5 * max(1, np.abs(expected).max())


def naive_logits(network, x):
    def gelu(x):
        return x / (1 + np.exp(-1.702 * x))

    def normalise(x, name):
        layer = network.trunk.get_layer(name)
        gamma, beta, mean, variance = (
            np.asarray(w, dtype=np.float64) for w in (layer.gamma, layer.beta, layer.moving_mean, layer.moving_variance)
        )
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta

    for block, (_, width, pool) in enumerate(network.architecture.blocks):
        kernel = np.asarray(network.trunk.get_layer(f"conv_{block}").kernel, dtype=np.float64)
        length = x.shape[1]
        padded = np.pad(gelu(x), ((0, 0), (width // 2, width // 2), (0, 0)))
        x = sum(padded[:, k : k + length] @ kernel[k] for k in range(width))
        x = normalise(x, f"conv_{block}_norm")
        x = x.reshape(x.shape[0], length // pool, pool, -1).max(axis=2)
    kernel = np.asarray(network.trunk.get_layer("bottleneck").kernel, dtype=np.float64)
    x = gelu(normalise(gelu(x).reshape(len(x), -1) @ kernel, "bottleneck_norm"))
    return x @ np.asarray(network.cell_head.kernel, dtype=np.float64) + np.asarray(network.cell_head.bias)


def test_batch_path_adds_the_batch_logits_of_each_cells_batch():
    batch_of_cell = np.array([0, 2, 1, 2])
    network = Network(Architecture(4, n_batches=3, **SMALL), batch_of_cell=batch_of_cell)
    give_random_weights(network)
    z = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    cells = z @ np.asarray(network.cell_head.kernel) + np.asarray(network.cell_head.bias)
    batches = z @ np.asarray(network.batch_head.kernel) + np.asarray(network.batch_head.bias)
    np.testing.assert_allclose(network.logits(z).numpy(), cells + batches[:, batch_of_cell], atol=1e-5)


def test_fused_batch_normalisation_is_keras_own_in_training_and_after():
    x = np.random.default_rng(0).normal(2, 3, (6, 40, 5)).astype(np.float32)
    ours, theirs = BatchNormalization("ours"), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    for _ in range(3):
        np.testing.assert_allclose(ours(x, training=True).numpy(), theirs(x, training=True).numpy(), atol=1e-5)
    np.testing.assert_allclose(ours(x).numpy(), theirs(x).numpy(), atol=1e-5)
    for name in ("moving_mean", "moving_variance"):
        np.testing.assert_allclose(np.asarray(getattr(ours, name)), np.asarray(getattr(theirs, name)), rtol=1e-5)


def test_gradients_flow_through_the_fused_batch_normalisation_as_through_keras_own():
    x = tf.constant(np.random.default_rng(0).normal(size=(6, 8, 3)).astype(np.float32))
    weight = tf.constant(np.random.default_rng(1).normal(size=(6, 8, 3)).astype(np.float32))
    gradients = []
    for layer in (BatchNormalization("ours"), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)):
        layer.build(x.shape)
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(layer(x, training=True) * weight)
        gradients.append(tape.gradient(y, x).numpy())
    np.testing.assert_allclose(*gradients, atol=1e-5)


def test_bfloat16_computes_the_same_to_its_precision_with_float32_logits():
    networks = [Network(Architecture(3, **SMALL), precision=precision, seed=4) for precision in ("float32", "bfloat16")]
    logits = [network(one_hot(4, 1344)) for network in networks]
    assert logits[1].dtype == tf.float32
    assert all(weight.dtype == "float32" for weight in networks[1].trainable_weights)
    np.testing.assert_allclose(logits[1].numpy(), logits[0].numpy(), atol=0.05)
    assert np.abs(logits[1].numpy() - logits[0].numpy()).max() > 0, "bfloat16 was not used"


def test_width_scales_the_filters_and_is_exact_at_one():
    assert [filters for filters, _, _ in Architecture(1, width=0.5).blocks] == [144, 144, 162, 182, 204, 228, 256, 128]
