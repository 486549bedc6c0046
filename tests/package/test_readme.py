"""README.md of a package: what the card says, for people and for Hugging Face's hub."""

import pandas as pd
import pytest
import yaml
from helpers import toy

from scbasset_zoo.package import readme
from scbasset_zoo.package.card import Card

BASELINES = {"chance": 0.5, "GC content": 0.55123}
EVALUATION = [
    {
        "metric": "AUROC per cell, mean",
        "split": "test",
        "value": 0.71234,
        "n": 7,
        "baselines": {"chance": 0.5, "GC content": 0.55123},
    },
    {"metric": "AUPR per cell, mean", "split": "test", "value": 0.3, "n": 7, "note": "with | the batch path"},
    {"metric": "AUROC per cell, mean", "split": "validation", "value": 0.69, "n": 7},
]


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages") / "toy"
    return toy.toy_package(folder, evaluation=EVALUATION, tags=["human", "bone-marrow"])


def front_matter(text):
    assert text.startswith("---\n")
    return yaml.safe_load(text[4 : text.index("\n---\n")])


def with_fields(card, **changes):
    return Card.from_fields(card.model_dump() | changes)


def test_the_hub_reads_licence_library_tags_and_results_in_the_front_matter(package):
    assert front_matter((package.folder / "README.md").read_text()) == {
        "license": "cc0-1.0",
        "library_name": "scbasset_zoo",
        "tags": ["biology", "genomics", "single-cell", "scatac-seq", "scbasset", "onnx", "human", "bone-marrow"],
        "model-index": [
            {
                "name": "scbasset/toy",
                "results": [
                    {
                        "task": {"type": "other", "name": "chromatin accessibility of DNA sequences in single cells"},
                        "dataset": {"type": "scatac-seq", "name": "None; the weights are random.", "split": split},
                        "metrics": metrics,
                    }
                    for split, metrics in (
                        (
                            "test",
                            [
                                {"type": "auroc", "name": "AUROC per cell, mean", "value": 0.71234},
                                {"type": "aupr", "name": "AUPR per cell, mean", "value": 0.3},
                            ],
                        ),
                        ("validation", [{"type": "auroc", "name": "AUROC per cell, mean", "value": 0.69}]),
                    )
                ],
            }
        ],
    }


@pytest.mark.parametrize(
    ("license", "front"),
    [
        ("Apache-2.0", {"license": "apache-2.0"}),
        ("ODbL-1.0", {"license": "odbl"}),
        ("NOASSERTION", {"license": "unknown"}),
        ("GPL-3.0-only", {"license": "other", "license_name": "gpl-3.0-only"}),
        ("LicenseRef-Institute", {"license": "other", "license_name": "licenseref-institute"}),
        ("(MIT OR Apache-2.0)", {"license": "other", "license_name": "mit-or-apache-2.0"}),
    ],
)
def test_licences_have_the_hubs_names_where_it_knows_them(package, license, front):
    fields = front_matter(readme.render(with_fields(package.card, license=license), package.cells()))
    assert {key: value for key, value in fields.items() if key.startswith("license")} == front


def test_text_that_looks_like_yaml_cannot_escape_the_front_matter(package):
    data = package.card.data.model_dump() | {"description": "x\n---\nlicense: mit\n# y: [z"}
    fields = front_matter(readme.render(with_fields(package.card, data=data), package.cells()))
    assert fields["model-index"][0]["results"][0]["dataset"]["name"] == data["description"]


def test_a_model_without_evaluation_has_no_results(package):
    text = readme.render(with_fields(package.card, evaluation=[]), package.cells())
    assert "model-index" not in front_matter(text)
    assert "## Evaluation\n\nWhether the model is better than chance and than the depth of the cells is not known." in text


def test_cells_are_counted_by_the_default_group_the_largest_first(package):
    text = readme.describe(package.card, package.cells())
    assert "| cell_type | cells |\n| --- | --- |\n| B | 3 |\n| HSC | 2 |\n| T | 2 |\n\n" in text
    assert "more." not in text


def test_of_many_groups_thirty_are_named(package):
    names = [f"type-{i:02d}" for i in range(33) for _ in range(50 - i)] + [None] * 60
    text = readme.describe(package.card, pd.DataFrame({"cell_type": names}))
    rows = [line for line in text.splitlines() if line.startswith(("| type-", "| (none)"))]
    assert rows[:2] == ["| (none) | 60 |", "| type-00 | 50 |"]
    assert rows[-1] == "| type-28 | 22 |"
    assert len(rows) == 30
    assert "and 4 more." in text


def test_the_evaluation_is_a_table(package):
    text = readme.describe(package.card, package.cells())
    assert "| AUROC per cell, mean | test | 0.7123 | chance 0.5, GC content 0.5512 | 7 |  |" in text
    assert "| AUPR per cell, mean | test | 0.3 |  | 7 | with \\| the batch path |" in text


@pytest.mark.parametrize("learnt", ["sequence", "depth", "nothing"])
def test_the_verdict_stands_before_the_numbers(package, learnt):
    verdict = {
        "learnt": learnt,
        "split": "test",
        "p_sequence": 0.5,
        "p_cells": 0.5,
        "p_depth": 0.5,
        "statement": f"It learnt {learnt}.",
    }
    text = readme.describe(with_fields(package.card, verdict=verdict), package.cells())
    assert f"## Evaluation\n\nIt learnt {learnt}.\n\n| metric |" in text


def test_html_images_and_script_links_of_a_card_do_nothing(package):
    text = (
        "<script>x</script> ![i](https://beacon) [a](javascript:x) [b]( data:x) [c](https://kept.org)\n\n[d]: javascript:x \x1b[2J"
    )
    written = readme._harmless(text)
    assert "<" not in written
    assert "![" not in written
    assert "\x1b" not in written
    assert "](javascript" not in written
    assert "]( data" not in written
    assert "]: javascript" not in written
    assert "[c](https://kept.org)" in written
    assert "<script>" not in readme.describe(with_fields(package.card, limits="<script>x</script>"), package.cells())


def test_a_gauge_is_described_if_there_is_one(package):
    cells = package.cells()
    assert "over 64 peaks (random sequences)." in readme.describe(package.card, cells)
    assert "canonical_embedding" not in readme.describe(with_fields(package.card, gauge=None), cells)


def test_a_lineage_is_described_and_results_of_the_parent_are_not_those_of_the_model(package):
    parent = {"id": "lab/parent", "version": "2.0.0", "card_sha256": "a" * 64}
    lineage = {"parent": parent, "method": "logistic regression", "settings": {"ridge": 0.1, "peaks": "all"}, "n_new_cells": 2}
    card = with_fields(package.card, lineage=lineage, training={"seed": 3})
    text = readme.render(card, package.cells())
    assert f"## Lineage\n\nThis package was made from lab/parent 2.0.0 (SHA-256 of its card.yaml: `{'a' * 64}`)" in text
    assert "The last 2 of the 7 cells were added without training. Method: logistic regression." in text
    assert "- `ridge`: 0.1\n- `peaks`: all\n" in text
    assert "## Training\n\nThat of the network and its own cells; the cells that were added took no part.\n\n- Seed: 3" in text
    assert "model-index" not in front_matter(text)
    assert "| AUROC per cell, mean | test |" in text
    assert "All cells were added" in readme.describe(with_fields(card, lineage=lineage | {"n_new_cells": 7}), package.cells())
    assert "Lineage" not in readme.describe(package.card, package.cells())
