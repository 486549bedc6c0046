"""Motifs come from MEME files, JASPAR and plugins as they are; what is malformed is named with its line."""

import numpy as np
import pytest
from Bio import motifs as bio_motifs
from scbasset_zoo_plugins.motifs.loading import READERS, load_motifs
from scbasset_zoo_plugins.motifs.meme import read_meme
from scbasset_zoo_plugins.motifs.motif import Motif

from scbasset_zoo import hookimpl, plugin_manager
from scbasset_zoo.errors import InputError

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n\n"
ROWS = "0.7 0.1 0.1 0.1\n0.25 0.25 0.25 0.25\n0 0 1 0\n"
MATRIX = "letter-probability matrix: alength= 4 w= 3 nsites= 20 E= 0\n" + ROWS


def written(folder, text):
    path = folder / "motifs.meme"
    path.write_text(text)
    return path


def test_a_file_is_read_as_biopython_reads_it(tmp_path):
    rng = np.random.default_rng(0)
    text = HEAD
    for number in range(5):
        pwm = rng.dirichlet([0.5] * 4, size=6 + number)
        rows = "\n".join("  ".join(f"{p:.6f}" for p in row) for row in pwm)
        text += f"MOTIF M{number} TF{number}\nletter-probability matrix: alength= 4 w= {len(pwm)} nsites= 20 E= 0\n{rows}\n\n"
    path = written(tmp_path, text)
    with path.open() as file:
        expected = bio_motifs.parse(file, "minimal")
    found = read_meme(path)
    assert [motif.name for motif in found] == [f"M{i}" for i in range(5)]
    assert [motif.tf for motif in found] == [f"TF{i}" for i in range(5)]
    for motif, other in zip(found, expected, strict=True):
        # Biopython turns probabilities into counts of 20 sites, and those are rounded.
        np.testing.assert_allclose(motif.pwm, np.array([other.pwm[base] for base in "ACGT"]).T, atol=0.06)
        np.testing.assert_allclose(motif.pwm.sum(axis=1), 1, atol=1e-12)


def test_every_motif_of_cisbp_is_read_with_its_factor(shared_data):
    found = read_meme(shared_data / "motifs" / "cisbp_1.02_homo_sapiens.meme")
    assert len(found) == 734
    assert (found[0].name, found[0].tf) == ("M0085_1.02", "TFAP2E")
    assert {"CEBPA", "GATA1", "SPI1"} <= {motif.tf for motif in found}
    np.testing.assert_allclose(found[0].pwm[0], [0.213214, 0.176319, 0.135951, 0.474516], atol=1e-6)


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_motif_line_as_meme_writes_it_has_a_name_and_a_factor(tmp_path, mark, end):
    line = "MOTIF ACGT MEME-1\twidth =   4  sites =  20  llr = 100  E-value = 1.7e-005"
    rows = ["letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 1", "1 0 0 0", "0 1 0 0", "-----"]
    text = mark + end.join(["MEME version 5.5.0", "ALPHABET= ACGT", line, *rows, ""])
    (tmp_path / "meme.txt").write_bytes(text.encode())
    (motif,) = load_motifs(str(tmp_path / "meme.txt"))
    assert (motif.name, motif.tf, len(motif.pwm)) == ("ACGT", "MEME-1", 2)


def test_a_matrix_without_a_width_ends_where_the_numbers_end(tmp_path):
    for between in ("\n", ""):
        text = HEAD + "MOTIF A\nletter-probability matrix:\n" + ROWS + between + "MOTIF B\n" + MATRIX
        assert [len(motif.pwm) for motif in read_meme(written(tmp_path, text))] == [3, 3]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("MOTIF A\n" + MATRIX, "MEME version"),
        (HEAD, "no motif"),
        (HEAD.replace("ACGT", "ACDEFGHIKLMNPQRSTVWY") + "MOTIF A\n" + MATRIX, "line 3: the alphabet"),
        (HEAD + "MOTIF A\nURL nowhere\nMOTIF B\n" + MATRIX, "motif A has no letter-probability matrix"),
        (HEAD + "MOTIF A\n" + MATRIX.replace("w= 3", "w= 4"), "the matrix has 3 rows; its header says w= 4"),
        (
            HEAD + "MOTIF A\n" + MATRIX.replace("w= 3", "w= 2"),
            "line 12 is one more row of the matrix, '0 0 1 0'",
        ),
        (HEAD + "MOTIF A\n" + MATRIX.replace("0.1 0.1 0.1\n", "0.1 0.1\n"), "row 1 of the matrix (line 10)"),
        (HEAD + "MOTIF A\n" + MATRIX.replace("0.7", "0.2"), "position 1 of A must be 4 probabilities"),
        (HEAD + "MOTIF A\n" + MATRIX.replace("0 0 1 0", "0 0 1.5 -0.5"), "position 3 of A"),
        (HEAD + "MOTIF A\n" + MATRIX.replace("0.7", "nan"), "position 1 of A"),
        (HEAD + "MOTIF A\n" + MATRIX + "MOTIF A\n" + MATRIX, "twice"),
        (HEAD + "MOTIF A one\n" + MATRIX + "MOTIF A two\n" + MATRIX, "two motifs have the identifier A"),
        (HEAD + MATRIX, "expected a MOTIF line above each matrix"),
    ],
)
def test_malformed_files_are_refused_with_the_place(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(InputError, match=f"(?s)motifs.meme.*{message.replace('(', '[(]').replace(')', '[)]')}"):
        read_meme(path)


MOTIF = "MOTIF A TF\n" + MATRIX


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("MOTIF\tMA1.1\tSPI1", ("MA1.1", "SPI1")),
        ("MOTIF  1\twidth =   19   sites =  18  llr = 193   E-value = 1.9e-004", ("1", "1")),
        ("MOTIF 1-ACGT STREME-1 nsites= 20", ("1-ACGT", "STREME-1")),
        ("MOTIF MA0045.1 HMG-I/Y", ("MA0045.1", "HMG-I/Y")),
    ],
)
def test_a_motif_line_has_an_identifier_and_a_factor(tmp_path, line, names):
    (motif,) = read_meme(written(tmp_path, HEAD + line + "\n" + MATRIX))
    assert (motif.name, motif.tf) == names


