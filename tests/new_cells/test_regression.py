"""Cells are fitted to peak embeddings: many at once gives what scikit-learn gives for each cell alone."""

import numpy as np
import pytest
from scipy import sparse
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from scbasset_zoo.graph.gauge import Gauge, gauge_of
from scbasset_zoo.new_cells import regression
from scbasset_zoo.new_cells.regression import CellRegression
from scbasset_zoo.new_cells.ridge import compare_ridges

N_PEAKS, SIZE = 3_000, 8


def simulated(n_cells=20, seed=0, depth=-2.5):
    """Return peak embeddings with correlated columns, and open peaks of cells that follow from them."""
    rng = np.random.default_rng(seed)
    embedding = (rng.normal(size=(N_PEAKS, SIZE)) @ rng.normal(size=(SIZE, SIZE)) * 0.3 + rng.normal(size=SIZE)).astype(np.float32)
    weights, intercept = rng.normal(size=(n_cells, SIZE)) * 0.6, depth + rng.normal(size=n_cells)
    logits = (embedding - embedding.mean(axis=0)) @ weights.T + intercept
    is_open = sparse.csr_matrix((rng.random(logits.shape) < expit(logits)).T.astype(np.float32))
    return embedding, is_open


def whitened(embedding, gauge):
    """Return the embeddings in coordinates in which the squared length of weights is w' C w."""
    values, vectors = np.linalg.eigh(gauge.covariance)
    return (embedding.astype(float) - gauge.mean) @ (vectors / np.sqrt(values))


@pytest.mark.parametrize("ridge", [0.1, 1.0, 30.0])
def test_logits_are_those_of_scikit_learn_for_each_cell(ridge):
    embedding, is_open = simulated()
    gauge = gauge_of(embedding)
    fit = CellRegression(embedding, gauge).fit(is_open, ridge)
    assert fit.converged.all()
    for cell in range(is_open.shape[0]):
        alone = LogisticRegression(C=1 / ridge, tol=1e-10, max_iter=5_000)
        alone.fit(whitened(embedding, gauge), is_open[cell].toarray()[0])
        expected = alone.decision_function(whitened(embedding, gauge))
        found = embedding.astype(float) @ fit.embedding[cell] + fit.intercept[cell]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_cells_do_not_depend_on_the_others_nor_on_the_blocks(monkeypatch):
    embedding, is_open = simulated(n_cells=30)
    model = CellRegression(embedding, gauge_of(embedding))
    together = model.fit(is_open, 1.0)
    monkeypatch.setattr(regression, "CELLS_AT_ONCE", 7)
    monkeypatch.setattr(regression, "PEAKS_AT_ONCE", 500)
    in_blocks = model.fit(is_open, 1.0, threads=2)
    np.testing.assert_allclose(in_blocks.embedding, together.embedding, atol=1e-4)
    np.testing.assert_allclose(model.fit(is_open[3], 1.0).embedding[0], together.embedding[3], atol=1e-4)


def test_the_fit_does_not_depend_on_the_gauge():
    """Shifted and turned embeddings, with the gauge to match, give the same logits."""
    embedding, is_open = simulated()
    gauge = gauge_of(embedding)
    rng = np.random.default_rng(1)
    turn, shift = rng.normal(size=(SIZE, SIZE)), rng.normal(size=SIZE)
    turned = (embedding.astype(float) @ turn + shift).astype(np.float32)
    gauge_of_turned = Gauge(gauge.mean @ turn + shift, turn.T @ gauge.covariance @ turn)
    before = CellRegression(embedding, gauge).fit(is_open, 3.0)
    after = CellRegression(turned, gauge_of_turned).fit(is_open, 3.0)
    expected = embedding.astype(float) @ before.embedding.T.astype(float) + before.intercept
    found = turned.astype(float) @ after.embedding.T.astype(float) + after.intercept
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_an_offset_is_added_and_not_fitted():
    """With the offset w0, b0, the fit of w is that of w + w0 without it, if there is hardly a ridge."""
    embedding, is_open = simulated()
    model = CellRegression(embedding, gauge_of(embedding))
    rng = np.random.default_rng(2)
    offset = rng.normal(size=(20, SIZE)).astype(np.float32) * 0.3, rng.normal(size=20).astype(np.float32)
    plain, with_offset = model.fit(is_open, 1e-6), model.fit(is_open, 1e-6, offset=offset)
    np.testing.assert_allclose(with_offset.embedding + offset[0], plain.embedding, atol=5e-3)
    np.testing.assert_allclose(with_offset.intercept + offset[1], plain.intercept, atol=5e-3)
    np.testing.assert_allclose(with_offset.deviance_explained, plain.deviance_explained, atol=1e-4)


def test_deviance_explained_is_that_of_the_definition():
    embedding, is_open = simulated()
    fit = CellRegression(embedding, gauge_of(embedding)).fit(is_open, 1.0)
    labels = is_open.toarray()
    chance = expit(embedding.astype(float) @ fit.embedding.T + fit.intercept).T
    share = labels.mean(axis=1, keepdims=True)
    deviance, alone = (-2 * (labels * np.log(p) + (1 - labels) * np.log(1 - p)).sum(axis=1) for p in (chance, share))
    np.testing.assert_allclose(fit.deviance_explained, 1 - deviance / alone, atol=1e-4)
    np.testing.assert_allclose(CellRegression(embedding, gauge_of(embedding)).deviance(is_open, fit.embedding, fit.intercept),
                               deviance, rtol=1e-4)  # fmt: skip


def test_cells_without_open_peaks_with_one_and_with_all_are_finite():
    embedding, _ = simulated()
    labels = np.zeros((3, N_PEAKS))
    labels[1, 5] = 1
    labels[2] = 1
    fit = CellRegression(embedding, gauge_of(embedding)).fit(sparse.csr_matrix(labels), 1.0)
    assert np.isfinite(fit.embedding).all()
    assert np.isfinite(fit.intercept).all()
    assert fit.n_open.tolist() == [0, 1, N_PEAKS]
    assert np.isnan(fit.deviance_explained[[0, 2]]).all()
    assert fit.converged.all()


def test_the_ridge_is_chosen_on_held_out_peaks():
    """Cells that follow from the embeddings need little ridge; cells that do not need much, and nothing is explained."""
    embedding, is_open = simulated(n_cells=60)
    gauge = gauge_of(embedding)
    real = compare_ridges(embedding, is_open, gauge)
    shuffled = is_open[:, np.random.default_rng(3).permutation(N_PEAKS)]
    chance = compare_ridges(embedding, shuffled, gauge)
    assert real.deviance_explained[real.best] > 0.05
    assert chance.deviance_explained[chance.best] < 0.005
    assert chance.ridges[chance.best] > real.ridges[real.best]
    assert compare_ridges(embedding, is_open, gauge, (2.0,)).ridges == (2.0,)
