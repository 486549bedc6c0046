"""Cells x peaks out of every format, peaks out of columns, names and BED, and what is refused."""

import gzip

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix as matrix_module
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.peaks import check_order, peaks_from_var, read_bed

STRANGE = np.array([[0, 2, -1, 0.5], [np.nan, 0, 3, 0], [1, 0, 0, np.inf]], dtype=np.float32)


def var_of(n=4):
    starts = np.arange(n) * 1_000
    return pd.DataFrame({"chr": "chr1", "start": starts, "end": starts + 500}, index=[f"p{i}" for i in range(n)])


def adata_of(x, var=None):
    obs = pd.DataFrame(index=[f"cell{i}" for i in range(x.shape[0])])
    return ad.AnnData(x, obs=obs, var=var_of(x.shape[1]) if var is None else var)


def named_peaks(n=4):
    return [f"chr1:{i * 1_000}-{i * 1_000 + 500}" for i in range(n)]


def explicit(x, kind):
    """A sparse matrix with every value stored, zeros too."""
    rows, columns = np.indices(x.shape).reshape(2, -1)
    return sparse.coo_matrix((x.ravel(), (rows, columns)), shape=x.shape).asformat(kind)


def write_10x_h5(path, x, multiome):
    names, types = named_peaks(x.shape[1]), ["Peaks"] * x.shape[1]
    if multiome:
        names, types = ["ENSG1", *names, "ENSG2"], ["Gene Expression", *types, "Gene Expression"]
        x = np.hstack([np.full((len(x), 1), 7), x, np.full((len(x), 1), 7)])
    rows = explicit(x, "csr")
    with h5py.File(path, "w") as file:
        group = file.create_group("matrix")
        group["barcodes"] = [f"cell{i}".encode() for i in range(len(x))]
        group["shape"] = np.array([x.shape[1], x.shape[0]])
        for name in ("data", "indices", "indptr"):
            group[name] = getattr(rows, name)
        group["features/id"] = [name.encode() for name in names]
        group["features/feature_type"] = [name.encode() for name in types]
    return path


def write_mtx(folder, x, features="features.tsv.gz", order="F"):
    folder.mkdir()
    entries = [(peak + 1, cell + 1, x[cell, peak]) for cell in range(len(x)) for peak in range(x.shape[1])]
    if order == "C":
        entries.sort()
    n_features, shift = x.shape[1], 0
    if features == "features.tsv.gz":
        lines = ["ENSG1\tGENE\tGene Expression"] + [f"{name}\t{name}\tPeaks\tchr1\t0\t1" for name in named_peaks(n_features)]
        (folder / features).write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
        entries, shift = [(1, 1, 9.0), *((peak + 1, cell, value) for peak, cell, value in entries)], 1
    else:
        (folder / features).write_text("".join(f"chr1\t{i * 1_000}\t{i * 1_000 + 500}\n" for i in range(n_features)))
    (folder / "barcodes.tsv").write_text("".join(f"cell{i}\n" for i in range(len(x))))
    text = f"%%MatrixMarket matrix coordinate real general\n%about\n{n_features + shift} {len(x)} {len(entries)}\n"
    text += "".join(f"{peak} {cell} {value}\n" for peak, cell, value in entries)
    if shift:
        (folder / "matrix.mtx.gz").write_bytes(gzip.compress(text.encode()))
    else:
        (folder / "matrix.mtx").write_text(text)
    return folder


def h5ad(kind):
    def make(path, x):
        adata_of(x if kind == "dense" else explicit(x, kind)).write_h5ad(path / "m.h5ad")
        return path / "m.h5ad"

    return make


def zarr(kind):
    def make(path, x):
        adata_of(x if kind == "dense" else explicit(x, kind)).write_zarr(path / "m.zarr")
        return path / "m.zarr"

    return make


FORMATS = {
    "h5ad csr": h5ad("csr"),
    "h5ad csc": h5ad("csc"),
    "h5ad dense": h5ad("dense"),
    "zarr csr": zarr("csr"),
    "zarr csc": zarr("csc"),
    "zarr dense": zarr("dense"),
    "memory csr": lambda path, x: adata_of(explicit(x, "csr")),
    "memory csc": lambda path, x: adata_of(explicit(x, "csc")),
    "memory dense": lambda path, x: adata_of(x),
    "memory view": lambda path, x: adata_of(explicit(np.vstack([x, x]), "csr"))[: len(x)],
    "backed csr": lambda path, x: ad.read_h5ad(h5ad("csr")(path, x), backed="r"),
    "backed dense": lambda path, x: ad.read_h5ad(h5ad("dense")(path, x), backed="r"),
    "10x h5": lambda path, x: write_10x_h5(path / "m.h5", x, multiome=False),
    "10x h5 multiome": lambda path, x: write_10x_h5(path / "m.h5", x, multiome=True),
    "10x mtx multiome": lambda path, x: write_mtx(path / "m", x),
    "10x mtx peaks.bed": lambda path, x: write_mtx(path / "m", x, "peaks.bed"),
    "mtx by peak": lambda path, x: write_mtx(path / "m", x, "peaks.bed", order="C"),
}