@pytest.mark.parametrize(
    "text",
    [
        HEAD + MOTIF.replace(": ", ":\t").replace("= ", "=\t").replace(" ", "\t"),
        HEAD + MOTIF.replace("= ", "="),
        HEAD + MOTIF.replace("alength= 4 w= 3 nsites= 20 E= 0", ""),
        (HEAD + MOTIF).replace("\n", "\n\n"),
        HEAD + "MOTIF A TF\nlog-odds matrix: alength= 4 w= 3\n" + "12 -5 -7 3\n" * 3 + MATRIX + "URL http://a.b\n",
        HEAD.replace("= ACGT", "=\tACGT").replace("MEME version", "MEME\tversion") + MOTIF,
        HEAD.replace("ALPHABET= ACGT\n", "") + MOTIF,
        HEAD.replace(
            "ALPHABET= ACGT",
            'ALPHABET "DNA=~" DNA-LIKE\nA "Adenine" CC0000 ~ T "Thymine" 0000CC\nC "Cytosine" 0000CC ~ G "Guanine" FFB300\n'
            'N "Any = base" = ACGT\nX = ACGT\nU = T\nEND ALPHABET',
        )
        + MOTIF,
        HEAD.replace("= ACGT", "= ACGU").replace("G 0.25 T", "G 0.25 U") + MOTIF,
    ],
)
def test_one_matrix_is_read_from_every_way_to_write_it(tmp_path, text, capsys):
    (motif,) = read_meme(written(tmp_path, text))
    assert (motif.name, motif.tf) == ("A", "TF")
    np.testing.assert_allclose(motif.pwm, [[0.7, 0.1, 0.1, 0.1], [0.25] * 4, [0, 0, 1, 0]], atol=1e-12)
    assert ("U is read as T" in capsys.readouterr().err) == ("ACGU" in text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD.replace("= ACGT", "= ACDEFGHIKLMNPQRSTVWY") + MOTIF, "line 3: the alphabet must be ACGT; found .* of proteins"),
        (
            HEAD.replace("= ACGT", ' "DNA with 5mC"\nA "A" ~ T "T"\nC "C" ~ G "G"\nm "5mC" ~ 1 "1"\nEND ALPHABET') + MOTIF,
            "found '1ACGTm'",
        ),
        (HEAD + MOTIF.replace("alength= 4", "alength= 20"), "line 9, motif A: expected 4 columns.*alength= 20"),
        (HEAD + MOTIF.replace("0.7 0.1 0.1 0.1", "70 10 10 10").replace("0.25", "25").replace("1 0", "9 0"), "may be counts"),
        (HEAD + MOTIF.replace("0.7 0.1", "1.7 -0.9"), "sum to 1 within 0.02; found .*may be log-odds"),
        (
            HEAD + MOTIF.replace("letter-probability", "log-odds"),
            "motif A has no letter-probability matrix, only a log-odds matrix",
        ),
        (HEAD + MOTIF.replace("0.25 0.25 0.25 0.25", "0.25 0.25 0.25 O.25"), "row 2 of the matrix .line 11."),
        (HEAD + MOTIF.replace(" w= 3", "").replace("0.25 0.25 0.25 0.25", "O.25 0.25 0.25 0.25"), "row 2 of the matrix .line 11."),
        (HEAD + MOTIF.replace("0.25 0.25 0.25 0.25", "0,25 0,25 0,25 0,25"), "row 2 of the matrix .line 11."),
        (HEAD + MOTIF + MOTIF.replace("TF", "TF2"), "line 13: two motifs have the identifier A; it occurs twice, first on line 8"),
        (HEAD + MOTIF + "MOTIF\n" + MATRIX, "line 13: expected a name after MOTIF"),
        (">MA0001.1\tAGL3\nA  [ 0  3 79 ]\nC  [94 75  4 ]\n", "not a MEME file.*JASPAR or FASTA.*jaspar2meme"),
        (">ASTTCCTCTT\tELF1(ETS)/Jurkat\t8.47\t-1718.24\n0.5\t0.1\t0.2\t0.2\n", "not a MEME file.*HOMER"),
        ("AC  M00001\nXX\nID  V$MYOD_01\nP0      A      C      G      T\n01  1 2 2 0 S\n//\n", "not a MEME file.*transfac2meme"),
        ("Pos\tA\tC\tG\tT\n1\t0.2\t0.2\t0.3\t0.3\n", "not a MEME file.*CIS-BP"),
        ("", "not a MEME file: it has no line"),
    ],
)
def test_other_files_and_matrices_are_refused_with_what_they_are(tmp_path, text, message):
    with pytest.raises(InputError, match=f"motifs.meme.*{message}"):
        read_meme(written(tmp_path, text))


