"""Compares a device and precision with the test outputs of a package, before it is used."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from scbasset_zoo.errors import DeviceError
from scbasset_zoo.graph.head import read_head
from scbasset_zoo.inputs import dna
from scbasset_zoo.package import test_vectors
from scbasset_zoo.progress import say

if TYPE_CHECKING:
    from scbasset_zoo.package.reading import Package
    from scbasset_zoo.runtime.devices import Device

# Largest accepted differences from the test outputs: of a probability; and of the peak embedding, as root mean square, in units of
# its spread. Rounding to bfloat16 gave 0.002 to 0.009 in fitted models, and 0.012 of the spread with random weights of full width.
MOST_ACCESSIBILITY, MOST_EMBEDDING = 0.05, 0.05
# The same in float32.
MOST_ACCESSIBILITY_FLOAT32, MOST_EMBEDDING_FLOAT32 = 1e-3, 1e-3
_said: set[tuple[str, str]] = set()


def check_setting(package: Package, device: Device, embed: Callable[[dna.Codes], NDArray[np.float32]]) -> None:
    """Run the test sequences of a package, and say once how far the results are from the expected ones.

    Parameters
    ----------
    package : Package
    device : Device
    embed : callable
        Computes the peak embedding of codes on this device.

    Raises
    ------
    DeviceError
        The difference is beyond the bounds of this module.
    """
    codes = test_vectors.read_sequences(package.folder, package.card)
    cells, expected = test_vectors.read_expected(package.folder, package.card)
    embedding, intercept = read_head(package.network())
    embedded = embed(codes)
    logits = embedded @ embedding[cells].T + intercept[cells]
    accessibility = float(np.abs(expit(logits) - expected["accessibility"]).max())
    of_logits = float(np.abs(logits - expected["logits"]).max())
    spread = float(expected["peak_embedding"].std()) or 1.0
    of_embedding = float(np.sqrt(np.mean((embedded - expected["peak_embedding"]) ** 2))) / spread
    numbers = (
        f"on {len(codes)} test sequences, accessibility differs from the model's own by at most {accessibility:.1g}, logits by "
        f"{of_logits:.1g} (their standard deviation is {expected['logits'].std():.2g})"
    )
    exact = device.precision == "float32"
    most = MOST_ACCESSIBILITY_FLOAT32 if exact else MOST_ACCESSIBILITY
    most_embedding = MOST_EMBEDDING_FLOAT32 if exact else MOST_EMBEDDING
    # Written so that NaN fails.
    if not (accessibility <= most and of_embedding <= most_embedding):
        raise DeviceError(
            f"{package.card.id} cannot be used on {device}: {numbers}, and the peak embedding by {of_embedding:.1%} of its spread; "
            f"at most {most:g} and {most_embedding:.1%} are accepted. Use device 'cpu' or 'auto' with precision 'float32'."
        )
    if (str(device), package.card_sha256) not in _said:
        _said.add((str(device), package.card_sha256))
        say(f"{package.card.id} on {device}: {numbers}.")
