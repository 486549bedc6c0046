"""The mutation engine gives what full passes of the edited sequences give."""

import threading

import numpy as np
import pytest
from helpers import toy
from helpers.rounding import ROUNDING
from helpers.trunks import draw_trunk, edit_node
from hypothesis import given, settings
from hypothesis import strategies as st

from scbasset_zoo.errors import InputError
from scbasset_zoo.graph.head import read_head
from scbasset_zoo.graph.trunk import extract_trunk
from scbasset_zoo.inputs import dna
from scbasset_zoo.runtime.devices import choose_device, open_session
from scbasset_zoo.runtime.mutations import engine as engine_module
from scbasset_zoo.runtime.mutations.engine import TOLERANCE, InexactMutations, MutationEngine

FULL_WIDTHS = (288, 288, 323, 363, 407, 456, 512, 256)


class FullPasses:
    """`embed` of a trunk by plain onnxruntime; counts the sequences it was given."""

    def __init__(self, trunk):
        self.session = open_session(trunk.SerializeToString(), choose_device("cpu"))
        self.n_sequences = 0

    def __call__(self, codes):
        self.n_sequences += len(codes)
        parts = [
            self.session.run(["peak_embedding"], {"sequence": dna.one_hot(codes[i : i + 32])})[0]
            for i in range(0, max(len(codes), 1), 32)
        ]
        return np.concatenate(parts)


def make_engine(trunk):
    embed = FullPasses(trunk)
    return MutationEngine(trunk, choose_device("cpu"), embed), embed


@pytest.fixture(scope="module")
def small():
    """A trunk of 61 bp whose pools divide no length, where every edit can be tried."""
    return make_engine(draw_trunk())


@pytest.fixture(scope="module")
def narrow():
    """The real network's structure and length, with few channels."""
    return make_engine(extract_trunk(toy.toy_model()))


@pytest.fixture(scope="module")
def full_width():
    """The real network's size with random weights, and its cell embedding."""
    model = toy.toy_model(n_cells=50, widths=FULL_WIDTHS)
    return *make_engine(extract_trunk(model)), read_head(model)[0]


def edited(references, starts, bases, reference):
    """Edited sequences, one after the other."""
    sequences = references[reference].copy()
    for sequence, start, new in zip(sequences, starts, bases, strict=True):
        sequence[start : start + len(new)] = new
    return sequences


def random_edits(rng, n_places, width, length, n_references=2, n_codes=5, n_at_each=1):
    """References, and edits of them, two of them at the ends; N among the bases."""
    references = rng.integers(0, n_codes, (n_references, length), dtype=np.int8)
    starts = rng.integers(0, length - width + 1, n_places)
    starts[:2] = 0, length - width
    bases = rng.integers(0, 5, (n_places * n_at_each, width), dtype=np.int8)
    return references, np.repeat(starts, n_at_each), bases, np.repeat(rng.integers(0, n_references, n_places), n_at_each)


@pytest.mark.parametrize("many_edits", [1, 10**6], ids=["a graph for each phase", "one graph"])
@pytest.mark.parametrize("width", [1, 2, 5, 6, 7, 17, 30, 60, 61])
def test_edits_of_every_position_agree_with_full_passes(small, monkeypatch, width, many_edits):
    monkeypatch.setattr(engine_module, "_MANY_EDITS", many_edits)
    engine, embed = small
    rng = np.random.default_rng(width)
    starts = np.repeat(np.arange(61 - width + 1), 12)
    references = rng.integers(0, 5, (2, 61), dtype=np.int8)
    bases = rng.integers(0, 5, (len(starts), width), dtype=np.int8)
    reference = rng.integers(0, 2, len(starts))
    got = engine.mutate(references, starts, bases, reference=reference)
    np.testing.assert_allclose(got, embed(edited(references, starts, bases, reference)), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize(
    "drawing",
    [
        {"length": 58, "pads": "same"},  # a pool padded before the first position
        {"length": 60, "blocks": ((3, 4, 2), (3, 2, 5), (4, 6, 1))},  # even kernels
        {"length": 40, "blocks": ((3, 3, 1), (3, 1, 2), (4, 1, 1))},  # pointwise, with and without a pool
        {"length": 40, "blocks": ((3, 5, 2),)},
    ],
)
@pytest.mark.parametrize("n_at_each", [1, 3, 4])
def test_other_kernels_pools_and_lengths_agree_with_full_passes(monkeypatch, n_at_each, drawing):
    monkeypatch.setattr(engine_module, "_MANY_EDITS", 150)
    engine, embed = make_engine(draw_trunk(**drawing))
    rng = np.random.default_rng(0)
    for width, n_edits in ((1, 200), (1, 100), (4, 200), (12, 200), (12, 100)):
        references, starts, bases, reference = random_edits(rng, n_edits, width, drawing["length"], n_at_each=n_at_each)
        got = engine.mutate(references, starts, bases, reference=reference)
        np.testing.assert_allclose(got, embed(edited(references, starts, bases, reference)), rtol=0, atol=ROUNDING)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_edit_of_the_real_structure_agrees_with_full_passes(narrow, data):
    engine, embed = narrow
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1), label="seed"))
    width = data.draw(st.integers(1, 60), label="width")
    start = data.draw(st.one_of(st.integers(0, 1344 - width), st.integers(1344 - width - 20, 1344 - width)), label="start")
    references, starts, bases, reference = random_edits(rng, 6, width, 1344)
    starts[2:] = start
    got = engine.mutate(references, starts, bases, reference=reference)
    np.testing.assert_allclose(got, embed(edited(references, starts, bases, reference)), rtol=0, atol=ROUNDING)


