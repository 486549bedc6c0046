"""Settings other than float32 on the CPU: compared with the package's test outputs, recorded, and refused if they are far off."""

import pickle
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
from helpers import toy

import scbasset_zoo as sz
from scbasset_zoo.errors import DeviceError, InputError
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome
from scbasset_zoo.runtime import devices, openvino, setting_check
from scbasset_zoo.runtime.processor import bfloat16_instructions

MOTIFS = """MEME version 4

ALPHABET= ACGT

MOTIF M1 FOO
letter-probability matrix: alength= 4 w= 3
0.9 0.1 0 0
0.1 0.8 0.1 0
0 0 1 0
"""
needs_openvino = pytest.mark.skipif(openvino.openvino_problem() is not None, reason=str(openvino.openvino_problem()))
is_installed_for_another_processor = find_spec("onnxruntime_ep_openvino") is not None and openvino.openvino_problem() is not None
needs_bfloat16 = pytest.mark.skipif(not bfloat16_instructions(), reason="this processor has no bfloat16 instructions")


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("settings") / "toy", widths=(16,) * 8)


@pytest.fixture(scope="module")
def sequences():
    return np.random.default_rng(0).integers(0, 5, (40, toy.LENGTH), dtype=np.int8)


@pytest.fixture(autouse=True)
def nothing_was_said():
    devices._announced.clear()
    setting_check._said.clear()


@needs_openvino
def test_openvino_in_float32_gives_the_numbers_of_the_cpu(package, sequences, capsys):
    expected = sz.open_model(package.folder, "cpu").embed(sequences)
    model = sz.open_model(package.folder, "openvino")
    np.testing.assert_allclose(model.embed(sequences), expected, atol=1e-4)
    lines = capsys.readouterr().err.splitlines()
    assert "Running on openvino in float32 (as requested)." in lines
    assert "accessibility differs from the model's own by at most" in lines[-1]
    assert repr(model).endswith("on openvino in float32)")
    again = pickle.loads(pickle.dumps(model))
    assert (again.device.name, again.device.precision) == ("openvino", "float32")
    sz.open_model(package.folder, "openvino")
    assert "differs" not in capsys.readouterr().err, "a setting is compared again, but said once"


@pytest.mark.skipif(not is_installed_for_another_processor, reason="OpenVINO offers this processor, or is not installed")
def test_a_processor_that_openvino_does_not_offer_is_named(package):
    with pytest.raises(DeviceError, match="OpenVINO's provider takes processors of Intel"):
        sz.open_model(package.folder, "openvino")
    model = sz.open_model(package.folder, "auto", precision="bfloat16")
    assert (model.device.name, model.device.precision) == ("cpu", "float32")


@needs_openvino
@needs_bfloat16
def test_bfloat16_is_near_and_is_what_it_says(package, sequences):
    expected = sz.open_model(package.folder, "cpu").embed(sequences)
    model = sz.open_model(package.folder, "auto", precision="bfloat16")
    difference = np.abs(model.embed(sequences) - expected)
    assert model.device.name == "openvino"
    assert 0 < difference.max() < 0.1 * expected.std(), "equal numbers would be float32"


@needs_openvino
@needs_bfloat16
def test_a_result_records_its_setting_and_mutations_stay_in_float32(package, tmp_path, capsys):
    genome = toy.toy_genome(tmp_path / "toy.fa")
    result = sz.predict(package.folder, ["chr1:2000-2500"], genome, device="openvino", precision="bfloat16")
    assert (result.uns["scbasset_zoo"]["device"], result.uns["scbasset_zoo"]["precision"]) == ("openvino", "bfloat16")
    model = sz.open_model(package.folder, "openvino", precision="bfloat16")
    sequence = "".join(np.random.default_rng(0).choice(list("ACGT"), toy.LENGTH))
    expected = sz.open_model(package.folder, "cpu").mutate(sequence, [5, 700], "TTT")
    np.testing.assert_allclose(model.mutate(sequence, [5, 700], "TTT"), expected, atol=1e-6)
    assert "mutations are computed in float32, not on openvino in bfloat16" in capsys.readouterr().err


