"""The analyses and their options are printed for Python users."""

import pytest

import scbasset_zoo as sz


def test_all_analyses_are_listed_with_a_sentence_each(capsys):
    sz.describe_analyses()
    lines = capsys.readouterr().out.splitlines()
    names = [line.partition(": ")[0] for line in lines]
    assert names == sorted(names)
    assert {"batch-correction", "denoise", "embedding", "ism", "motif-insertion"} <= set(names)
    assert all(line.partition(": ")[2] for line in lines)


def test_the_options_of_an_analysis_are_printed_with_types_defaults_and_descriptions(capsys):
    sz.describe_analyses("embedding")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "embedding"
    position = lines.index("n_neighbours : int, default 15")
    assert lines[position + 1].startswith("    ")


def test_an_unknown_analysis_is_an_error_with_a_suggestion():
    with pytest.raises(sz.InputError, match="no analysis 'embeding'. Did you mean 'embedding'?"):
        sz.describe_analyses("embeding")


def test_analyses_and_their_options_are_tables():
    table = sz.analyses()
    assert {"embedding", "denoise", "motif-insertion", "ism", "batch-correction"} <= set(table.index)
    assert table.loc["embedding", "computes"].startswith("Cell embeddings with neighbours")
    assert (table["distribution"] != "").all()
    options = sz.analyses("denoise")
    assert options.loc["genome", "default"] == "required"
    assert options.loc["strict", ["type", "default"]].tolist() == ["bool", "False"]
    assert options["description"].str.endswith(".").all()
    with pytest.raises(sz.InputError, match="Did you mean 'embedding'"):
        sz.analyses("embeding")
