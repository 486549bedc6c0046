"""Fixtures of the tests of Kipoi: the bundled model, a home folder for the kipoi command, and expected predictions."""

from pathlib import Path

import pytest
from helpers.kipoi_command import DESCRIPTION, EXAMPLE, GROUP, run
from helpers.toy import toy_package
from helpers.zoo_fixtures import configure, impostor, published, web
from pyfaidx import Fasta

from scbasset_zoo.graph.plain_run import run_plainly
from scbasset_zoo.inputs.dna import as_codes, one_hot
from scbasset_zoo.package.reading import Package

__all__ = ["configure", "impostor", "published", "web"]


@pytest.fixture(scope="session")
def demo():
    """The bundled package."""
    (folder,) = (GROUP / "demo").iterdir()
    return Package.open(folder)


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    """A home folder in which the zoo is Kipoi's default source. The cache has a package of another zoo."""
    home = tmp_path_factory.mktemp("home")
    toy = toy_package(home / "toy", id="lab/toy", description=DESCRIPTION)
    cached = home / "cache/models/lab/toy" / f"1.0.0-{toy.card_sha256[:12]}"
    cached.parent.mkdir(parents=True)
    toy.folder.rename(cached)
    run(home, "scbasset-zoo", "kipoi", "register", "--as-default")
    return home


@pytest.fixture(scope="session")
def expected(demo):
    """The outputs of plain ONNX Runtime for the windows of the example, which are cut here independently."""
    letters = str(Fasta(EXAMPLE["fasta_file"])["example"])
    padded, windows = "N" * 2_000 + letters + "N" * 2_000, []
    for line in Path(EXAMPLE["intervals_file"]).read_text().splitlines():
        _, start, end = line.split("\t")
        first = 2_000 + (int(start) + int(end)) // 2 - 672
        windows.append(padded[first : first + 1344])
    return run_plainly(demo.model_bytes(), one_hot(as_codes(windows)))