def test_edits_of_the_full_width_agree_with_full_passes_in_the_logits(full_width):
    engine, embed, cell_embedding = full_width
    rng = np.random.default_rng(5)
    for width in (1, 20):
        references, starts, bases, reference = random_edits(rng, 24, width, 1344)
        got = engine.mutate(references, starts, bases, reference=reference)
        expected = embed(edited(references, starts, bases, reference))
        assert np.abs((got - expected) @ cell_embedding.T).max() < 1e-4
        changed = (expected - embed(references)[reference]) @ cell_embedding.T
        assert np.abs(changed).max() > 0.1


@pytest.mark.slow
def test_ten_thousand_edits_of_the_full_width_agree_in_the_logits(full_width):
    engine, embed, cell_embedding = full_width
    rng = np.random.default_rng(11)
    worst, n_edits = 0.0, 0
    for width in range(1, 61):
        references, starts, bases, reference = random_edits(rng, 168, width, 1344, n_codes=4 + width % 2)
        got = engine.mutate(references, starts, bases, reference=reference, quiet=True)
        expected = embed(edited(references, starts, bases, reference))
        worst = max(worst, np.abs((got - expected) @ cell_embedding.T).max())
        n_edits += len(got)
    assert n_edits >= 10_000
    assert worst < 1e-4


def test_an_edit_that_changes_nothing_has_no_effect(narrow):
    engine, embed = narrow
    reference = np.random.default_rng(0).integers(0, 5, 1344, dtype=np.int8)
    starts = np.arange(0, 1300, 50)
    bases = np.array([reference[start : start + 20] for start in starts])
    assert (engine.effects(reference, starts, bases) == 0).all()
    got = engine.mutate(reference, starts, bases)
    assert (got == got[0]).all()
    np.testing.assert_allclose(got[0], embed(reference[None])[0], rtol=0, atol=ROUNDING)


def test_effects_are_edits_minus_their_reference(narrow):
    engine, embed = narrow
    references, starts, bases, reference = random_edits(np.random.default_rng(3), 30, 9, 1344)
    expected = embed(edited(references, starts, bases, reference)) - embed(references)[reference]
    got = engine.effects(references, starts, bases, reference=reference)
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING)
    assert np.abs(expected).max() > 1e-3


def test_saturation_mutagenesis_is_every_substitution_minus_the_sequence(small):
    engine, embed = small
    codes = np.random.default_rng(4).integers(0, 4, (2, 61), dtype=np.int8)
    codes[0, [0, 30, 60]] = dna.N
    got = engine.saturation_mutagenesis(codes)
    assert got.shape == (2, 61, 4, 3)
    assert got.dtype == np.float32
    for number, sequence in enumerate(codes):
        mutants = np.repeat(sequence[None], 61 * 4, axis=0)
        mutants[np.arange(61 * 4), np.repeat(np.arange(61), 4)] = np.tile(np.arange(4), 61)
        expected = embed(mutants) - embed(sequence[None])
        np.testing.assert_allclose(got[number].reshape(-1, 3), expected, rtol=0, atol=ROUNDING)
        own = sequence[:, None] == np.arange(4)
        assert (got[number][own] == 0).all()
        assert (np.abs(got[number][~own]).max(axis=1) > 0).mean() > 0.9


def test_saturation_mutagenesis_streams_the_same_numbers(small):
    engine, _ = small
    codes = np.random.default_rng(6).integers(0, 5, (35, 61), dtype=np.int8)
    whole = engine.saturation_mutagenesis(codes)
    blocks = list(engine.saturation_mutagenesis_blocks(codes))
    assert [block.start for block, _ in blocks] == [0, 16, 32]
    for block, values in blocks:
        np.testing.assert_allclose(values, whole[block], rtol=0, atol=ROUNDING)
    assert sum(len(values) for _, values in blocks) == 35


