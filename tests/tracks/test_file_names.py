"""Any names of groups become file names that differ."""

from scbasset_zoo.tracks.file_names import LONGEST, file_names


def test_names_with_slashes_spaces_and_other_letters():
    assert file_names(["CD4+ T", "../etc/passwd", "B-Zelle ü", "", "..", "plain.1"], ".bw") == [
        "CD4+_T.bw",
        "etc_passwd.bw",
        "B-Zelle.bw",
        "track.bw",
        "track-2.bw",
        "plain.1.bw",
    ]


def test_names_that_would_be_the_same_get_a_number_and_a_name_without_change_keeps_its_own():
    names = file_names(["a/b", "a b", "a_b", "A_B", "a_b-3"], ".bw")
    assert names == ["a_b-4.bw", "a_b-5.bw", "a_b.bw", "A_B-2.bw", "a_b-3.bw"]


def test_long_names_stay_distinct():
    names = file_names(["x" * 300, "x" * 299], ".bw")
    assert len(set(names)) == 2
    assert max(map(len, names)) <= LONGEST + 5
