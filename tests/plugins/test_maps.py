"""Maps of cells: what is a label gets a legend, what is a measurement a colour bar."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from scbasset_zoo_plugins.embedding.analysis import Embedding


@pytest.mark.parametrize(
    ("labels", "written"),
    [([10, 9, 10, 2], ["2", "9", "10"]), ([True, False, True, True], ["False", "True"]), ([0.5, 1.5, 0.5, 0.5], ["0.5", "1.5"])],
)
def test_labels_that_are_numbers_or_booleans_get_a_legend_and_no_colour_bar(labels, written):
    obs = pd.DataFrame(
        {"kind": labels, "leiden": pd.Categorical(list("0110")), "depth_intercept": [0.1, 0.2, 0.3, 0.4]}, list("abcd")
    )
    result = ad.AnnData(obs=obs, obsm={"X_umap": np.arange(8.0).reshape(4, 2)}, uns={"embedding": {"group_by": "kind"}})
    figures = Embedding().plot(result)
    (ax,) = figures["umap_labels"].axes
    assert [text.get_text() for text in ax.get_legend().get_texts()] == written
    assert len(figures["umap_depth"].axes) == 2
