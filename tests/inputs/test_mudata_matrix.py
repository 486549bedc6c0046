"""Cells x peaks of a MuData: which modality, which columns of the cells, and what is refused."""

import anndata as ad
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs import matrix_entries
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.windows import peak_windows
from tests.helpers.matrices import VALUES, adata_of, entries_of, named_peaks

# Those of mudata on its next release.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning")
PLACES = ["memory", "backed", "h5mu", "zarr"]
GENES = np.array([[0, 5], [1, 0], [0, 0], [7, 2]], dtype=np.float32)


def peaks_of(names=None):
    adata = adata_of(sparse.csr_matrix(VALUES), pd.DataFrame(index=named_peaks()))
    return adata if names is None else adata[:, names].copy()


def genes_of():
    obs = pd.DataFrame({"cell_type": ["b", "a", None, "c"]}, index=["cell2", "cell1", "other", "cell0"])
    return ad.AnnData(sparse.csr_matrix(GENES), obs=obs, var=pd.DataFrame({"gene_ids": ["E1", "E2"]}, index=["G1", "G2"]))


@pytest.fixture(autouse=True, params=[None, False], ids=["columns of modalities in .obs", "joint columns only"])
def _both_ways_of_mudata(request):
    """Mudata before 0.4 shows the columns of the modalities in the joint .obs, and does not write them."""
    with mudata.set_options(pull_on_update=request.param):
        yield


@pytest.fixture
def stored(tmp_path):
    """Function (mdata, place): the MuData in memory, backed, or as a path of .h5mu or .zarr."""

    def store(mdata, place):
        if place == "memory":
            return mdata
        path = tmp_path / f"m.{'zarr' if place == 'zarr' else 'h5mu'}"
        mdata.write_zarr(path) if place == "zarr" else mdata.write(path)
        return mudata.read(path, backed=True) if place == "backed" else path

    return store


@pytest.mark.parametrize("chunk", [1, 1_000])
@pytest.mark.parametrize("place", PLACES)
def test_the_modality_atac_gives_the_entries_above_zero(place, chunk, stored, monkeypatch):
    monkeypatch.setattr(matrix_entries, "CHUNK", chunk)
    matrix = open_matrix(stored(mudata.MuData({"atac": peaks_of(), "rna": genes_of()}), place))
    assert entries_of(matrix) == [(cell, peak) for cell in range(3) for peak in range(4) if VALUES[cell, peak] > 0]
    assert matrix.cells.index.tolist() == ["cell0", "cell1", "cell2"]
    assert matrix.peaks["name"].tolist() == named_peaks()
    assert matrix.origin == {"modality": "atac"}
    if place in ("h5mu", "zarr"):
        assert matrix.name == f"m.{place}"


@pytest.mark.parametrize("place", PLACES)
def test_columns_of_the_joint_table_and_of_other_modalities_are_joined_by_barcode(place, stored):
    atac = peaks_of()
    atac.obs["depth"] = [1, 2, 3]
    mdata = mudata.MuData({"atac": atac, "rna": genes_of()})
    order = ["other", "cell2", "cell0", "cell1"]
    values = pd.DataFrame({"leiden": ["x", "2", "0", "1"], "n": [9, 2, 0, 1], "atac:score": [9.0, 0.2, np.nan, 0.1]}, index=order)
    for column in values:
        mdata.obs[column] = values[column].reindex(mdata.obs_names)
    cells = open_matrix(stored(mdata, place)).cells
    assert sorted(cells) == ["depth", "leiden", "n", "rna:cell_type", "score"]
    assert cells["depth"].tolist() == [1, 2, 3]
    assert cells["leiden"].tolist() == ["0", "1", "2"]
    assert cells["n"].tolist() == [0, 1, 2]
    assert cells["rna:cell_type"].tolist() == ["c", "a", "b"]
    np.testing.assert_array_equal(cells["score"].astype(float), [np.nan, 0.1, 0.2])


@pytest.mark.parametrize("place", PLACES)
def test_whole_numbers_that_some_cells_lack_stay_whole_numbers(place, stored):
    rna = genes_of()[:2].copy()
    rna.obs["n_genes"] = [5, 4]
    cells = open_matrix(stored(mudata.MuData({"atac": peaks_of(), "rna": rna}), place)).cells
    assert cells["rna:n_genes"].tolist() == [pd.NA, 4, 5]
    assert str(cells["rna:n_genes"].dtype) in ("Int64", "int64")


@pytest.mark.parametrize("place", PLACES)
def test_without_atac_the_only_modality_with_intervals_is_taken_with_a_line(place, stored, capsys):
    matrix = open_matrix(stored(mudata.MuData({"peaks": peaks_of(), "rna": genes_of()}), place))
    assert matrix.peaks["name"].tolist() == named_peaks()
    assert 'the peaks are those of the modality "peaks", the only one that has intervals.' in capsys.readouterr().err


