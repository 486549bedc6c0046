"""The expected AUROC of scores."""

import numpy as np
import pytest

from scbasset_zoo.simulation.accessibility import expected_auroc


def test_expected_auroc_equals_counting_pairs():
    rng = np.random.default_rng(0)
    scores, p = rng.normal(size=(2, 40)), rng.random((2, 40))
    expected = []
    for s, q in zip(scores, p, strict=True):
        right = total = 0.0
        for i in range(40):
            for j in range(40):
                if i != j:
                    weight = q[i] * (1 - q[j])
                    right += weight * (s[i] > s[j])
                    total += weight
        expected.append(right / total)
    assert expected_auroc(scores, p) == pytest.approx(np.mean(expected), abs=1e-12)
