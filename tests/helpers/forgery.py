"""Changes packages as an attacker can, who also renews hashes and digest; and collects the findings."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from onnx import numpy_helper

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.graph.plain_run import run_each
from scbasset_zoo.inputs import dna
from scbasset_zoo.package.digests import seal, unseal
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.test_vectors import write_vectors
from scbasset_zoo.package.verifying import verify_package

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def change_card(folder, change):
    """Apply `change` to the fields of the card and renew its digest."""
    path = folder / "card.yaml"
    card = yaml.safe_load(unseal(path.read_bytes())[0])
    change(card)
    path.write_bytes(seal(yaml.safe_dump(card, sort_keys=False)))


def rehash(folder):
    """Renew the sizes and hashes in the card."""

    def change(card):
        for name, entry in card["files"].items():
            entry.update(bytes=(folder / name).stat().st_size, sha256=files.sha256(folder / name))

    change_card(folder, change)


def change_model(folder, change):
    """Apply `change` to the network and renew its size and hash in the card."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rehash(folder)


def renew_vectors(folder):
    """Let the expected outputs be those of the network, one sequence at a time."""
    card = Package.open(folder).card
    sequences = (folder / "tests/sequences.txt").read_text().split()
    shutil.rmtree(folder / "tests")
    write_vectors(folder, sequences, run_each((folder / "model.onnx").read_bytes(), dna.one_hot(dna.as_codes(sequences))))
    assert len(sequences) == card.tests.n_sequences
    rehash(folder)


def peak_memory(folder, code):
    """Return the peak memory in MiB of a new process that runs `code`, where `package` is the opened package."""
    code = f"""
import sys
from scbasset_zoo.package.reading import Package
package = Package.open(sys.argv[1])
{code}
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    return int(done.stdout.splitlines()[-1])


def findings(folder):
    return "\n".join(map(str, verify_package(folder)))


def refused(folder, reason):
    """Assert that the reason is a finding, and that the package can neither be opened nor sealed."""
    assert reason in findings(folder)
    for use in (Package.open, seal_package):
        with pytest.raises(PackageError):
            use(folder)


def make_weights_not_finite(model):
    """Set a weight to NaN and another to infinity."""
    tensor = next(t for t in model.graph.initializer if t.name == "w_2")
    values = numpy_helper.to_array(tensor).copy()
    values.flat[:2] = np.nan, np.inf
    tensor.CopyFrom(numpy_helper.from_array(values, "w_2"))


def move_weights_outside(model):
    """Declare that the weights `w_2` are in /etc/passwd."""
    tensor = next(t for t in model.graph.initializer if t.name == "w_2")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "/etc/passwd"


def reverse_outputs(model):
    """Reverse the order of the outputs."""
    outputs = list(model.graph.output)
    del model.graph.output[:]
    model.graph.output.extend(outputs[::-1])


def rename_cell_embedding(model):
    """Give the initializer `cell_embedding` another name."""
    next(t for t in model.graph.initializer if t.name == "cell_embedding").name = "weights"
