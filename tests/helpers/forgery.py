"""Changing a package and covering it up, as somebody would who can write every file of it; and what is found of that."""

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import yaml

from scbasset_zoo import files
from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.digests import seal, unseal
from scbasset_zoo.package.reading import Package
from scbasset_zoo.package.sealing import seal_package
from scbasset_zoo.package.verifying import verify_package

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")


def change_card(folder, change):
    """Apply `change` to the card's fields and sign the card again."""
    path = folder / "card.yaml"
    card = yaml.safe_load(unseal(path.read_bytes())[0])
    change(card)
    path.write_bytes(seal(yaml.safe_dump(card, sort_keys=False)))


def rehash(folder):
    """Make the card agree with the files as they are."""

    def change(card):
        for name, entry in card["files"].items():
            entry.update(bytes=(folder / name).stat().st_size, sha256=files.sha256(folder / name))

    change_card(folder, change)


def change_model(folder, change):
    """Apply `change` to the network and make the card agree."""
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    change(model)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    rehash(folder)


def peak_memory(folder, code):
    """MiB that a process of its own needs at most for `code`, which finds the package as `package`."""
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
    """The reason is a finding, and neither opening nor sealing gets past it."""
    assert reason in findings(folder)
    for use in (Package.open, seal_package):
        with pytest.raises(PackageError):
            use(folder)