@needs_openvino
@needs_bfloat16
def test_analyses_of_mutations_give_the_numbers_of_float32(package, tmp_path):
    """Nothing that was rounded is subtracted from what was not."""
    genome = toy.toy_genome(tmp_path / "toy.fa")
    (tmp_path / "peaks.bed").write_text("chr1\t3000\t3500\nchr1\t5000\t5500\nchr2\t4000\t4500\n")
    start = 3200
    ref = dna.decode(Genome(genome).codes("chr1", start, start + 3))
    variants = pd.DataFrame({"chrom": "chr1", "pos": start + 1, "ref": ref, "alt": [ref[0], ref + "ACGT"], "id": ["del", "ins"]})
    (tmp_path / "motifs.meme").write_text(MOTIFS)
    motifs = {"motifs": str(tmp_path / "motifs.meme"), "peaks": tmp_path / "peaks.bed", "n_backgrounds": 2, "n_shuffles": 0}
    analyses = {
        "variant-effect": {"variants": variants, "null": "none", "group_by": "cell_type"},
        "motif-insertion": motifs,
    }
    for name, options in analyses.items():
        exact, rounded = (
            sz.run(name, sz.open_model(package.folder, device, precision=precision), genome=genome, quiet=True, **options)
            for device, precision in (("cpu", "float32"), ("openvino", "bfloat16"))
        )
        np.testing.assert_allclose(rounded.X, exact.X, atol=1e-4, err_msg=name)


def test_a_setting_that_is_far_off_is_refused(package):
    device = devices.Device("openvino", (), "", precision="bfloat16")
    right = sz.open_model(package.folder, "cpu").embed
    setting_check.check_setting(package, device, right)
    for wrong in (lambda codes: right(codes) + 1, lambda codes: right(codes) * np.nan, lambda codes: right(codes)[::-1]):
        with pytest.raises(DeviceError, match="cannot be used on openvino in bfloat16: on 4 test sequences"):
            setting_check.check_setting(package, device, wrong)
    slightly = {"float32": False, "bfloat16": True}
    for precision, is_accepted in slightly.items():
        check = (package, devices.Device("openvino", (), "", precision=precision), lambda codes: right(codes) * 1.01)
        if is_accepted:
            setting_check.check_setting(*check)
        else:
            with pytest.raises(DeviceError, match="at most 0.001"):
                setting_check.check_setting(*check)


def test_impossible_settings_are_refused_with_what_can_be_done(monkeypatch):
    for device, precision, message in (
        ("cpu", "bfloat16", "precision, or for bfloat16 the device openvino or tensorrt"),
        ("openvino", "float16", "or for float16 the device cuda or tensorrt"),
        ("tensorrt", "float32", "tf32 or float16 or bfloat16"),
    ):
        with pytest.raises(DeviceError, match=message):
            devices.choose_device(device, precision=precision)
    with pytest.raises(InputError, match="precision must be float32, bfloat16, float16 or tf32; found 'int8'"):
        devices.choose_device("cpu", precision="int8")
    monkeypatch.setattr(openvino, "find_spec", lambda name: None)
    with pytest.raises(DeviceError, match="OpenVINO's provider is not installed; pip install"):
        devices.choose_device("openvino")


def test_auto_stays_with_float32_where_nothing_has_the_precision(monkeypatch, capsys):
    monkeypatch.setattr(openvino, "bfloat16_instructions", lambda: "")
    monkeypatch.setattr(openvino, "find_spec", lambda name: object())
    device = devices.choose_device("auto", precision="bfloat16")
    assert (device.name, device.precision) == ("cpu", "float32")
    assert "not in bfloat16, but in float32: the processor has no bfloat16 instructions" in capsys.readouterr().err
