"""The code of docs/onnx.md and examples/embedding gives the same numbers as scbasset_zoo, without importing it."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
from helpers import toy
from helpers.rounding import ROUNDING

import scbasset_zoo as sz
from scbasset_zoo.inputs import dna
from scbasset_zoo.inputs.genome import Genome

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "embedding"
PEAKS = [("chr1", 3_000, 3_501), ("chr1", 10, 510), ("chr2", 8_490, 8_990), ("chr2", 4_000, 4_001)]
NPM_SECONDS = 120

RUN_THE_PAGE = """
import sys
page = {}
with open("page.py") as file:
    exec(compile(file.read(), "docs/onnx.md", "exec"), page)
ours = [name for name in sys.modules if name.startswith("scbasset_zoo")]
assert not ours, ours
import numpy
chromosomes = dict(line.split() for line in open("chromosomes.txt"))
page["windows"] = [page["window"](chromosomes[c], int(s), int(e)) for c, s, e in (line.split() for line in open("peaks.txt"))]
page["lower_case"] = page["one_hot"](["acgtnNRx-"])
numpy.savez("computed.npz", **{k: v for k, v in page.items() if isinstance(v, (list, numpy.ndarray))})
"""


def python_of(page):
    """Return the Python code of the page, at the same line numbers."""
    inside, lines = False, []
    for line in page.splitlines():
        inside = line == "```python" if line.startswith("```") else inside
        lines.append(line if inside and not line.startswith("```") else "")
    return "\n".join(lines)


def run_page(folder):
    """Run the code of the page in a new process, in a folder with the package my-model."""
    (folder / "page.py").write_text(python_of((ROOT / "docs" / "onnx.md").read_text()))
    return subprocess.run([sys.executable, "-c", RUN_THE_PAGE], cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("embedding") / "my-model")


@pytest.fixture(scope="module")
def model(package):
    return sz.open_model(package.folder, device="cpu")


@pytest.fixture(scope="module")
def sequences(package):
    return (package.folder / "tests/sequences.txt").read_text().split()


@pytest.fixture(scope="module")
def genome(package):
    return Genome(toy.toy_genome(package.folder.parent / "genome.fa"))


@pytest.fixture(scope="module")
def computed(package, genome):
    """The values that the code of the page computes."""
    folder = package.folder.parent
    letters = {name: dna.decode(genome.codes(name, 0, size)) for name, size in genome.chromosome_sizes.items()}
    (folder / "chromosomes.txt").write_text("".join(f"{name} {bases}\n" for name, bases in letters.items()))
    (folder / "peaks.txt").write_text("".join(f"{chrom} {start} {end}\n" for chrom, start, end in PEAKS))
    done = run_page(folder)
    assert done.returncode == 0, done.stderr
    return np.load(folder / "computed.npz")


def close(computed, expected):
    np.testing.assert_allclose(computed, expected, rtol=0, atol=ROUNDING)


def test_the_page_encodes_sequences_as_we_do(computed, sequences):
    assert any("N" in sequence for sequence in sequences)
    np.testing.assert_array_equal(computed["sequence"], dna.one_hot(dna.as_codes(sequences)))
    np.testing.assert_array_equal(computed["lower_case"][0], [*np.eye(4), *[[0.25] * 4] * 5])


def test_the_page_cuts_windows_as_we_do(computed, model, genome):
    peaks = pd.DataFrame(PEAKS, columns=["chrom", "start", "end"])
    close(model.logits(computed["windows"].tolist()).T, model.predict(peaks, genome, output="logits").X)
    padding = [(len(w) - len(w.lstrip("N")), len(w) - len(w.rstrip("N"))) for w in computed["windows"][1:3]]
    assert padding == [(672 - 260, 0), (0, 672 - 260)]


def test_the_page_gives_our_three_outputs(computed, model, sequences):
    close(computed["accessibility"], model.accessibility(sequences))
    close(computed["logits"], model.logits(sequences))
    close(computed["peak_embedding"], model.embed(sequences))


def test_the_page_cuts_the_graph_at_the_peak_embedding(computed, package, model, sequences):
    close(computed["embedded"], model.embed(sequences))
    cut = onnx.load(package.folder.parent / "trunk.onnx").graph
    assert [output.name for output in cut.output] == ["peak_embedding"]
    assert not {tensor.name for tensor in cut.initializer} & {"cell_embedding", "cell_intercept"}


def test_the_page_reads_the_head_from_the_initializers(computed, model, sequences):
    close(computed["cell_embedding"], model.cell_embedding.T)
    close(computed["cell_intercept"], model.cell_intercept)
    close(computed["first_cells"], model.logits(sequences)[:, :5])


def test_the_page_projects_on_a_group(computed, model, sequences):
    group = model.cells.index[model.cells["cell_type"] == "HSC"]
    assert len(group) > 1
    close(computed["mean_logit"], model.logits(sequences, group).mean(axis=1))
    close(computed["mean_accessibility"], model.accessibility(sequences, group).mean(axis=1))


def test_the_page_refuses_cells_in_another_order(package, tmp_path):
    folder = shutil.copytree(package.folder, tmp_path / "my-model")
    cells = pd.read_parquet(folder / "cells.parquet")
    cells.iloc[[1, 0, *range(2, len(cells))]].to_parquet(folder / "cells.parquet", index=False)
    done = run_page(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "cells.parquet is not of scbasset/toy 1.0.0\n"


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """The JavaScript example with its runtime installed; skipped if it cannot be installed."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("Node.js or npm is not installed")
    folder = tmp_path_factory.mktemp("javascript") / "embedding"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("node_modules"))
    # Without scripts: onnxruntime-node comes with its CPU build, and its script would look elsewhere for a CUDA one.
    command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=NPM_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.skip(f"onnxruntime-node did not install in {NPM_SECONDS} s")
    if done.returncode:
        pytest.skip(f"onnxruntime-node does not install: {' '.join(done.stderr.split())[:300]}")
    yield folder
    shutil.rmtree(folder)


def predict_js(example, *arguments):
    return subprocess.run(["node", "predict.js", *map(str, arguments)], cwd=example, capture_output=True, text=True, timeout=60)


def test_javascript_gives_our_accessibility(example, package, model, sequences, tmp_path):
    mixed = [*sequences, sequences[0].lower(), "R" + sequences[1][1:]]
    (tmp_path / "sequences.txt").write_text("\n".join(mixed))
    done = predict_js(example, package.folder / "model.onnx", tmp_path / "sequences.txt")
    assert done.returncode == 0, done.stderr
    rows = [[float(value) for value in line.split("\t")] for line in done.stdout.splitlines()]
    close(rows, model.accessibility(mixed)[:, :5])


def test_javascript_refuses_sequences_of_another_length_and_a_missing_model(example, package, sequences, tmp_path):
    path = tmp_path / "sequences.txt"
    path.write_text(f"{sequences[0]}\n{sequences[0]}A\n")
    short = predict_js(example, package.folder / "model.onnx", path)
    assert (short.returncode, short.stdout) == (1, "")
    assert short.stderr == f"{path}, line 2: 1345 bp; the model takes 1344.\n"
    absent = predict_js(example, tmp_path / "absent.onnx", path)
    assert absent.returncode == 1
    assert "absent.onnx" in absent.stderr
    assert predict_js(example).stderr.startswith("Usage")
