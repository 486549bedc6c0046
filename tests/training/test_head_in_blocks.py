"""The head in blocks of cells has the loss and gradients of the whole; drawn cells have them on average."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

from scbasset_zoo.training.block_entries import DrawnCells, in_blocks
from scbasset_zoo.training.tensorflow_setup import require_tensorflow

require_tensorflow()
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from scbasset_zoo.training import head_in_blocks  # noqa: E402
from scbasset_zoo.training.drawn_adam import DrawnAdam  # noqa: E402
from scbasset_zoo.training.head_in_blocks import Cells, Entries, cells_in_block, head_gradients, pays  # noqa: E402

N_PEAKS, N_CELLS, SIZE, N_BATCHES = 11, 103, 5, 3
L2 = 0.003


@pytest.fixture(scope="module")
def case():
    rng = np.random.default_rng(0)
    return SimpleNamespace(
        labels=rng.random((N_PEAKS, N_CELLS)) < 0.1,
        peak_embedding=rng.normal(size=(N_PEAKS, SIZE)).astype(np.float32),
        kernel=rng.normal(size=(N_CELLS, SIZE)).astype(np.float32),
        bias=rng.normal(-2, 1, N_CELLS).astype(np.float32),
        batch_logits=rng.normal(size=(N_PEAKS, N_BATCHES)).astype(np.float32),
        batch_of_cell=rng.integers(0, N_BATCHES, N_CELLS).astype(np.int32),
    )


def whole(case, with_batches, cells=slice(None), l2=L2):
    """Loss and gradients by Keras on dense labels: of the peak embedding, batch logits, kernel and bias."""
    inputs = [tf.constant(a) for a in (case.peak_embedding, case.batch_logits, case.kernel[cells], case.bias[cells])]
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        embedding, batch_logits, kernel, bias = inputs
        logits = embedding @ tf.transpose(kernel) + bias
        if with_batches:
            logits += tf.gather(batch_logits, case.batch_of_cell[cells], axis=1)
        labels = case.labels[:, cells].astype(np.float32)
        loss = tf.reduce_mean(keras.losses.binary_crossentropy(labels, logits, from_logits=True))
        loss += l2 * tf.reduce_sum(tf.square(kernel))
    return loss.numpy(), [None if g is None else g.numpy() for g in tape.gradient(loss, inputs)]


def in_parts(case, with_batches, block, cells=slice(None), l2=L2, gradients=True):
    peak, cell = (index.astype(np.int32) for index in np.nonzero(case.labels[:, cells]))
    kernel = case.kernel[cells]
    return tf.function(head_gradients, autograph=False)(
        tf.constant(case.peak_embedding),
        tf.constant(case.batch_logits) if with_batches else None,
        Cells(tf.constant(kernel), tf.constant(case.bias[cells]), tf.constant(case.batch_of_cell[cells])),
        Entries(*map(tf.constant, in_blocks(peak, cell, len(kernel), block))),
        block=block,
        l2=l2,
        gradients=gradients,
    )


@pytest.fixture(params=["compiled loops", "tensorflow"])
def on_device(request, monkeypatch):
    """The compiled loops of CPUs, and the operations of TensorFlow that GPUs compute with."""
    monkeypatch.setattr(head_in_blocks, "sees_gpu", lambda: request.param == "tensorflow")


@pytest.mark.parametrize("with_batches", [False, True])
@pytest.mark.parametrize("block", [1, 10, 103, 200])
@pytest.mark.usefixtures("on_device")
def test_loss_and_gradients_over_blocks_are_those_of_the_whole(case, with_batches, block):
    loss, expected = whole(case, with_batches)
    blocks = in_parts(case, with_batches, block)
    assert float(blocks.loss) == pytest.approx(loss, rel=1e-5)
    for ours, theirs in zip(blocks[1:], expected, strict=True):
        if theirs is None:
            assert ours is None
        else:
            assert np.abs(ours.numpy() - theirs).max() < 1e-5 * np.abs(theirs).max()
    without = in_parts(case, with_batches, block, l2=0.0, gradients=False)
    assert float(without.loss) == pytest.approx(whole(case, with_batches, l2=0)[0], rel=1e-5)
    assert without.kernel is None


@pytest.mark.usefixtures("on_device")
def test_large_logits_have_the_loss_and_gradients_of_the_whole(case):
    large = SimpleNamespace(**{**vars(case), "bias": np.linspace(-70, 70, N_CELLS).astype(np.float32)})
    loss, expected = whole(large, False)
    blocks = in_parts(large, False, 10)
    assert float(blocks.loss) == pytest.approx(loss, rel=1e-5)
    assert np.abs(blocks.bias.numpy() - expected[3]).max() < 1e-5 * np.abs(expected[3]).max()


@pytest.mark.usefixtures("on_device")
def test_logits_beyond_any_use_have_a_finite_loss(case):
    beyond = SimpleNamespace(**{**vars(case), "bias": np.full(N_CELLS, 300, np.float32)})
    blocks = in_parts(beyond, False, 10)
    assert np.isfinite(float(blocks.loss))
    assert all(np.isfinite(gradient.numpy()).all() for gradient in (blocks.peak_embedding, blocks.kernel, blocks.bias))


def test_drawn_cells_have_the_full_gradient_on_average(case):
    """Mean over 1,000 draws of 20 cells: within 5 standard errors of the full gradient, for every weight."""
    n_draws, n_drawn = 1_000, 20
    loss, expected = whole(case, True)
    prepared = SimpleNamespace(n_cells=N_CELLS)
    draws = DrawnCells(prepared, n_drawn, seed=1)
    sums = [np.zeros((2, *np.shape(part))) for part in (loss, *expected)]
    step = tf.function(head_gradients, autograph=False)
    constants = [tf.constant(a) for a in (case.peak_embedding, case.batch_logits)]
    for number in range(n_draws):
        cells = draws.draw(0, number)
        peak, cell = (index.astype(np.int32) for index in np.nonzero(case.labels[:, cells]))
        entries = Entries(*map(tf.constant, in_blocks(peak, cell, n_drawn, 8)))
        weights = Cells(*map(tf.constant, (case.kernel[cells], case.bias[cells], case.batch_of_cell[cells])))
        parts = [part.numpy() for part in step(*constants, weights, entries, block=8, l2=L2 * N_CELLS / n_drawn)]
        for place, part in ((3, (N_CELLS, SIZE)), (4, (N_CELLS,))):
            full = np.zeros(part)
            full[cells] = parts[place]
            parts[place] = full
        for total, part in zip(sums, parts, strict=True):
            total += [part, np.square(part)]
    for (total, squares), truth in zip(sums, (loss, *expected), strict=True):
        mean = total / n_draws
        error = np.sqrt((squares / n_draws - np.square(mean)) / n_draws)
        assert (np.abs(mean - truth) < 5 * error + 1e-7).all()
        # The error is small beside the gradient, so that a wrong factor would be seen.
        assert np.mean(error) < 0.25 * np.abs(truth).mean()


def test_draws_repeat_by_seed_epoch_and_step_and_are_without_repeats():
    prepared = SimpleNamespace(n_cells=1000)
    draws = [DrawnCells(prepared, 50, seed).draw(epoch, step) for seed, epoch, step in ((1, 2, 3), (1, 2, 3), (1, 2, 4), (0, 2, 3))]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert all((np.diff(draw) > 0).all() and len(draw) == 50 for draw in draws)
    assert all((draws[0] != other).any() for other in draws[2:])


def test_entries_of_drawn_cells_are_the_columns_of_the_labels():
    labels = sparse.random(9, 200, 0.2, format="csr", random_state=0, dtype=np.float32)
    labels.sort_indices()
    prepared = SimpleNamespace(n_cells=200, indptr=labels.indptr, indices=labels.indices)
    draws = DrawnCells(prepared, 30, 0)
    rows = np.array([4, 0, 7])
    for step in range(2):
        cells = draws.draw(0, step)
        peak, cell = draws.entries(rows, cells)
        expected = np.nonzero(labels[rows][:, cells].toarray())
        np.testing.assert_array_equal((peak, cell), expected)


def test_entries_are_put_in_order_of_blocks():
    rng = np.random.default_rng(0)
    peak, cell = np.sort(rng.integers(0, 9, 500)).astype(np.int32), rng.integers(0, 101, 500).astype(np.int32)
    by_block = in_blocks(peak, cell, 101, 10)
    for block in range(11):
        mine = slice(*by_block[2][block : block + 2])
        np.testing.assert_array_equal(by_block[0][mine], peak[cell // 10 == block])
        np.testing.assert_array_equal(by_block[1][mine], cell[cell // 10 == block])


def test_adam_of_drawn_cells_is_plain_adam_over_the_steps_of_each_cell_and_leaves_the_others():
    rng = np.random.default_rng(0)
    start = rng.normal(size=(6, 3)).astype(np.float32)
    kernel, bias = tf.Variable(start), tf.Variable(np.zeros(6, np.float32))
    adam = DrawnAdam(kernel, bias, 0.95, 0.9995)
    plain = [keras.Variable(start[[cell]]) for cell in range(6)]
    optimizers = [keras.optimizers.Adam(0.01, 0.95, 0.9995, epsilon=1e-7) for _ in range(6)]
    for drawn in ([0, 2], [2, 4], [0, 2], [1, 4]):
        gradient = rng.normal(size=(len(drawn), 3)).astype(np.float32)
        adam.apply(tf.constant(drawn), (tf.constant(gradient), tf.constant(gradient[:, 0])), tf.constant(0.01))
        for row, cell in zip(gradient, drawn, strict=True):
            optimizers[cell].apply([row[None]], [plain[cell]])
    np.testing.assert_allclose(kernel.numpy(), np.concatenate([variable.numpy() for variable in plain]), atol=1e-6)
    np.testing.assert_array_equal(kernel.numpy()[[3, 5]], start[[3, 5]])
    assert adam.n_draws.numpy().tolist() == [2, 1, 3, 0, 2, 0]


@pytest.mark.parametrize(
    ("on_gpu", "whole", "in_blocks", "block_bytes"), [(False, 8_000, 9_000, 2**19), (True, 65_000, 66_000, 2**21)]
)
def test_blocks_are_for_large_batches_of_logits(on_gpu, whole, in_blocks, block_bytes, monkeypatch):
    monkeypatch.setattr(head_in_blocks, "sees_gpu", lambda: on_gpu)
    assert not pays(128, whole)
    assert pays(128, in_blocks)
    block = cells_in_block(128, 1_000_000)
    assert block_bytes // 2 < 128 * block * 4 <= block_bytes + 512
