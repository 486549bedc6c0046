"""Checks that ONNX Runtime computes from model.onnx what Keras computes from the network."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.contract import BATCH_OUTPUT
from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs import dna
from scbasset_zoo.progress import say
from scbasset_zoo.training.architecture import Network

# In a sum of float32 numbers, processors differ by some units in the last place of its largest terms. A probability changes at
# most a quarter as much as its logit. For terms of up to 10, 1e-5 is 30 of these units. The tolerance grows with the terms.
TOLERANCE = 1e-5
MOST_TOLERANCE = 1e-3
LARGE_TERM = 10


def check_agreement(network: Network, model: bytes, codes: dna.Codes) -> None:
    """Compare the probabilities of Keras and ONNX Runtime, without and with the batch path.

    Parameters
    ----------
    network : Network
    model : bytes
        The serialised ONNX model.
    codes : int8 array of shape (n, sequence_length)
        Sequences to compare on.

    Raises
    ------
    PackageError
        A probability differs by more than 1e-5, or more than what the rounding of logits with large terms explains.
    """
    sequence = dna.one_hot(codes)
    outputs = run_plainly(model, sequence)
    peak_embedding = network.trunk(sequence)
    pairs = [(network.cell_head(peak_embedding), outputs["accessibility"])]
    if network.batch_head is not None:
        pairs.append((network(sequence), expit(outputs[BATCH_OUTPUT])))
    terms = np.abs(peak_embedding.numpy()).max() * np.abs(np.asarray(network.cell_head.kernel)).max()
    tolerance = min(TOLERANCE * max(1.0, terms / LARGE_TERM), MOST_TOLERANCE)
    largest = 0.0
    for logits, probability in pairs:
        expected = expit(logits.numpy())
        difference = np.abs(expected - probability)
        worst = np.unravel_index(difference.argmax(), difference.shape)
        # Written so that NaN fails.
        if not difference[worst] <= tolerance:
            raise PackageError(
                f"Keras and ONNX Runtime differ by {difference[worst]:.2g} in probability (test sequence {worst[0]}, cell "
                f"{worst[1]}: {expected[worst]:.6f} and {probability[worst]:.6f}); at most {tolerance:.2g} is allowed. Nothing was "
                "written."
            )
        largest = max(largest, float(difference[worst]))
    say(f"Keras and ONNX Runtime agree to {largest:.1g} in probability on {len(codes)} sequences")
