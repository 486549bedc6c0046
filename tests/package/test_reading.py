"""Opening a package and reading its parts: what is damaged is not read."""

import pandas as pd
import pytest
from helpers import toy
from helpers.forgery import change_model, move_weights_outside, rename_cell_embedding
from helpers.tables import assert_tables_equal

from scbasset_zoo.errors import PackageError
from scbasset_zoo.package.digests import order_digest
from scbasset_zoo.package.reading import Package
from scbasset_zoo.zoo.models import open_model


def test_cells_and_peaks_come_back_as_they_were_given(original):
    package = Package.open(original)
    assert_tables_equal(package.cells(), toy.toy_cells(), check_names=False)
    assert_tables_equal(package.peaks(), toy.toy_peaks())
    assert package.card.cells.order_sha256 == order_digest(f"cell-{i}" for i in range(7))
    assert package.card.peaks.order_sha256 == order_digest(f"{p.chrom}:{p.start}-{p.end}" for p in toy.toy_peaks().itertuples())


@pytest.mark.parametrize(
    ("name", "read", "old", "new"),
    [("cells.parquet", Package.cells, b"HSC", b"HSD"), ("peaks.parquet", Package.peaks, b"validation", b"validatiom")],
)
def test_a_table_with_another_byte_is_not_read_though_its_order_is_the_cards(folder, name, read, old, new):
    path = folder / name
    path.write_bytes(path.read_bytes().replace(old, new))
    assert new.decode() in pd.read_parquet(path).to_string()
    with pytest.raises(PackageError, match=rf"{name} is not the file that the card names.*Fetch or export the package again"):
        read(Package.open(folder))


@pytest.mark.parametrize(("change", "message"), [(move_weights_outside, "another file"), (rename_cell_embedding, "no initializer")])
def test_such_a_network_is_not_opened_either(folder, change, message):
    change_model(folder, change)
    with pytest.raises(PackageError, match=message):
        open_model(folder, "cpu")


def test_a_changed_model_is_not_opened(folder):
    raw = bytearray((folder / "model.onnx").read_bytes())
    raw[len(raw) // 2] ^= 1
    (folder / "model.onnx").write_bytes(raw)
    with pytest.raises(PackageError, match="SHA-256 differs"):
        open_model(folder, "cpu")


def test_a_folder_that_is_no_package_is_refused(tmp_path):
    with pytest.raises(PackageError, match="has no card.yaml"):
        Package.open(tmp_path)
    with pytest.raises(PackageError, match="is not a folder"):
        Package.open(tmp_path / "nothing")
