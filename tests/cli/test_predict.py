"""`scbasset-zoo predict`: the same numbers as in Python, and errors that name the options as they were typed."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from helpers import toy
from helpers.rounding import ROUNDING
from typer import Typer
from typer.testing import CliRunner

from scbasset_zoo.cli.predict import predict
from scbasset_zoo.errors import InputError, PackageError
from scbasset_zoo.zoo.models import open_model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return toy.toy_package(tmp_path_factory.mktemp("predict") / "toy").folder


@pytest.fixture(scope="module")
def model(folder):
    return open_model(folder, "cpu")


@pytest.fixture(scope="module")
def genome(tmp_path_factory):
    return toy.toy_genome(tmp_path_factory.mktemp("genome") / "toy.fa")


def command(*arguments):
    app = Typer()
    app.command()(predict)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def bed(tmp_path_factory):
    path = tmp_path_factory.mktemp("bed") / "peaks.bed"
    toy.toy_peaks()[["chrom", "start", "end"]].to_csv(path, sep="\t", header=False, index=False)
    return path


def test_peaks_of_a_bed_file_are_predicted(folder, model, genome, bed, tmp_path):
    out = tmp_path / "p.h5ad"
    done = command(folder, "--peaks", bed, "--genome", genome, "--out", out, "--device", "cpu", "--batch-size", 3)
    assert done.exit_code == 0, done.output
    assert "accessibility of 7 cells x 12 peaks, by scbasset/toy 1.0.0" in done.stdout
    np.testing.assert_allclose(ad.read_h5ad(out).X, model.predict(toy.toy_peaks(), genome).X, atol=ROUNDING)


def test_peaks_of_an_h5ad_file_are_predicted_with_groups_strands_and_logits(folder, model, genome, tmp_path):
    ad.AnnData(var=toy.toy_peaks().set_index(pd.Index([f"peak{i}" for i in range(12)]))).write_h5ad(tmp_path / "in.h5ad")
    options = ["--output", "logits", "--group-by", "batch", "--average-strands"]
    done = command(folder, "--peaks", tmp_path / "in.h5ad", "--genome", genome, "--out", tmp_path / "p.zarr", *options)
    assert done.exit_code == 0, done.output
    assert "logits of 2 groups x 12 peaks" in done.stdout
    got = ad.read_zarr(tmp_path / "p.zarr")
    expected = model.predict(toy.toy_peaks(), genome, output="logits", group_by="batch", average_strands=True)
    np.testing.assert_allclose(got.X, expected.X, atol=ROUNDING)
    assert got.var_names[2] == "peak2"


def test_batch_effects_are_added(folder, genome, bed, tmp_path):
    corrected = toy.toy_corrected_package(tmp_path / "corrected").folder
    options = ["--peaks", bed, "--genome", genome, "--batch-effects"]
    done = command(corrected, *options, "--out", tmp_path / "p.h5ad")
    assert done.exit_code == 0, done.output
    expected = open_model(corrected, "cpu").predict(toy.toy_peaks(), genome, batch_effects=True)
    np.testing.assert_allclose(ad.read_h5ad(tmp_path / "p.h5ad").X, expected.X, atol=ROUNDING)
    refused = command(folder, *options, "--out", tmp_path / "q.h5ad")
    assert "is not batch-corrected" in str(refused.exception)
    assert not (tmp_path / "q.h5ad").exists()


@pytest.mark.parametrize("as_file", [False, True])
def test_sequences_are_predicted_in_some_cells(folder, model, tmp_path, as_file):
    sequences = toy.random_sequences(2)
    (tmp_path / "s.fa").write_text("".join(f">s{i} title\n{sequence}\n" for i, sequence in enumerate(sequences)))
    (tmp_path / "cells.txt").write_text("cell-3\ncell-1\n")
    cells = tmp_path / "cells.txt" if as_file else "cell-3, cell-1"
    done = command(folder, "--sequences", tmp_path / "s.fa", "--out", tmp_path / "p.parquet", "--cells", cells)
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(tmp_path / "p.parquet")
    assert table.columns.tolist() == ["name", "cell-3", "cell-1"]
    assert table["name"].tolist() == ["s0", "s1"]
    np.testing.assert_allclose(table.iloc[:, 1:], model.accessibility(sequences)[:, [3, 1]], atol=ROUNDING)


def test_options_that_do_not_go_together_are_refused(folder, genome, bed, tmp_path):
    out = ["--out", tmp_path / "p.h5ad"]
    for arguments, message in (
        ([], "Give either --peaks or --sequences; found neither"),
        (["--peaks", bed, "--sequences", bed, "--genome", genome], "Give either --peaks or --sequences; found both"),
        (["--bed", bed, "--h5ad", bed, "--genome", genome], "h5ad is the earlier name of peaks. Give one of them."),
        (["--peaks", bed], "--peaks needs the genome of the model's assembly: add --genome"),
        (["--bed", bed], "--peaks needs the genome"),
        (["--sequences", bed, "--genome", genome], "--sequences takes no --genome"),
        (["--fasta-sequences", bed, "--genome", genome], "--sequences takes no --genome"),
        (["--peaks", tmp_path / "absent.bed", "--genome", genome], "absent.bed"),
        (["--peaks", bed, "--genome", tmp_path / "absent.fa"], "absent.fa"),
        (["--peaks", bed, "--genome", genome, "--cells", "nobody"], "no cell nobody"),
    ):
        done = command(folder, *arguments, *out)
        assert isinstance(done.exception, InputError), (arguments, done.output)
        assert message in str(done.exception)
    assert isinstance(command(tmp_path, "--peaks", bed, "--genome", genome, *out).exception, PackageError)
    assert list(tmp_path.iterdir()) == []


def test_the_input_is_not_replaced_by_the_prediction(folder, genome, tmp_path):
    matrix = tmp_path / "m.h5ad"
    ad.AnnData(np.ones((1, 12), np.float32), var=toy.toy_peaks().rename(index=str)).write_h5ad(matrix)
    result = command(folder, "--peaks", matrix, "--genome", genome, "--out", matrix, "--overwrite")
    assert "is or contains the input" in str(result.exception)


def test_an_existing_file_is_replaced_only_with_overwrite(folder, genome, bed, tmp_path):
    (tmp_path / "p.h5ad").write_text("precious")
    arguments = [folder, "--peaks", bed, "--genome", genome, "--out", tmp_path / "p.h5ad"]
    assert "already exists" in str(command(*arguments).exception)
    assert (tmp_path / "p.h5ad").read_text() == "precious"
    assert command(*arguments, "--overwrite").exit_code == 0


def test_the_options_of_version_0_1_still_work_and_are_not_shown(folder, genome, bed, tmp_path):
    (tmp_path / "one.fa").write_text(f">one\n{toy.random_sequences(1)[0]}\n")
    ad.AnnData(np.ones((1, 12), np.float32), var=toy.toy_peaks().rename(index=str)).write_h5ad(tmp_path / "m.h5ad")
    for number, arguments in enumerate(
        (
            ["--bed", bed, "--genome", genome],
            ["--h5ad", tmp_path / "m.h5ad", "--genome", genome],
            ["--fasta-sequences", tmp_path / "one.fa"],
        )
    ):
        done = command(folder, *arguments, "--out", tmp_path / f"{number}.h5ad")
        assert done.exit_code == 0, done.output
        assert "is now" in done.stderr
    shown = command("--help").output
    assert "--peaks" in shown
    assert "--sequences" in shown
    assert not any(name in shown for name in ("--bed", "--h5ad", "--fasta-sequences"))


def test_an_unknown_output_or_device_is_refused_with_the_choices(folder, bed, genome, tmp_path):
    arguments = [folder, "--peaks", bed, "--genome", genome, "--out", tmp_path / "p.h5ad"]
    for option, choice in (("--output", "peak_embedding"), ("--device", "cuda")):
        done = command(*arguments, option, "other")
        assert done.exit_code == 2
        assert choice in done.output
