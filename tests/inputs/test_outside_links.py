"""No value of another file is read through an HDF5 file or a Zarr store."""

import h5py
import numpy as np
import pytest
import zarr

from scbasset_zoo.errors import InputError
from scbasset_zoo.inputs.matrix import open_matrix
from scbasset_zoo.inputs.outside_links import check_no_outside_links
from tests.helpers.matrices import VALUES, h5ad


def external_link(file, secret):
    file["obs/secret"] = h5py.ExternalLink(str(secret), "/values")


def soft_link_to_external(file, secret):
    file["uns/deep"] = h5py.ExternalLink(str(secret), "/")
    file["obs/secret"] = h5py.SoftLink("/uns/deep/values")


def external_storage(file, secret):
    file.create_dataset("obs/secret", (3,), "i8", external=[(str(secret), 0, 24)])


def virtual(file, secret):
    layout = h5py.VirtualLayout((3,), "i8")
    layout[:] = h5py.VirtualSource(str(secret), "values", (3,))
    file.create_virtual_dataset("obs/secret", layout)


@pytest.mark.parametrize("plant", [external_link, soft_link_to_external, external_storage, virtual])
def test_values_of_other_files_are_refused(plant, tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["values"] = np.arange(3)
    path = h5ad("csr")(tmp_path, VALUES)
    check_no_outside_links(path)
    with h5py.File(path, "r+") as file:
        plant(file, secret)
    with pytest.raises(InputError, match="This is refused"):
        open_matrix(path)


def test_links_inside_a_file_and_circles_are_read(tmp_path):
    path = h5ad("csr")(tmp_path, VALUES)
    with h5py.File(path, "r+") as file:
        file["uns/inside"] = h5py.SoftLink("/obs")
        file["uns/self"] = file["uns"]
    assert open_matrix(path).n_peaks == 4


def test_symbolic_link_out_of_zarr_is_refused(tmp_path):
    zarr.open_group(tmp_path / "m.zarr", mode="w")
    check_no_outside_links(tmp_path / "m.zarr")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "m.zarr" / "c").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="symbolic link out of the folder"):
        check_no_outside_links(tmp_path / "m.zarr")
