"""The writers: names of columns in every format, memory, and files that exist."""

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from helpers.kipoi_command import predict, run
from helpers.rounding import ROUNDING
from helpers.toy import toy_genome, toy_package

from scbasset_zoo.zoo.models import open_model

pytest.importorskip("kipoi")


def test_groups_of_any_name_are_columns_of_every_format(home, tmp_path):
    groups = ["", "..", "CD4/Th1", "NK", "NK/T", "NK\\T", "NK_T"]
    cells = pd.DataFrame({"cell_type": groups}, index=pd.Index([f"cell{i}" for i in range(7)], name="barcode"))
    toy = toy_package(tmp_path / "toy", id="lab/slashes", cells=cells)
    cached = home / "cache/models/lab/slashes" / f"1.0.0-{toy.card_sha256[:12]}"
    cached.parent.mkdir(parents=True)
    toy.folder.rename(cached)
    run(home, "scbasset-zoo", "kipoi", "register")
    fasta, bed = toy_genome(tmp_path / "toy.fa"), tmp_path / "peaks.bed"
    bed.write_text("chr1\t2000\t2600\nchr2\t4000\t4300\n")
    data = {"intervals_file": str(bed), "fasta_file": str(fasta)}
    outputs = [tmp_path / f"out.{ending}" for ending in ("tsv", "parquet", "h5", "zarr")]
    predict(home, "lab/slashes", "--layer", "cell_type", "--batch_size", "1", "-o", *map(str, outputs), data=data)
    means = open_model(cached, device="cpu").predict(str(bed), str(fasta), group_by="cell_type")
    assert list(means.obs_names) == sorted(groups)
    names = {"": "_", "..": "__", "CD4/Th1": "CD4_Th1", "NK": "NK", "NK/T": "NK_T_", "NK\\T": "NK_T__", "NK_T": "NK_T"}
    expected = {names[group]: values for group, values in zip(means.obs_names, means.X, strict=True)}
    tables = pd.read_csv(outputs[0], sep="\t"), pd.read_parquet(outputs[1])
    columns_of_files = [{name.removeprefix("preds/"): table[name] for name in table} for table in tables]
    with h5py.File(outputs[2]) as file:
        columns_of_files.append({name: file["preds"][name][:] for name in file["preds"]})
    arrays = zarr.open_group(outputs[3], mode="r")["preds"]
    columns_of_files.append({name: arrays[name][:] for name in arrays})
    for columns in columns_of_files:
        assert sorted(columns) == sorted(expected)
        for name, values in expected.items():
            np.testing.assert_allclose(columns[name], values, atol=ROUNDING)
    written = outputs[0].read_bytes()
    output = predict(home, "lab/slashes", "-o", str(outputs[0]), data=data, fails=True)
    assert "out.tsv already has data" in output
    assert outputs[0].read_bytes() == written


WRITERS = """
import h5py, numpy as np, zarr
from kipoi import writers
import scbasset_zoo.kipoi.model
batches = [{"preds": np.full((3, 200_000), i, np.float32), "metadata": {"id": np.array(["a", "b", "ccc"])}} for i in range(30)]
for name in ("wide.h5", "wide.zarr"):
    writer = writers.get_writer(name)
    for batch in batches:
        writer.batch_write(batch)
    writer.close()
    file = h5py.File(name) if name.endswith("h5") else zarr.open_group(name, mode="r")
    assert file["preds"].chunks[0] * 800_000 <= 2**24
    np.testing.assert_array_equal(file["preds"][:, 7], np.repeat(np.arange(30), 3))
    assert [v.decode() if isinstance(v, bytes) else v for v in file["metadata/id"][-3:]] == ["a", "b", "ccc"]
    if name.endswith("h5"):
        file.close()
    try:
        writers.get_writer(name)
    except ValueError as error:
        assert "already has" in str(error)
    else:
        raise SystemExit(f"{name} was overwritten")
zarr.open_group("new.zarr", mode="w", zarr_format=3).create_array("preds", shape=(2,), dtype="f4")
try:
    writers.get_writer("new.zarr")
except ValueError as error:
    assert "already has" in str(error)
else:
    raise SystemExit("new.zarr was mixed with other arrays")
"""


def test_writers_limit_memory_and_refuse_files_that_have_data(home, tmp_path):
    (tmp_path / "writers.py").write_text(f"import os; os.chdir({str(tmp_path)!r})\n{WRITERS}")
    run(home, "python", str(tmp_path / "writers.py"))