@pytest.mark.parametrize("place", PLACES)
def test_a_modality_that_cannot_be_chosen_is_refused_with_all_names_and_shapes(place, stored):
    source = stored(mudata.MuData({"one": peaks_of(), "two": peaks_of(named_peaks()[:3]), "rna": genes_of()}), place)
    shapes = r"It has the modalities one \(3 cells x 4\), rna \(4 cells x 2\), two \(3 cells x 3\)\."
    with pytest.raises(
        InputError, match=rf"has no modality 'atac', and one, two have intervals of peaks\. {shapes}.*with modality"
    ):
        open_matrix(source)
    assert open_matrix(source, modality="two").n_peaks == 3
    with pytest.raises(InputError, match=rf"modality: .* has no modality 'tow'\. {shapes} Did you mean 'two'\?"):
        open_matrix(source, modality="tow")
    with pytest.raises(InputError, match=r"modality rna.*has no intervals of peaks"):
        open_matrix(source, modality="rna")


def test_without_any_intervals_the_modalities_are_listed():
    with pytest.raises(InputError, match=r"none has intervals of peaks\. It has the modalities prot \(4.*, rna \(4 cells x 2\)"):
        open_matrix(mudata.MuData({"rna": genes_of(), "prot": genes_of()}))


def test_a_modality_or_a_layer_is_refused_where_there_are_none(tmp_path):
    with pytest.raises(InputError, match=r"modality: the AnnData has no modalities; only a MuData"):
        open_matrix(peaks_of(), modality="atac")
    peaks_of().write_h5ad(tmp_path / "m.h5ad")
    with pytest.raises(InputError, match=r"modality: the AnnData .*m.h5ad has no modalities"):
        open_matrix(tmp_path / "m.h5ad", modality="atac")


@pytest.mark.parametrize("place", PLACES)
def test_a_layer_of_the_modality_is_read(place, stored):
    atac = peaks_of()
    atac.layers["counts"] = sparse.csr_matrix(VALUES[::-1])
    matrix = open_matrix(stored(mudata.MuData({"atac": atac, "rna": genes_of()}), place), layer="counts")
    assert entries_of(matrix) == [(cell, peak) for cell in range(3) for peak in range(4) if VALUES[2 - cell, peak] > 0]
    assert matrix.origin == {"modality": "atac", "layer": "counts"}


@pytest.mark.parametrize("place", PLACES)
def test_genes_of_the_modality_rna_are_matched_by_barcode(place, stored):
    matrix = open_matrix(stored(mudata.MuData({"atac": peaks_of(), "rna": genes_of()}), place))
    genes = matrix.gene_counts()
    cells, counts = genes.counts(np.array([True, False, True]))
    assert cells.tolist() == [0, 2]
    assert counts.toarray().tolist() == [[7, 2], [0, 5]]
    assert genes.genes.index.tolist() == ["G1", "G2"]
    assert genes.genes["gene_ids"].tolist() == ["E1", "E2"]


def test_no_modality_of_genes_is_refused(stored):
    matrix = open_matrix(stored(mudata.MuData({"atac": peaks_of(), "prot": genes_of()}), "h5mu"))
    with pytest.raises(InputError, match=r"no modality 'rna', so there is no gene expression\. It has the modalities atac"):
        matrix.gene_counts()


@pytest.mark.parametrize("place", PLACES)
def test_the_peaks_of_a_mudata_are_those_of_its_modality(place, stored, toy_fasta, toy_sequences):
    sizes = {name: len(sequence) for name, sequence in toy_sequences.items()}
    source = stored(mudata.MuData({"atac": peaks_of(), "rna": genes_of()}), place)
    windows = peak_windows(source, toy_fasta, 300, assembly="toy", chromosome_sizes=sizes)
    assert windows.var.index.tolist() == named_peaks()


def test_a_file_that_is_no_mudata_is_refused(tmp_path):
    (tmp_path / "m.h5mu").write_text("MuData (format-version=0.1.0)")
    for read in (open_matrix, lambda path: peak_windows(path, "none.fa", 300, assembly="toy", chromosome_sizes={})):
        with pytest.raises(InputError, match=r"m\.h5mu is not an (HDF5|\.h5mu) file"):
            read(tmp_path / "m.h5mu")


@pytest.mark.parametrize("place", ["memory", "h5mu"])
def test_genes_of_a_barcode_that_repeats_are_refused(place, stored):
    names = ["cell0", "cell1", "cell0", "cell2"]
    source = stored(mudata.MuData({"atac": peaks_of(), "rna": genes_of()}), place)
    if place == "memory":
        source["rna"].obs_names = names
    else:
        with h5py.File(source, "r+") as file:
            file["mod/rna/obs/_index"][...] = names
    matrix = open_matrix(source)
    with pytest.raises(InputError, match=r"modality rna: the barcode 'cell0' is there more than once"):
        matrix.gene_counts()