@pytest.mark.parametrize("chunk", [1, 5, 1_000])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_entries_above_zero(name, chunk, tmp_path, monkeypatch):
    monkeypatch.setattr(matrix_module, "CHUNK", chunk)
    matrix = open_matrix(FORMATS[name](tmp_path, STRANGE))
    found = np.zeros(STRANGE.shape, dtype=int)
    for cell, peak in matrix.open_entries():
        np.add.at(found, (cell, peak), 1)
    # Above zero, by hand: infinity is open; -1, NaN and zero are closed.
    assert found.tolist() == [[0, 1, 0, 1], [0, 0, 1, 0], [1, 0, 0, 1]]
    assert matrix.cells.index.tolist() == ["cell0", "cell1", "cell2"]
    assert matrix.peaks[["chrom", "start", "end"]].to_numpy().tolist() == [["chr1", i * 1_000, i * 1_000 + 500] for i in range(4)]


def test_real_matrix_agrees_with_anndata(shared_data):
    path = shared_data / "buenrostro2018_bm0828.h5ad"
    matrix, expected = open_matrix(path), ad.read_h5ad(path)
    by_peak = sum(np.bincount(peak, minlength=matrix.n_peaks) for _, peak in matrix.open_entries())
    np.testing.assert_array_equal(by_peak, (expected.X > 0).sum(axis=0).A1)
    assert matrix.cells["cell_type"].tolist() == expected.obs["cell_type"].tolist()


def test_anndata_of_several_feature_types_gives_its_peaks():
    var = var_of().assign(feature_types=["Gene Expression", "Peaks", "Peaks", "Gene Expression"])
    matrix = open_matrix(adata_of(np.ones((2, 4)), var))
    assert matrix.peaks["name"].tolist() == ["p1", "p2"]
    assert [(cell.tolist(), peak.tolist()) for cell, peak in matrix.open_entries()] == [([0, 0, 1, 1], [0, 1, 0, 1])]
    with pytest.raises(InputError, match='no feature of type "Peaks"; it has CRISPR, Gene Expression'):
        open_matrix(adata_of(np.ones((2, 4)), var.assign(feature_types=["CRISPR", *["Gene Expression"] * 3])))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chr1:100-600", ["chr1", 100, 600]),
        ("chr1-100-600", ["chr1", 100, 600]),
        ("chr1_100_600", ["chr1", 100, 600]),
        ("chr1:100_600", ["chr1", 100, 600]),
        ("20:0-1", ["20", 0, 1]),
        ("chrUn_gl000220_1_500", ["chrUn_gl000220", 1, 500]),
        ("GL000194.1-100-200", ["GL000194.1", 100, 200]),
        ("chr4_ctg9_hap1:5-9", ["chr4_ctg9_hap1", 5, 9]),
        ("HLA-A*01:01:01:01:5-9", ["HLA-A*01:01:01:01", 5, 9]),
    ],
)
def test_peaks_from_names(name, expected):
    found = peaks_from_var(pd.DataFrame({"gene": ["G"]}, index=[name]), "x")
    assert found[["name", "chrom", "start", "end", "gene"]].iloc[0].tolist() == [name, *expected, "G"]


@pytest.mark.parametrize("chrom", ["chr", "chrom", "chromosome", "seqnames", "Chr"])
def test_peaks_from_columns_go_before_names(chrom):
    var = pd.DataFrame({"score": [3], chrom: ["chrX"], "Start": ["7"], "end": [9.0], "name": ["n"]}, index=["chr1:1-2"])
    found = peaks_from_var(var, "x")
    assert found.columns.tolist() == ["name", "chrom", "start", "end", "score", "var_name"]
    assert found.iloc[0].tolist() == ["chr1:1-2", "chrX", 7, 9, 3, "n"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("chr1", -1, 5), "the start must not be negative; found 'chr1 -1 5'"),
        (("chr1", 5, 5), "the end must be greater than the start; found 'chr1 5 5'"),
        (("chr1", 9, 5), "the end must be greater than the start"),
        (("chr1", 1.5, 5), "the start must be a whole number; found 'chr1 1.5 5'"),
        (("chr1", 1, "x"), "the end must be a whole number"),
        (("chr1", 1, np.nan), "the end must be a whole number"),
        (("chr1", 1, np.inf), "the end must be a whole number"),
        (("", 1, 2), "the chromosome has no name"),
        ((None, 1, 2), "the chromosome has no name"),
    ],
)
def test_impossible_intervals_are_refused_with_their_row(row, message):
    var = pd.DataFrame([("chr1", 1, 2), row], columns=["chr", "start", "end"], index=["good", "bad"])
    with pytest.raises(InputError, match=r"m.h5ad, row 1 \(counting from 0, 'bad'\): " + message):
        peaks_from_var(var, "m.h5ad")