def test_no_sequences_and_no_edits_give_empty_results(small):
    engine, _ = small
    codes = np.zeros((2, 61), np.int8)
    assert engine.saturation_mutagenesis(codes[:0]).shape == (0, 61, 4, 3)
    assert engine.mutate(codes, [], []).shape == (0, 3)


def test_motifs_of_different_widths_go_into_many_references_at_one_place(narrow):
    engine, embed = narrow
    rng = np.random.default_rng(8)
    backgrounds = rng.integers(0, 4, (20, 1344), dtype=np.int8)
    motifs = ["TGACTCA", "CCACNAGGTGGCAG", "GATAA", "A"]
    bases = motifs * len(backgrounds)
    reference = np.repeat(np.arange(len(backgrounds)), len(motifs))
    order = rng.permutation(len(bases))
    got = engine.mutate(backgrounds, 667, [bases[i] for i in order], reference=reference[order])
    new = [dna.encode(bases[i]) for i in order]
    expected = embed(edited(backgrounds, np.full(len(bases), 667), new, reference[order]))
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING)


def test_activations_of_references_are_computed_once_for_all_widths(monkeypatch):
    engine, _ = make_engine(extract_trunk(toy.toy_model()))
    computed, compute = [], engine._compute_activations
    monkeypatch.setattr(engine, "_compute_activations", lambda codes: computed.append(codes) or compute(codes))
    references = np.random.default_rng(6).integers(0, 4, (3, 1344), dtype=np.int8)
    engine.mutate(references, 600, ["A", "ACGT", "ACGTACGTAC", "A" * 40] * 3, reference=np.repeat([0, 1, 2], 4), quiet=True)
    assert sum(np.array_equal(codes, references) for codes in computed) == 1
    assert len(computed) == 1 + 4  # each width is compared with full passes when it is first used


def test_an_error_in_a_run_reaches_the_caller_and_leaves_no_threads(monkeypatch):
    engine, embed = make_engine(extract_trunk(toy.toy_model()))
    references, starts, bases, reference = random_edits(np.random.default_rng(5), 800, 9, 1344)
    expected = engine.mutate(references, starts, bases, reference=reference, quiet=True)
    before, run = threading.active_count(), engine._run_edits
    calls = []

    def fails(*arguments):
        calls.append(arguments)
        if len(calls) == 2:
            raise RuntimeError("broken")
        return run(*arguments)

    monkeypatch.setattr(engine, "_run_edits", fails)
    with pytest.raises(RuntimeError, match="broken"):
        engine.mutate(references, starts, bases, reference=reference, quiet=True)
    assert threading.active_count() == before
    np.testing.assert_array_equal(engine.mutate(references, starts, bases, reference=reference, quiet=True), expected)


