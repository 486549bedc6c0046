"""A trunk that takes codes gives, to the last bit, what it gives for one-hot sequences."""

import numpy as np
import onnx
from helpers import toy

from scbasset_zoo.graph.sequence_codes import CODES_INPUT, with_codes_input
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import choose_device, open_session


def test_codes_give_what_one_hot_sequences_give():
    trunk = extract_trunk(toy.toy_model())
    of_codes = with_codes_input(trunk)
    onnx.checker.check_model(of_codes)
    device = choose_device("cpu", threads=1)
    codes = np.random.default_rng(0).integers(0, dna.N + 1, (5, toy.LENGTH), dtype=np.int8)
    (expected,) = open_session(trunk.SerializeToString(), device).run(None, {"sequence": dna.one_hot(codes)})
    (found,) = open_session(of_codes.SerializeToString(), device).run(None, {CODES_INPUT: codes})
    np.testing.assert_array_equal(found, expected)
    assert [value.name for value in trunk.graph.input] == ["sequence"], "the trunk itself is not changed"