@pytest.mark.parametrize("name", ["chr1:-5-100", "chr1:9-5", "chr1:5-5"])
def test_impossible_names_are_refused(name):
    with pytest.raises(InputError, match="must"):
        peaks_from_var(pd.DataFrame(index=[name]), "x")


@pytest.mark.parametrize("name", ["GAPDH", "chr1", "chr1:5", "chr1--5-100", "chr1:1,000-2,000"])
def test_no_peak_columns_and_no_peak_names_are_refused(name):
    with pytest.raises(InputError, match=r"has no columns chr, start and end \(it has gene\), and row 1 "):
        peaks_from_var(pd.DataFrame({"gene": [1, 2]}, index=["chr1:1-5", name]), "x")


def test_row_numbers_are_those_of_the_file_when_other_features_are_left_out():
    var = var_of().assign(feature_types=["Gene Expression", "Peaks", "Peaks", "Peaks"])
    var.loc["p2", "end"] = 0
    with pytest.raises(InputError, match=r"row 2 \(counting from 0, 'p2'\)"):
        open_matrix(adata_of(np.ones((2, 4)), var))


def test_transposed_matrix_is_refused_with_what_to_do():
    with pytest.raises(InputError, match=r"peaks x cells.*adata\.T"):
        open_matrix(adata_of(np.ones((2, 4))).T)
    by_name = ad.AnnData(np.ones((4, 2)), obs=pd.DataFrame(index=named_peaks()), var=pd.DataFrame(index=["AAAC-1", "AAAG-1"]))
    with pytest.raises(InputError, match=r"peaks x cells.*adata\.T"):
        open_matrix(by_name)


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
def test_empty_matrix_is_refused(shape, tmp_path):
    adata = adata_of(sparse.csr_matrix(shape))
    adata.write_h5ad(tmp_path / "m.h5ad")
    for matrix in (adata, tmp_path / "m.h5ad"):
        with pytest.raises(InputError, match=f"is empty: it has {shape[0]} cells and {shape[1]} peaks"):
            open_matrix(matrix)


def test_duplicates_are_refused():
    with pytest.raises(InputError, match=r"1 duplicate peaks, first chr1:0-500 in rows 0 and 3 \(counting from 0\)"):
        open_matrix(adata_of(np.ones((2, 4)), var_of().assign(start=[0, 1_000, 2_000, 0], end=[500, 1_500, 2_500, 500])))
    adata = adata_of(np.ones((2, 4)))
    adata.obs_names = ["same", "same"]
    with pytest.raises(InputError, match="1 cells have a name that another cell has, first 'same'"):
        open_matrix(adata)


def write_other_h5(path):
    with h5py.File(path, "w") as file:
        file["weights"] = np.arange(5)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("none.h5ad", lambda path: None, "There is no"),
        ("table.csv", lambda path: path.write_text("cell,chr1:1-5\na,1\n"), "not an HDF5 file. Expected an AnnData"),
        ("noise.h5ad", lambda path: path.write_bytes(bytes(range(256)) * 20), "not an HDF5 file. Expected an AnnData"),
        ("other.h5", write_other_h5, r"HDF5 file of another kind \(it holds weights\)"),
        ("folder", lambda path: path.mkdir(), "neither a Zarr store nor matrix.mtx"),
        ("cut.h5ad", lambda path: cut(h5ad("csr")(path.parent, STRANGE), path), "cannot be read.*cut short"),
        (
            "cut.h5",
            lambda path: cut(write_10x_h5(path.parent / "m.h5", STRANGE, multiome=True), path),
            "cannot be read.*cut short",
        ),
    ],
)
def test_what_is_no_matrix_is_refused(name, write, message, tmp_path):
    write(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        open_matrix(tmp_path / name)
    assert name in str(caught.value)


def cut(whole, path):
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])


def test_anndata_without_x_or_with_a_wrong_x_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no X"):
        open_matrix(ad.AnnData(obs=pd.DataFrame(index=["a"]), var=var_of()))
    path = h5ad("dense")(tmp_path, STRANGE)
    with h5py.File(path, "a") as file:
        del file["X"]
        ad.io.write_elem(file, "X", STRANGE[:, :2])
    with pytest.raises(InputError, match=r"X is \(3, 2\), but .obs has 3 rows and .var 4"):
        open_matrix(path)


