"""Cells x peaks as SnapATAC2 writes them. The layout of the files is that of SnapATAC2 2.9.0's make_peak_matrix(file=...)."""

import importlib.util

import h5py
import numcodecs
import numpy as np
import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.windows import peak_windows
from tests.helpers.matrices import entries_of

HAS_BLOSC = importlib.util.find_spec("hdf5plugin") is not None
N_CELLS, N_PEAKS = 30, 40
PEAKS = [f"chr{1 + i // 20}:{100 + i % 20 * 700}-{600 + i % 20 * 700}" for i in range(N_PEAKS)]
BARCODES = [f"CELL{i:02d}-1" for i in range(N_CELLS)]
COUNTS = np.random.default_rng(0).poisson(0.3, (N_CELLS, N_PEAKS)).astype(np.uint32)


def write_blosc(group, name, values):
    """Write an array as SnapATAC2 does: compressed by Blosc with Zstandard, the HDF5 filter 32001, which h5py does not have."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk(values.shape)
    size = values.dtype.itemsize
    plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (2, 2, size, values.nbytes, 5, 1, 5))
    space, kind = h5py.h5s.create_simple(values.shape), h5py.h5t.py_create(values.dtype)
    dataset = h5py.h5d.create(group.id, name.encode(), kind, space, plist)
    dataset.write_direct_chunk((0,), numcodecs.Blosc("zstd", 5, numcodecs.Blosc.SHUFFLE).encode(values))


def write_snapatac2(path, *, compressed, sample=False):
    """Write a matrix of peaks. Columns of numbers have no categories, texts are variable-length, the index is called "index"."""
    put = write_blosc if compressed else lambda group, name, values: group.create_dataset(name, data=values)
    with h5py.File(path, "w") as file:
        x = file.create_group("X")
        x.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "h5sparse_format": "csr"})
        x.attrs["shape"] = np.array(COUNTS.shape)
        rows, columns = np.nonzero(COUNTS)
        put(x, "data", COUNTS[rows, columns])
        put(x, "indices", columns.astype(np.int64))
        put(x, "indptr", np.concatenate([[0], np.cumsum((COUNTS > 0).sum(axis=1))]))
        for name in ("layers", "obsm", "obsp", "uns", "varm", "varp"):
            file.create_group(name).attrs.update({"encoding-type": "dict", "encoding-version": "0.1.0"})
        columns = {"n_fragment": np.arange(N_CELLS, dtype=np.uint64), "frac_dup": np.linspace(0, 1, N_CELLS)}
        barcodes = [barcode.replace("1", "0") if sample else barcode for barcode in BARCODES]
        for table, index in (("obs", barcodes), ("var", PEAKS)):
            names = list(columns) if table == "obs" else []
            names += ["sample"] if sample and table == "obs" else []
            group = file.create_group(table)
            order = np.array(names, dtype=h5py.string_dtype()) if names else np.array([], dtype=np.int64)
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "index"})
            group.attrs["column-order"] = order
            strings = group.create_dataset("index", data=index, dtype=h5py.string_dtype(), compression="gzip", compression_opts=3)
            strings.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0", "index_type": "list"})
            for name in names:
                if name == "sample":
                    texts = [f"s{i}" for i in range(N_CELLS)]
                    text = group.create_dataset(name, data=texts, dtype=h5py.string_dtype())
                    text.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
                else:
                    put(group, name, columns[name])
                    group[name].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
    return path


@pytest.mark.parametrize(
    "compressed",
    [False, pytest.param(True, marks=pytest.mark.skipif(not HAS_BLOSC, reason="hdf5plugin, which brings Blosc, is not installed"))],
)
def test_a_matrix_of_snapatac2_is_read(compressed, tmp_path, toy_fasta, toy_sequences):
    path = write_snapatac2(tmp_path / "matrix.h5ad", compressed=compressed)
    matrix = open_matrix(path)
    assert entries_of(matrix) == sorted(map(tuple, np.argwhere(COUNTS > 0).tolist()))
    assert matrix.peaks["name"].tolist() == PEAKS
    assert matrix.peaks[["chrom", "start", "end"]].iloc[21].tolist() == ["chr2", 800, 1300]
    assert matrix.cells.index.tolist() == BARCODES
    assert matrix.cells["n_fragment"].tolist() == list(range(N_CELLS))
    np.testing.assert_array_equal(matrix.cells["frac_dup"], np.linspace(0, 1, N_CELLS))
    sizes = {name: len(sequence) for name, sequence in toy_sequences.items()}
    assert peak_windows(path, toy_fasta, 300, assembly="toy", chromosome_sizes=sizes).var.index.tolist() == PEAKS


@pytest.mark.skipif(HAS_BLOSC, reason="hdf5plugin is installed")
def test_without_hdf5plugin_the_message_says_what_to_install(tmp_path):
    with pytest.raises(InputError, match=r"matrix\.h5ad cannot be read: .*pip install hdf5plugin"):
        entries_of(open_matrix(write_snapatac2(tmp_path / "matrix.h5ad", compressed=True)))


def test_the_matrix_of_several_samples_has_repeated_barcodes_and_says_what_to_do(tmp_path):
    path = write_snapatac2(tmp_path / "matrix.h5ad", compressed=False, sample=True)
    with pytest.raises(InputError, match=r"have the name of another cell.*put the sample before each barcode"):
        open_matrix(path)


def test_an_anndataset_is_refused_with_what_to_write(tmp_path):
    with h5py.File(tmp_path / "set.h5ads", "w") as file:
        for name in ("obs", "obsm", "uns/AnnDataSet", "varm"):
            file.create_group(name)
    with pytest.raises(
        InputError, match=r"set\.h5ads is an AnnDataSet of SnapATAC2.*make_peak_matrix\(dataset, use_rep=peaks, file="
    ):
        open_matrix(tmp_path / "set.h5ads")


def test_a_file_of_fragments_is_refused_with_what_to_write(tmp_path):
    with h5py.File(tmp_path / "data.h5ad", "w") as file:
        for name in ("obs", "obsm/fragment_paired", "uns", "varm"):
            file.create_group(name)
    with pytest.raises(InputError, match=r"data\.h5ad has the fragments of SnapATAC2, not counts.*make_peak_matrix\(data"):
        open_matrix(tmp_path / "data.h5ad")
