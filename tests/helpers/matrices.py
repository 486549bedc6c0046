"""Cells x peaks in every format that is read."""

import gzip

import anndata as ad
import h5py
import numpy as np
import pandas as pd
from scipy import sparse

# Three cells x four peaks; the open entries are those above zero.
VALUES = np.array([[0, 2, 0, 0.5], [0, 0, 3, 0], [1, 0, 0, 7]], dtype=np.float32)


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


def write_10x_folder(folder, x, features="features.tsv.gz", order="F"):
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
    "10x mtx multiome": lambda path, x: write_10x_folder(path / "m", x),
    "10x mtx peaks.bed": lambda path, x: write_10x_folder(path / "m", x, "peaks.bed"),
    "mtx by peak": lambda path, x: write_10x_folder(path / "m", x, "peaks.bed", order="C"),
}


def cut(whole, path):
    path.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])


def entries_of(matrix):
    """The (cell, peak) of all entries above zero of an opened matrix, sorted."""
    return sorted((int(c), int(p)) for cell, peak in matrix.open_entries() for c, p in zip(cell, peak, strict=True))