@pytest.mark.parametrize(("name", "value"), [("indices", 99), ("indices", -1), ("indptr", 50)])
def test_damaged_sparse_matrix_is_refused_before_it_is_used(name, value, tmp_path):
    path = h5ad("csr")(tmp_path, STRANGE)
    with h5py.File(path, "a") as file:
        file[f"X/{name}"][1] = value
    with pytest.raises(InputError, match=r"damaged|do not fit"):
        list(open_matrix(path).open_entries())


def test_mtx_that_does_not_fit_its_folder_is_refused(tmp_path):
    folder = write_mtx(tmp_path / "m", STRANGE, "peaks.bed")
    text = (folder / "matrix.mtx").read_text()
    (folder / "matrix.mtx").write_text(text.replace("4 3 12", "3 4 12"))
    with pytest.raises(InputError, match="is 3 x 4, but there are 4 peaks .* and 3 barcodes.*10x writes peaks x cells"):
        open_matrix(folder)
    (folder / "matrix.mtx").write_text("\n".join(text.split("\n")[:-3]) + "\n")
    with pytest.raises(InputError, match="cut short or added to: its header says 12 entries, it has 10"):
        list(open_matrix(folder).open_entries())
    (folder / "matrix.mtx").write_text("cells,peaks\n")
    with pytest.raises(InputError, match="not a Matrix Market coordinate file"):
        open_matrix(folder)
    (folder / "barcodes.tsv").unlink()
    with pytest.raises(InputError, match="lacks barcodes.tsv"):
        open_matrix(folder)


def test_truncated_gzip_mtx_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    folder = write_mtx(tmp_path / "m", rng.random((50, 40)))
    cut(folder / "matrix.mtx.gz", folder / "matrix.mtx.gz")
    with pytest.raises(InputError, match="cannot be read"):
        list(open_matrix(folder).open_entries())


def test_pattern_and_integer_mtx_as_scipy_writes_them(tmp_path):
    x = (STRANGE > 0).astype(np.int32)
    folder = write_mtx(tmp_path / "m", x, "peaks.bed")
    for field in ("integer", "pattern"):
        io.mmwrite(folder / "matrix.mtx", sparse.coo_matrix(x.T), field=field, symmetry="general")
        found = {(c, p) for cell, peak in open_matrix(folder).open_entries() for c, p in zip(cell, peak, strict=True)}
        assert found == set(zip(*np.nonzero(x), strict=True))


def test_bed_is_read_in_its_order_with_names_and_headers(tmp_path):
    lines = ["track name=x", "# about", "", "chr2\t5\t9\tmine\t0\t+", "chr1 1 4", "chr1 1 4"]
    for name, data in (("a.bed", "\n".join(lines).encode()), ("a.bed.gz", gzip.compress("\r\n".join(lines).encode()))):
        (tmp_path / name).write_bytes(data)
        bed = read_bed(tmp_path / name)
        assert bed.columns.tolist() == ["chrom", "start", "end", "name"]
        assert bed.to_numpy().tolist() == [["chr2", 5, 9, "mine"], *[["chr1", 1, 4, "chr1:1-4"]] * 2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("chr1\t1\n", "line 1: expected chrom, start and end"),
        ("chr1\t1\t5\n\nchr1\t-1\t5\n", "line 3: the start must not be negative"),
        ("#x\nchr1\t9\t5\n", "line 2: the end must be greater than the start; found 'chr1 9 5'"),
        ("chr1\t5\t5\n", "line 1: the end must be greater"),
        ("chrom\tstart\tend\n", "line 1: the start must be a whole number"),
        ("chr1\t1.5\t5\n", "line 1: the start must be a whole number"),
        ("# nothing\n", "has no intervals"),
    ],
)
def test_impossible_bed_is_refused_with_its_line(text, message, tmp_path):
    (tmp_path / "a.bed").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_bed(tmp_path / "a.bed")
    assert "a.bed" in str(caught.value)


def test_missing_bed_is_refused(tmp_path):
    with pytest.raises(InputError, match="There is no .*a.bed"):
        read_bed(tmp_path / "a.bed")


@pytest.mark.parametrize(
    ("peaks", "wrong"),
    [
        ([("b", 1), ("b", 1), ("b", 5), ("a", 0), ("c", 2)], None),
        ([("b", 5), ("b", 1)], 1),
        ([("a", 1), ("b", 1), ("a", 5)], 2),
        ([("a", 1), ("b", 1), ("c", 1), ("b", 0)], 3),
    ],
)
def test_peaks_must_be_grouped_by_chromosome_and_rise(peaks, wrong):
    table = pd.DataFrame(peaks, columns=["chrom", "start"])
    table["end"] = table["start"] + 1
    if wrong is None:
        check_order(table, "x")
    else:
        with pytest.raises(InputError, match=rf"\(row {wrong}, counting from 0\).*--sort-peaks"):
            check_order(table, "x")
