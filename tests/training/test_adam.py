"""The optimiser: the formula of Kingma and Ba (2015), section 2, for each variable."""

import keras
import numpy as np
import tensorflow as tf

from scbasset_zoo.training.adam import EPSILON, Adam


def test_updates_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    shapes = [(7, 3), (5,)]
    variables = [keras.Variable(rng.normal(size=shape).astype(np.float32)) for shape in shapes]
    expected = [np.asarray(variable, np.float64) for variable in variables]
    m, v = ([np.zeros(shape) for shape in shapes] for _ in range(2))
    adam = Adam(0.01, 0.95, 0.9995)
    adam.build(variables)
    step = tf.function(lambda *gradients: adam.apply(list(gradients), variables))
    for t in range(1, 31):
        gradients = [rng.normal(size=shape) * 10.0 ** rng.integers(-6, 2) for shape in shapes]
        step(*(tf.constant(gradient, tf.float32) for gradient in gradients))
        for i, gradient in enumerate(gradients):
            m[i] = 0.95 * m[i] + 0.05 * gradient
            v[i] = 0.9995 * v[i] + 0.0005 * gradient**2
            rate = 0.01 * np.sqrt(1 - 0.9995**t) / (1 - 0.95**t)
            expected[i] -= rate * m[i] / (np.sqrt(v[i]) + EPSILON)
    for variable, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(np.asarray(variable), value, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(np.asarray(adam.variables[2]), m[0], rtol=1e-5, atol=1e-9)
