"""Evaluation of held-out peaks beside its baselines, and the verdict: sequence, depth or nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.metrics import average_precision_score, roc_auc_score

from scbasset_zoo.training.held_out import HeldOut, aupr_of_lines, auroc_of_lines, evaluate, held_out_peaks
from scbasset_zoo.training.verdict import compare_with_validation, exchange_test, judge, same_depth

N_PEAKS, N_CELLS = 150, 60


def held_out(*, sequence, depth, seed=0):
    """Labels drawn from known embeddings and depths, and a model that knows both, one or none of them."""
    rng = np.random.default_rng(seed)
    peaks, cells = rng.normal(size=(N_PEAKS, 4)), rng.normal(size=(N_CELLS, 4))
    log_depth = rng.normal(-1.5, 0.8, N_CELLS)
    labels = rng.random((N_PEAKS, N_CELLS)) < 1 / (1 + np.exp(-(peaks @ cells.T + log_depth)))
    others = rng.normal(size=(N_PEAKS, 4)), rng.normal(size=(N_CELLS, 4)) * 0.01
    peak_embedding, embedding = (peaks, cells) if sequence else others
    return HeldOut(
        split="test",
        labels=sparse.csr_matrix(labels.astype(np.float32)),
        peak_embedding=peak_embedding.astype(np.float32),
        embedding=embedding.astype(np.float32),
        intercept=(log_depth if depth else np.zeros(N_CELLS)).astype(np.float32),
        depth=np.exp(log_depth),
        gc=rng.random(N_PEAKS),
        n_all_cells=N_CELLS,
    )


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 30), st.floats(0.05, 0.95), st.integers(1, 6))
def test_scores_of_lines_are_scikit_learns_with_ties(seed, n, density, n_values):
    rng = np.random.default_rng(seed)
    labels, scores = rng.random((n, 5)) < density, rng.integers(0, n_values, (n, 5)).astype(float)
    auroc, aupr = auroc_of_lines(labels, scores), aupr_of_lines(labels, scores)
    for column in range(5):
        label, score = labels[:, column], scores[:, column]
        if label.any() and not label.all():
            assert auroc[column] == pytest.approx(roc_auc_score(label, score), abs=1e-12)
            assert aupr[column] == pytest.approx(average_precision_score(label, score), abs=1e-12)
        else:
            assert np.isnan(auroc[column])


def test_baselines_are_those_of_scikit_learn():
    model = held_out(sequence=True, depth=True)
    rows = {row["metric"]: row for row in evaluate(model)}
    labels = model.labels.toarray()
    logits = model.peak_embedding @ model.embedding.T
    peaks = [p for p in range(N_PEAKS) if 0 < labels[p].sum() < N_CELLS]
    for metric, function in (("AUROC", roc_auc_score), ("AUPR", average_precision_score)):
        of_cell, of_peak = rows[f"{metric} per cell, mean"], rows[f"{metric} per peak, mean"]
        assert of_peak["n"] == len(peaks)
        chance = {"AUROC": (0.5, 0.5), "AUPR": (labels.mean(), labels[peaks].mean())}[metric]
        for row, expected in (
            (of_cell, {"GC content": [function(labels[:, c], model.gc) for c in range(N_CELLS)], "chance": chance[0]}),
            (
                of_peak,
                {
                    "depth": [function(labels[p], model.depth) for p in peaks],
                    "model without intercept": [function(labels[p], logits[p]) for p in peaks],
                    "chance": chance[1],
                },
            ),
        ):
            assert row["baselines"] == pytest.approx({name: np.mean(value) for name, value in expected.items()}, abs=1e-9)
        assert of_cell["value"] == pytest.approx(np.mean([function(labels[:, c], logits[:, c]) for c in range(N_CELLS)]), abs=1e-6)
        by_model = np.mean([function(labels[p], logits[p] + model.intercept) for p in peaks])
        assert of_peak["value"] == pytest.approx(by_model, abs=1e-6)


@pytest.mark.parametrize(
    ("knows", "learnt", "words"),
    [
        (
            {"sequence": True, "depth": True},
            "sequence",
            r"^The model learnt sequence: it ranks the test.*so it tells cells",
        ),
        ({"sequence": False, "depth": True}, "depth", r"^The model is no better than depth: .* their depth alone reaches 0\.\d+"),
        ({"sequence": False, "depth": False}, "nothing", r"^The model is no better than chance: .* \(chance 0.500\)"),
    ],
)
def test_three_models_get_three_verdicts(knows, learnt, words):
    verdict = judge(held_out(**knows))
    assert verdict["learnt"] == learnt
    assert pd.Series([verdict["statement"]]).str.contains(words).all(), verdict["statement"]


def test_a_model_that_knows_only_how_open_a_peak_is_does_not_beat_depth():
    model = held_out(sequence=True, depth=True)
    same_in_all_cells = np.full_like(model.embedding, 1)
    openness = np.asarray(model.labels.mean(axis=1)).repeat(4, axis=1).astype(np.float32)
    verdict = judge(HeldOut(**{**vars(model), "embedding": same_in_all_cells, "peak_embedding": openness}))
    assert verdict["learnt"] == "sequence"
    assert "so it hardly tells cells of the same depth apart" in verdict["statement"]


def test_p_values_of_models_without_signal_are_uniform():
    p_values = []
    for seed in range(60):
        model = held_out(sequence=False, depth=True, seed=seed)
        scores = model.peak_embedding @ model.embedding.T
        p, permuted = exchange_test(model.labels.toarray() > 0, scores, [np.arange(N_PEAKS)], np.random.default_rng(seed))
        assert permuted == pytest.approx(0.5, abs=0.01)
        p_values.append(p)
    # The standard error of the mean of 60 uniform numbers is 0.037.
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.15)
    assert np.mean(np.array(p_values) < 0.1) < 0.3


def test_cells_of_the_same_depth_are_exchanged_and_the_statistic_is_the_mean_auroc():
    rng = np.random.default_rng(0)
    depth = rng.random(35)
    groups = same_depth(depth)
    assert sorted(np.concatenate(groups)) == list(range(35))
    assert [len(group) for group in groups] == [5] * 7
    assert all(depth[first].max() < depth[second].min() for first, second in zip(groups, groups[1:], strict=False))
    labels, scores = rng.random((35, 8)) < 0.4, rng.integers(0, 5, (35, 8)).astype(float)
    alone = [np.array([row]) for row in range(35)]  # nothing is exchanged
    p, permuted = exchange_test(labels, scores, alone, rng)
    assert p == 1
    assert permuted == pytest.approx(np.mean([roc_auc_score(labels[:, c], scores[:, c]) for c in range(8)]), abs=1e-12)


def test_no_verdict_without_open_or_without_closed_entries():
    model = held_out(sequence=True, depth=True)
    assert judge(HeldOut(**{**vars(model), "labels": sparse.csr_matrix(model.labels.shape, dtype=np.float32)})) is None


def test_depth_and_gc_are_those_of_the_prepared_peaks(toy_matrix, toy_fasta, toy_sequences, tmp_path):
    import scbasset_zoo as sz

    prepared = sz.prepare(toy_matrix(), genome=toy_fasta, assembly="toy", out=tmp_path / "p", split="60/20/20", quiet=True)
    rows = prepared.rows("test")
    k = np.zeros((len(rows), 2), np.float32), np.zeros((prepared.n_cells, 2), np.float32), np.zeros(prepared.n_cells, np.float32)
    peaks = held_out_peaks(prepared, "test", *k)
    assert peaks.depth.tolist() == prepared.labels(prepared.rows("train")).toarray().sum(axis=0).tolist()
    windows = [
        toy_sequences[chrom].upper()[max(0, start) : start + prepared.sequence_length]
        for chrom, start in prepared.peaks.loc[rows, ["chrom", "window_start"]].itertuples(index=False)
    ]
    expected = [(window.count("G") + window.count("C")) / prepared.sequence_length for window in windows]
    np.testing.assert_allclose(np.abs(peaks.gc), expected, atol=1e-12)


def test_overfitting_is_said_in_words():
    history = pd.DataFrame({"epoch": [1, 2, 3], "auroc": [0.5, 0.6, 0.8], "validation_auroc": [0.5, 0.62, 0.6]})
    assert compare_with_validation(history, 2) == (
        "Epoch 2: training AUROC 0.600, validation AUROC 0.620 (mean over cells, chance 0.500)."
    )
    assert "The validation AUROC was highest at epoch 2 (0.620), so the network has begun" in compare_with_validation(history, 3)
    later = history.assign(validation_auroc=[0.5, 0.55, 0.6])
    assert compare_with_validation(later, 2).endswith(" The validation AUROC was highest later, at epoch 3 (0.600).")
    without = history.assign(validation_auroc=np.nan)
    assert compare_with_validation(without, 3).startswith("Epoch 3: training AUROC 0.800, validation AUROC nan")