def test_instances_follow_the_matrix():
    pwm = np.array([[0.7, 0.1, 0.1, 0.1], [0, 0, 1, 0]])
    motif = Motif("A", "A", pwm)
    drawn = motif.sample(20_000, np.random.default_rng(0))
    np.testing.assert_allclose([(drawn[:, 0] == base).mean() for base in range(4)], pwm[0], atol=0.015)
    assert (drawn[:, 1] == 2).all()
    assert motif.consensus.tolist() == [0, 2]


def test_jaspar_is_loaded_by_name_and_motifs_chosen_by_factor():
    found = load_motifs("jaspar-vertebrates", ["SPI1", "MA0139.2"])
    assert {motif.tf.upper() for motif in found} == {"SPI1", "CTCF"}
    # GGAA, which every ETS factor binds, on either strand
    spi1 = next(motif for motif in found if motif.tf.upper() == "SPI1")
    letters = "".join("ACGT"[code] for code in spi1.consensus)
    assert "GGAA" in letters or "TTCC" in letters


def test_the_suffix_chooses_the_reader_and_other_files_are_read_as_meme(tmp_path, monkeypatch):
    path = written(tmp_path, HEAD + "MOTIF A TF1\n" + MATRIX)
    monkeypatch.setitem(READERS, ".pfm", lambda path: [Motif("B", "B", np.eye(4))])
    assert [motif.name for motif in load_motifs(path.rename(tmp_path / "motifs.txt"))] == ["A"]
    (tmp_path / "motifs.pfm").write_text("")
    assert [motif.name for motif in load_motifs(tmp_path / "motifs.pfm")] == ["B"]


def test_unknown_sources_names_and_wide_motifs_are_refused(tmp_path):
    path = written(tmp_path, HEAD + "MOTIF A TF1\n" + MATRIX)
    with pytest.raises(InputError, match="neither a MEME file nowhere.meme nor a motif collection.*jaspar"):
        load_motifs("nowhere.meme")
    with pytest.raises(InputError, match="no motif TF2; there are TF1"):
        load_motifs(path, ["TF2"])
    with pytest.raises(InputError, match="motifs.meme: no motif is chosen, since the list of names is empty"):
        load_motifs(path, [])
    with pytest.raises(InputError, match="A is 3 bp wide; the model's sequences have 2 bp"):
        load_motifs(path, max_width=2)


class Collection:
    """A plugin with a collection of its own."""

    def __init__(self, read):
        self.read = read

    @hookimpl
    def register_motif_collections(self):
        return {"mine": self.read}


@pytest.fixture
def registered():
    names = []

    def register(read):
        plugin_manager.register(Collection(read), "a-collection")
        names.append("a-collection")

    yield register
    for name in names:
        plugin_manager.unregister(name)


def test_a_plugin_brings_a_collection(registered):
    registered(lambda: {"X1 FOO": [[1, 0, 0, 0], [0, 0.5, 0.5, 0]]})
    (motif,) = load_motifs("mine")
    assert (motif.name, motif.tf) == ("X1", "FOO")
    np.testing.assert_array_equal(motif.pwm, [[1, 0, 0, 0], [0, 0.5, 0.5, 0]])


@pytest.mark.parametrize("values", [{}, {"X": [[1, 0, 0]]}, {"X": [[1, 1, 0, 0]]}])
def test_a_plugins_malformed_collection_is_refused_by_name(registered, values):
    registered(lambda: values)
    with pytest.raises(InputError, match="collection mine"):
        load_motifs("mine")


def test_a_plugin_that_returns_no_functions_is_reported_and_left_out(registered, capsys):
    registered("not a function")
    assert "mine" not in plugin_manager.motif_collections().names()
    assert "functions by name" in capsys.readouterr().err
