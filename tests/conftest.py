"""Fixtures that many tests share: a toy package, the real data, and a small random genome."""

import os
import shutil
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

SHARED = Path(__file__).parents[2] / "shared" / "data"
TOY_SIZES = {"chr1": 30_011, "chr2": 20_000, "chr3": 9_000}


@pytest.fixture(scope="session", autouse=True)
def _no_genomes_from_the_web(tmp_path_factory):
    """Look for genomes by name in an empty folder: no test downloads one from UCSC."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SCBASSET_ZOO_GENOMES", str(tmp_path_factory.mktemp("no-genomes")))
        yield


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Folder of a toy package. Tests must not change it."""
    from helpers import toy

    return toy.toy_package(tmp_path_factory.mktemp("packages") / "toy").folder


@pytest.fixture
def folder(original, tmp_path):
    """A copy of the toy package, which the test may change."""
    return shutil.copytree(original, tmp_path / "toy")


@pytest.fixture(scope="session")
def shared_data():
    """Folder of the real data. The test is skipped if the folder is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"the real data is not at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def hg19_fasta(shared_data, tmp_path_factory):
    """The real FASTA, linked into a folder in which its index can be written."""
    link = tmp_path_factory.mktemp("genome") / "hg19.fa.gz"
    link.symlink_to(shared_data / "hg19.chr20_chr22part.fa.gz")
    return link


@pytest.fixture(scope="session")
def toy_sequences():
    """Letters of a random genome with three chromosomes. Some are lower case; chr2 has N from 5,000 to 7,000."""
    rng = np.random.default_rng(7)
    sequences = {name: "".join(rng.choice(list("ACGTacgt"), size)) for name, size in TOY_SIZES.items()}
    sequences["chr2"] = sequences["chr2"][:5_000] + "N" * 2_000 + sequences["chr2"][7_000:]
    return sequences


@pytest.fixture(scope="session")
def write_fasta():
    """Function (path, sequences, width=60) that writes a FASTA, with bgzip if the name ends in .gz."""

    def write(path, sequences, width=60):
        lines = []
        for name, sequence in sequences.items():
            lines += [f">{name} of a test", *(sequence[i : i + width] for i in range(0, len(sequence), width))]
        text = "\n".join(lines) + "\n"
        if path.name.endswith(".gz"):
            from Bio import bgzf

            with bgzf.BgzfWriter(str(path), "wb") as file:
                file.write(text.encode())
        else:
            path.write_text(text)
        return path

    return write


@pytest.fixture(scope="session")
def as_another_user():
    """Function (call) that runs `call` as a user who must obey file modes, and returns its error as "Type: message".

    Root does not obey them.
    """

    def run(call):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            text = "no error"
            try:
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65534)
                    os.setuid(65534)
                call()
            except BaseException as error:
                text = f"{type(error).__name__}: {error}"
            os.write(writing, text.encode())
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            text = pipe.read()
        os.waitpid(child, 0)
        return text

    return run


@pytest.fixture(scope="session")
def toy_fasta(toy_sequences, write_fasta, tmp_path_factory):
    """Path of the random genome, plain."""
    return write_fasta(tmp_path_factory.mktemp("toy") / "toy.fa", toy_sequences)


@pytest.fixture(scope="session")
def toy_matrix():
    """Function (n_cells, density, seed): AnnData of cells x 60 peaks on chr1, chr2 and chr3; no cell or peak is empty."""

    def make(n_cells=40, density=0.3, seed=0):
        rng = np.random.default_rng(seed)
        chrom = np.repeat(list(TOY_SIZES), 20)
        start = np.concatenate([np.sort(rng.choice(np.arange(100, size - 700), 20, replace=False)) for size in TOY_SIZES.values()])
        x = (rng.random((n_cells, 60)) < density) * rng.integers(1, 4, (n_cells, 60))
        x[np.arange(n_cells), np.arange(n_cells) % 60] = 1
        x[np.arange(60) % n_cells, np.arange(60)] = 1
        var = pd.DataFrame({"chr": pd.Categorical(chrom), "start": start, "end": start + rng.integers(200, 600, 60)})
        var.index = [f"peak{i}" for i in range(60)]
        obs = pd.DataFrame(
            {"cell_type": pd.Categorical(rng.choice(["a", "b"], n_cells))}, index=[f"cell{i}" for i in range(n_cells)]
        )
        return ad.AnnData(sparse.csr_matrix(x.astype(np.float32)), obs=obs, var=var)

    return make


@pytest.fixture(scope="session")
def planted(tmp_path_factory):
    """A simulation of 120 cells and 300 peaks, and the folder of a package that knows its truth without training."""
    from helpers.planted import planted_package

    from scbasset_zoo.simulation.simulate import simulate

    folder = tmp_path_factory.mktemp("planted")
    simulation = simulate(folder / "simulated", n_cells=120, n_peaks=300, density=0.15, quiet=True)
    return simulation, planted_package(folder / "package", simulation).folder


@pytest.fixture(scope="session")
def blood_model(shared_data, hg19_fasta, tmp_path_factory):
    """A model with random weights for the real cells, and as training peaks those of the real ones whose sequence is known."""
    from helpers import toy

    from scbasset_zoo.inputs.assemblies import assembly_sizes
    from scbasset_zoo.inputs.genome import Genome
    from scbasset_zoo.inputs.peaks import peaks_from_var
    from scbasset_zoo.package.writing import write_package
    from scbasset_zoo.zoo.models import open_model

    real = ad.read_h5ad(shared_data / "buenrostro2018_bm0828.h5ad", backed="r")
    peaks = peaks_from_var(real.var, "the real peaks")[["chrom", "start", "end"]]
    genome = {"assembly": "hg19", "naming": "ucsc", "chromosome_sizes": assembly_sizes("hg19")}
    package = write_package(
        tmp_path_factory.mktemp("blood") / "model",
        card=toy.toy_card(genome=genome),
        model=toy.toy_model(real.n_obs),
        cells=real.obs[["cell_type"]].astype(str),
        peaks=peaks[peaks["chrom"].isin(list(Genome(hg19_fasta).chromosome_sizes))].reset_index(drop=True),
    )
    return open_model(package.folder, "cpu")


# The files that take longest, longest first.
LONGEST_FILES = (
    "docs/test_new_user.py",
    "training/test_trainer.py",
    "training/test_learning.py",
    "plugins/test_ism.py",
    "test_real_data.py",
    "plugins/test_embedding.py",
    "running/test_libraries.py",
    "export/test_export.py",
    "plugins/test_motif_insertion.py",
)


def pytest_collection_modifyitems(items):
    """Run the longest files first, so that no worker of pytest-xdist begins one when the others have nothing left to do."""
    order = {Path(__file__).parent / name: position for position, name in enumerate(LONGEST_FILES)}
    assert all(path.is_file() for path in order), "LONGEST_FILES names a file that does not exist"
    items.sort(key=lambda item: order.get(item.path, len(order)))


def pytest_make_parametrize_id(val):
    """Name a function among the parameters of a test by its name: its address differs between the processes of pytest-xdist."""
    return getattr(val, "__qualname__", None) if callable(val) else None
