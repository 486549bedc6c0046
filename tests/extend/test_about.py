"""Card fields from an author, and defaults for the rest."""

import pytest

from scbasset_zoo.errors import InputError
from scbasset_zoo.extend.about import chromosome_naming, default_card_fields, default_group_column, read_about
from scbasset_zoo.wording import command_line


def test_about_is_a_mapping_a_yaml_file_or_nothing(tmp_path):
    (tmp_path / "about.yaml").write_text("id: lab/model\ndata: {license: MIT}\n")
    expected = {"id": "lab/model", "data": {"license": "MIT"}}
    assert read_about(tmp_path / "about.yaml") == read_about(expected) == expected
    assert read_about(None) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- 1", "must be a mapping of card fields"),
        ("a: [", "about.yaml is not valid YAML"),
        ("nonsense: 1", "about: 'nonsense' is not a field of the card; the fields are schema_version, id"),
        ("data: GEO", "about: data must be a mapping of fields; found 'GEO'"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "about.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_about(tmp_path / "about.yaml")


def test_a_user_of_the_command_line_reads_the_flag():
    with command_line(), pytest.raises(InputError, match="--about: 'nonsense'"):
        read_about({"nonsense": 1})


@pytest.mark.parametrize(("name", "expected"), [("my run (2)", "local/my-run-2"), ("...", "local/model")])
def test_the_default_id_is_a_valid_one(name, expected):
    fields = default_card_fields(name, "A. Name")
    assert fields["id"] == expected
    assert fields["authors"] == [{"name": "A. Name"}]
    assert fields["license"] == "NOASSERTION"


@pytest.mark.parametrize(
    ("chromosomes", "expected"), [(["chr1", "chrM"], "ucsc"), (["1", "MT"], "ensembl"), (["chr1", "2"], "other"), ([], "other")]
)
def test_naming_of_chromosomes(chromosomes, expected):
    assert chromosome_naming(chromosomes) == expected


def test_the_default_group_is_the_column_that_names_cell_types():
    assert default_group_column(["depth", "leiden", "cell_type"]) == "cell_type"
    assert default_group_column(["depth"]) is None
