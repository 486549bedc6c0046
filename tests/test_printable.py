"""Texts from outside cannot control the terminal, forge a line or show a password."""

import pytest

from scbasset_zoo.cli.output import answer
from scbasset_zoo.errors import InputError, PackageError, SourceError
from scbasset_zoo.printable import printable, printable_field, without_secrets
from scbasset_zoo.progress import say


@pytest.mark.parametrize(
    "letter", ["\x1b", "\r", "\x9b", "\u202e", "\u2066", "\u200b", "\u2028", "\ufe0f", "\u0663", "\u3164", "\ud800"]
)
def test_letters_that_deceive_are_escaped(letter, capsys):
    assert letter not in printable_field(f"a{letter}b")
    say(f"a{letter}b")
    answer(f"a{letter}b")
    out, err = capsys.readouterr()
    assert letter not in out + err


def test_plain_text_of_other_languages_stays():
    assert printable_field("Zürich, β-Zellen, 細胞, µm²") == "Zürich, β-Zellen, 細胞, µm²"


def test_no_line_of_a_message_looks_like_a_new_message():
    assert printable("bad id x\nerror: forged\n  listed") == "bad id x\n  error: forged\n  listed"
    assert printable_field("a\nb") == "a\\nb"


@pytest.mark.parametrize(
    "url",
    [
        "https://me:SECRET@host/x",
        "s3://SECRET@host",
        "https://h/x?token=SECRET&a=1",
        "https://h/x?a=1&X-Amz-Signature=SECRET",
        "https://h/?access_token=SECRET",
    ],
)
def test_errors_show_no_passwords(url):
    for kind in (InputError, SourceError):
        assert "SECRET" not in str(kind(f"{url}: cannot be reached"))
    assert "SECRET" not in printable(url)
    assert without_secrets("https://host/a?x=1") == "https://host/a?x=1"


def test_errors_are_safe_to_print_by_python_itself():
    text = str(PackageError("a\x1b[2Jb\u202e\nerror: forged"))
    assert text == "a\\x1b[2Jb\\u202e\n  error: forged"