def test_one_motif_goes_to_many_places_of_one_sequence_given_as_letters(narrow):
    engine, embed = narrow
    codes = np.random.default_rng(9).integers(0, 4, 1344, dtype=np.int8)
    starts = np.arange(0, 1300, 100)
    got = engine.mutate(dna.decode(codes), starts, "tgactca")
    new = [dna.encode("TGACTCA")] * len(starts)
    expected = embed(edited(codes[None], starts, new, np.zeros(len(starts), int)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING)


def test_full_passes_run_if_they_cost_less():
    engine, embed = make_engine(extract_trunk(toy.toy_model()))
    references = np.random.default_rng(1).integers(0, 4, (3, 1344), dtype=np.int8)
    bases = 3 - references[:, :5]
    got = engine.mutate(references, 0, bases, reference=[0, 1, 2])
    assert embed.n_sequences == 3, "one edit of each reference is one full pass"
    np.testing.assert_allclose(got, embed(edited(references, [0] * 3, bases, np.arange(3))), rtol=0, atol=ROUNDING)
    embed.n_sequences = 0
    engine.effects(np.zeros(1344, np.int8), 0, np.ones((4, 1344), np.int8))
    assert embed.n_sequences == 5, "whole sequences leave nothing to reuse"
    embed.n_sequences = 0
    engine.saturation_mutagenesis(references)
    assert embed.n_sequences < 40, "single bases leave nearly everything: only the self-check makes full passes"


def test_a_trunk_of_another_structure_takes_full_passes_and_one_line_says_so(capsys):
    trunk = edit_node(draw_trunk(), "MaxPool", lambda node: setattr(node, "op_type", "AveragePool"))
    engine, embed = make_engine(trunk)
    rng = np.random.default_rng(0)
    references, starts, bases, reference = random_edits(rng, 20, 3, 61)
    got = engine.mutate(references, starts, bases, reference=reference)
    np.testing.assert_allclose(got, embed(edited(references, starts, bases, reference)), rtol=0, atol=ROUNDING)
    ism = engine.saturation_mutagenesis(references[0])[0]
    own = references[0][:, None] == np.arange(4)
    assert (ism[own] == 0).all()
    mutant = references[:1].copy()
    mutant[0, 7] = (mutant[0, 7] + 1) % 4
    np.testing.assert_allclose(ism[7, mutant[0, 7]], (embed(mutant) - embed(references[:1]))[0], rtol=0, atol=ROUNDING)
    messages = capsys.readouterr().err
    assert messages.count("take full passes") == 1
    assert "AveragePool" in messages


def test_kernels_too_wide_take_full_passes(capsys):
    engine, embed = make_engine(draw_trunk(blocks=((3, 5, 2), (3, 15, 2))))
    assert "Convolution 1 spans 15 positions" in capsys.readouterr().err
    reference = np.random.default_rng(0).integers(0, 4, (1, 61), dtype=np.int8)
    got = engine.mutate(reference, [3, 4, 5], "ACG")
    expected = embed(edited(reference, [3, 4, 5], [dna.encode("ACG")] * 3, np.zeros(3, int)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING)


def test_an_engine_that_differs_from_full_passes_refuses_to_serve():
    trunk = draw_trunk()
    exact = FullPasses(trunk)

    def wrong(codes):
        return exact(codes) + 2 * TOLERANCE

    engine = MutationEngine(trunk, choose_device("cpu"), wrong)
    for _ in range(2):
        with pytest.raises(InexactMutations, match=r"1 bp differ from full passes by up to 0.0002; at most 0.0001"):
            engine.saturation_mutagenesis(np.zeros((1, 61), np.int8))


def test_large_embeddings_may_differ_by_more_because_rounding_grows_with_them():
    """For embeddings of up to 5,000, two orders of the sums differ by 0.001."""
    trunk = draw_trunk(scale=12)
    engine, embed = make_engine(trunk)
    codes = np.random.default_rng(0).integers(0, 4, (20, 61), dtype=np.int8)
    scale = np.abs(embed(codes)).max()
    assert scale > 1_000
    got = engine.mutate(codes[0], np.arange(50), "TTT")
    expected = embed(edited(codes[:1], np.arange(50), [dna.encode("TTT")] * 50, np.zeros(50, int)))
    np.testing.assert_allclose(got, expected, rtol=0, atol=ROUNDING / 10 * scale)

    engine = MutationEngine(trunk, choose_device("cpu"), lambda codes: embed(codes) + scale * TOLERANCE)
    with pytest.raises(InexactMutations, match="6 bp differ from full passes"):
        engine.mutate(codes[0], np.arange(50), "TTT")


@pytest.mark.parametrize(
    ("starts", "bases", "reference", "message"),
    [
        ([0, 59], "ACG", 0, "Edit 1 replaces 3 bases from 59; the sequences have 61 bp"),
        (-1, "A", 0, "Edit 0 replaces 1 bases from -1"),
        (0, ["A", ""], 0, "Edit 1 replaces no base"),
        (0, np.zeros((2, 0), np.int8), 0, "Edit 0 replaces no base"),
        ([1, 2], ["A"] * 3, 0, "found 2 starts, 3 bases, 1 reference"),
        (0, "A", [0, 2], "Edit 1 is of reference 2; there are 2"),
        (0.5, "A", 0, "starts must be one integer"),
        ([[1], [2, 3]], "A", 0, "starts must be one integer, or one integer for each edit; found a nested list"),
        (2**63 - 1, "A", 0, "Edit 0 replaces 1 bases from 9,223,372,036,854,775,807"),
        (0, [[1, 2], [3]], 0, "of the same length"),
        (0, [[7]], 0, r"must lie in 0..4"),
    ],
)
def test_bad_edits_are_refused_before_any_work(small, starts, bases, reference, message):
    engine, embed = small
    before = embed.n_sequences
    with pytest.raises(InputError, match=message):
        engine.mutate(np.zeros((2, 61), np.int8), starts, bases, reference=reference)
    assert embed.n_sequences == before


def test_sequences_of_another_length_are_refused(small):
    engine, _ = small
    with pytest.raises(InputError, match="expected 61 bp"):
        engine.saturation_mutagenesis("ACGT")
    with pytest.raises(InputError, match="expected 61 bp"):
        engine.mutate("ACGT", 0, "A")
