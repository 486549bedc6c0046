"""Reports say in sentences what the numbers of a result say, and name what got worse."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scbasset_zoo_plugins.batch_correction.analysis import BatchCorrection
from scbasset_zoo_plugins.denoise.analysis import Denoise
from scbasset_zoo_plugins.embedding.analysis import Embedding
from scbasset_zoo_plugins.sentences import beside_chance, change
from sklearn.linear_model import LinearRegression

from scbasset_zoo.wording import command_line


def text_of(description):
    return " ".join(description.findings)


def embedded(metrics=None, group_by="type", n_cells=60, dimensions=3):
    rng = np.random.default_rng(0)
    embedding = rng.normal(size=(n_cells, dimensions))
    obs = pd.DataFrame(
        {
            "type": rng.choice(["a", "b"], n_cells),
            "leiden": pd.Categorical(["0"] * 40 + ["1"] * (n_cells - 40)),
            "depth_intercept": embedding[:, 0] + rng.normal(size=n_cells),
        },
        index=[f"cell{i}" for i in range(n_cells)],
    )
    result = ad.AnnData(obs=obs, obsm={"X_scbasset": embedding})
    result.uns = {"embedding": {"group_by": group_by}, "leiden": {"params": {"resolution": 0.75}}}
    if metrics is not None:
        result.uns["metrics"] = metrics
    return result


def scores(**columns):
    return pd.DataFrame(columns, index=pd.Index(["ARI", "label score at 50", "label score at 10"], name="metric"))


def test_clusters_and_scores_of_an_embedding_are_said():
    text = text_of(Embedding().describe(embedded(scores(score=[0.5284, np.nan, 0.6577]))))
    assert "The 60 cells form 2 Leiden clusters at a resolution of 0.75. The largest has 40 cells." in text
    assert "agree with type with an adjusted Rand index of 0.528." in text
    assert "Of the 10 nearest neighbours of a cell, 65.8% have its type." in text, "that at 50 is undefined"


def test_a_result_of_0_1_0_names_no_space_and_is_in_the_published_one():
    result = embedded(scores(score=[0.5, 0.6, 0.7]))
    assert "space" not in result.uns["embedding"]
    text = text_of(Embedding().describe(result))
    assert "Cells are compared in the published space, since the model has no gauge." in text
    assert "canonical" not in text


@pytest.mark.parametrize(
    ("score", "words"), [(0.9, "(0.500 ± 0.020 with permuted labels)"), (0.53, "no better than with permuted")]
)
def test_a_score_is_beside_chance_where_the_table_has_it(score, words):
    table = scores(score=[score] * 3, chance=[0.5] * 3, chance_sd=[0.02] * 3)
    text = text_of(Embedding().describe(embedded(table)))
    assert text.count(words) == 2
    assert beside_chance(table.drop(columns="chance_sd"), "ARI", "score") == " (0.500 with permuted labels)"
    assert beside_chance(table.drop(columns="chance"), "ARI", "score") == ""


def test_the_share_of_depth_that_an_embedding_explains_is_that_of_a_linear_model():
    result = embedded()
    x, y = result.obsm["X_scbasset"], result.obs["depth_intercept"]
    r2 = LinearRegression().fit(x, y).score(x, y)
    adjusted = 1 - (1 - r2) * 59 / 56
    assert f"explains {adjusted:.0%} of the variance of the intercept" in text_of(Embedding().describe(result))
    assert "explains" not in text_of(Embedding().describe(embedded(dimensions=7))), "60 cells are too few"


def test_without_groups_the_option_is_named_as_its_reader_writes_it():
    assert "because group_by was not given" in text_of(Embedding().describe(embedded(group_by="")))
    with command_line():
        assert "because --group-by was not given" in text_of(Embedding().describe(embedded(group_by="")))


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [(0.2, 0.3, "rose from 0.200 to 0.300"), (0.3, 0.2, "fell from 0.300 to 0.200"), (0.3, 0.301, "stayed at 0.301")],
)
def test_a_change_is_named_by_its_direction(before, after, words):
    assert change(before, after) == words


def denoised(warnings=(), chance=None, **metrics):
    result = embedded()
    result.uns = {"denoise": {"group_by": "type", "warnings": np.array(warnings, dtype=object)}}
    result.uns["heat_map"] = {"denoised": np.ones((60, 9)), "counts": np.ones((60, 9))}
    if metrics:
        table = pd.DataFrame.from_dict(metrics, orient="index", columns=["counts", "denoised"]).rename_axis("metric")
        result.uns["metrics"] = table if chance is None else table.assign(chance_denoised=chance, chance_sd=0.01)
    return Denoise().describe(result)


def test_scores_before_and_after_denoising_are_said_with_chance_and_warnings():
    names = "silhouette width of labels, 1 - Pearson, as 0..1", "label score at 50, PCA(50)"
    text = text_of(denoised(["Denoising made it worse."], 0.2, **{names[0]: (0.5, 0.6), names[1]: (0.35, 0.21)}))
    assert "The silhouette width of labels rose from 0.500 to 0.600 by denoising (0.200 ± 0.010 with permuted labels)." in text
    assert "The label score at 50 fell from 0.350 to 0.210 by denoising, which is no better than with permuted labels" in text
    assert text.endswith("Denoising made it worse.")
    alone = text_of(denoised(**{names[1]: (np.nan, 0.21)}))
    assert "The label score at 50 is 0.210 in the denoised values." in alone


def test_what_was_left_out_as_depth_is_said_and_how_far_the_values_follow_it():
    result = embedded()
    result.uns = {"denoise": {"group_by": "", "depth": "canonical"}, "heat_map": {"denoised": np.ones((60, 9))}}
    rows = {"counts": (0.97, 0.08), "canonical": (0.5, 0.0012), "published": (0.9, 0.51)}
    columns = ["correlation with depth", "change with depth"]
    result.uns["depth"] = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    description = Denoise().describe(result)
    assert (
        "the mean of a cell without the mean logit of the cell over the training peaks (canonical depth) changes by 0.0012 "
        "(r = 0.50); in the counts by 0.08 (r = 0.97); without the intercept of the cell (published depth) by 0.51 (r = 0.90)."
    ) in text_of(description)
    assert "without the mean logit of the cell" in description.how_to_read[0]
    assert "without the intercept of the cell" in denoised().how_to_read[0]


def test_agreement_with_rna_is_said_and_what_was_not_compared_too():
    text = text_of(
        denoised(
            **{
                "correlation with RNA over genes, mean over cells": (0.1, 0.3),
                "RNA/ATAC rank distance, mean over cells": (np.nan, 0.123),
            }
        )
    )
    assert "The correlation with RNA over genes, mean over cells, rose from 0.100 to 0.300 by denoising." in text
    assert "12.3% of the other cells" in text
    assert "was not compared" in text_of(denoised())


def compared(rows, warnings=(), chance=None):
    result = embedded()
    result.obs["batch"] = np.where(np.arange(60) % 3 == 0, "one", "two")
    result.uns = {"batch_correction": {"group_by": "type", "batch_key": "batch", "warnings": np.array(warnings, dtype=object)}}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["kind", "iLISI, rescaled", "label score at 50"])
    result.uns["comparison"] = table.rename_axis("method")
    if chance is not None:
        result.uns["chance"] = pd.DataFrame({"chance": chance, "chance_sd": 0.01})
    return BatchCorrection().describe(result)


def test_the_best_correction_a_change_and_warnings_are_said():
    rows = {
        "scBasset": ("uncorrected", 0.41, 0.79),
        "harmony on scBasset": ("harmony", 0.69, 0.82),
        "scBasset-BC": ("scBasset-BC", 0.09, 0.76),
    }
    text = text_of(compared(rows, ["Mixing fell."]))
    assert "3 embeddings were scored, of 60 cells in 2 batches (column batch)." in text
    assert "harmony on scBasset mixes the batches best (iLISI, rescaled: 0.690)." in text
    assert "harmony on scBasset keeps type apart best (label score at 50: 0.820)." in text
    assert "From scBasset to scBasset-BC, the iLISI, rescaled fell from 0.410 to 0.090, and the label score at 50 fell" in text
    assert text.endswith("Mixing fell.")
    text = text_of(compared(rows, chance={"iLISI, rescaled": 0.95, "label score at 50": 0.3}))
    assert "mixes the batches best (iLISI, rescaled: 0.690, 0.950 with permuted batches and groups)." in text
    assert "keeps type apart best (label score at 50: 0.820, 0.300 with permuted batches and groups)." in text


def test_a_model_alone_has_its_scores_and_is_told_what_to_compare_with():
    description = compared({"scBasset-BC": ("scBasset-BC", np.nan, 0.5)})
    assert (
        text_of(description) == "One embedding was scored, of 60 cells in 2 batches (column batch). Its label score at 50 is 0.500."
    )
    assert any("plain" in step for step in description.next_steps)
