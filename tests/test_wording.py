"""Messages name options as the user writes them."""

import pytest

from scbasset_zoo.wording import command_line, option


@pytest.mark.parametrize(
    ("arguments", "keyword", "flag"),
    [
        (("min_cell_fraction",), "min_cell_fraction", "--min-cell-fraction"),
        (("min_peaks_per_cell", 1), "min_peaks_per_cell=1", "--min-peaks-per-cell 1"),
        (("device", "cpu"), "device='cpu'", "--device cpu"),
        (("overwrite", True), "overwrite=True", "--overwrite"),
        (("seed", 0), "seed=0", "--seed 0"),
        (("freeze_trunk", False), "freeze_trunk=False", "--no-freeze-trunk"),
    ],
)
def test_an_option_is_a_keyword_in_python_and_a_flag_on_the_command_line(arguments, keyword, flag):
    assert option(*arguments) == keyword
    with command_line():
        assert option(*arguments) == flag
    assert option(*arguments) == keyword


def test_an_error_on_the_command_line_does_not_change_later_messages():
    def fail():
        with command_line():
            raise ValueError(option("seed"))

    with pytest.raises(ValueError, match="--seed"):
        fail()
    assert option("seed") == "seed"
