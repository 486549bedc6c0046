"""Tracks are read back equal; a folder appears whole or not at all."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from helpers import toy
from helpers.bigwig import read_bigwig

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.windows import peak_windows
from scbasset_zoo.tracks.bigwig import BigWigFolder, tracks_in


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    genome = toy.toy_genome(tmp_path_factory.mktemp("bigwig") / "toy.fa")
    peaks = pd.DataFrame({"chrom": ["chr2", "chr1", "chr1"], "start": [50, 900, 100], "end": [150, 1100, 200]})
    return peak_windows(peaks, genome, toy.LENGTH, assembly="toy1", chromosome_sizes=toy.CHROMOSOME_SIZES)


def write(folder, windows, values, length=None, **options):
    target = BigWigFolder([f"group {i}" for i in range(len(values))], windows, length, quiet=True)
    with target.written(folder, **options) as written:
        written.write(slice(0, len(values)), slice(0, len(windows)), values)


def test_values_of_peaks_are_read_back_equal_and_nan_is_no_value(windows, tmp_path):
    values = np.array([[1 / 3, -2e-7, 5], [np.nan, 0, 1e20]], np.float32)
    write(tmp_path / "tracks", windows, values)
    assert pd.read_csv(tmp_path / "tracks" / "tracks.tsv", sep="\t").to_numpy().tolist() == [
        ["group_0.bw", "group 0"],
        ["group_1.bw", "group 1"],
    ]
    sizes, intervals = read_bigwig(tmp_path / "tracks" / "group_0.bw")
    assert sizes == toy.CHROMOSOME_SIZES
    assert intervals == [("chr1", 100, 200, 5), ("chr1", 900, 1100, np.float32(-2e-7)), ("chr2", 50, 150, np.float32(1 / 3))]
    assert read_bigwig(tmp_path / "tracks" / "group_1.bw")[1] == [("chr1", 100, 200, np.float32(1e20)), ("chr1", 900, 1100, 0)]


def test_values_of_bases_are_read_back_equal(windows, tmp_path):
    values = np.random.default_rng(0).normal(size=(1, 3, 40)).astype(np.float32)
    write(tmp_path / "tracks", windows, values, length=40)
    expected = [
        (chrom, start + i, start + i + 1, values[0, region, i])
        for chrom, start, region in (("chr1", 130, 2), ("chr1", 980, 1), ("chr2", 80, 0))
        for i in range(40)
    ]
    assert read_bigwig(tmp_path / "tracks" / "group_0.bw")[1] == expected


def test_a_folder_of_tracks_is_replaced_whole_and_others_are_not(windows, tmp_path):
    folder = tmp_path / "tracks"
    write(folder, windows, np.ones((2, 3), np.float32))
    with pytest.raises(InputError, match="already exists"):
        write(folder, windows, np.ones((1, 3), np.float32))
    write(folder, windows, np.ones((1, 3), np.float32), overwrite=True)
    assert sorted(path.name for path in folder.iterdir()) == ["group_0.bw", "tracks.tsv"]
    assert tracks_in(folder) == {"group_0.bw", "tracks.tsv"}
    assert tracks_in(tmp_path) is None


def test_an_error_on_the_way_leaves_nothing(windows, tmp_path):
    with pytest.raises(InputError, match="the track has no value"):
        write(tmp_path / "tracks", windows, np.array([[1, 2, 3], [np.nan] * 3], np.float32))
    assert not list(tmp_path.iterdir())


def test_too_many_tracks_are_refused(windows):
    with pytest.raises(InputError, match=r"bigwig would write 201 tracks.*at most 200.*group_by"):
        BigWigFolder([str(i) for i in range(201)], windows)


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from scbasset_zoo.inputs.windows import peak_windows
from scbasset_zoo.tracks.bigwig import BigWigFolder
import pybigtools
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
windows = peak_windows(["chr1:5000-5500"], sys.argv[1], 1344, assembly="toy1", chromosome_sizes={"chr1": 20_000, "chr2": 9_000})
target = BigWigFolder(["a"], windows, 1344, quiet=True)
values = np.random.default_rng(0).normal(size=(1, 1, 1344)).astype(np.float32)
resource.setrlimit(resource.RLIMIT_FSIZE, (6_000, resource.RLIM_INFINITY))
with target.written(sys.argv[2]) as written:
    written.write(slice(0, 1), slice(0, 1), values)
"""


def test_a_disk_that_is_full_is_an_error_and_leaves_nothing(windows, tmp_path):
    """The library itself panics, or returns as if all was written."""
    command = [sys.executable, "-c", FULL, str(windows.genome.path), str(tmp_path / "tracks")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "The largest size of a file is reached" in done.stderr.splitlines()[-1], done.stderr[-2000:]
    assert not list(tmp_path.iterdir())
