"""Every regular expression of the project takes time that grows no faster than a text, whatever the text is.

The patterns are collected from the source, so a new one is tested, too. The limit is generous: with a time that grows as the
square of the length, a text of LENGTH letters takes seconds, and otherwise milliseconds.
"""

import ast
import re
import time
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("scbasset_zoo", "export/scbasset_zoo_export", "plugins/scbasset_zoo_plugins")
CALLS = {"compile", "match", "search", "fullmatch", "sub", "split", "findall", "finditer"}
LENGTH, MOST_SECONDS = 40_000, 0.3
QUADRATIC = r" +x"


def patterns():
    """Return the source of every pattern that is written as a text, and the methods with which it is used in its file."""
    collected = {}
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        source = path.read_text()
        for node in ast.walk(ast.parse(source)):
            for text, methods in _patterns_of(node, source):
                collected.setdefault(text, set()).update(methods)
    return collected


def _patterns_of(node, source):
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "re":
        if node.func.attr in CALLS and node.args and isinstance(node.args[0], ast.Constant):
            yield node.args[0].value, _methods(node, source)
    elif isinstance(node, ast.keyword) and node.arg == "pattern" and isinstance(node.value, ast.Constant):
        yield node.value.value, {"search"}  # pydantic searches, in Rust and without backtracking
    elif isinstance(node, ast.Tuple) and node.elts and isinstance(node.elts[0], ast.Constant):
        text = node.elts[0].value
        # Tables of patterns, such as those of file_kinds.py.
        if isinstance(text, bytes) or (isinstance(text, str) and re.search(r"\\[sdwb]|\.\*|\[\^", text)):
            yield text, {"match"}


def _methods(call, source):
    if call.func.attr != "compile":
        return {call.func.attr}
    names = re.findall(rf"^\s*(\w+)\b[^=\n]* = {re.escape('re.compile(')}", source, re.MULTILINE)
    # In a loop over several patterns, the variable is called `pattern`.
    used = {method for name in [*names, "pattern"] for method in re.findall(rf"\b{name}\.(\w+)\(", source)} & CALLS
    return used or {"search"}


PATTERNS = patterns() | {QUADRATIC: {"search"}}


def hostile(pattern):
    """Yield long texts that repeat one or two of the letters that a pattern names, with a beginning and an end that may not fit."""
    text = pattern.decode("latin-1") if isinstance(pattern, bytes) else pattern
    own = sorted({letter for letter in text if letter not in "\\^$*+?()[]{}|"})
    units = [*own, *' \t\naA0.,-"\\', *("".join(pair) for pair in product([*own[-6:], *' a0,"'], repeat=2))]
    for start, unit in [("", unit) for unit in units] + list(product([*own, '"', "("], " a0")):
        for end in ("", "\n!"):
            yield (start + unit * (LENGTH // len(unit)))[:LENGTH] + end


@pytest.mark.parametrize("pattern", sorted(PATTERNS.keys() - {QUADRATIC}, key=repr))
def test_a_pattern_takes_linear_time(pattern):
    compiled = re.compile(pattern)
    for text in hostile(pattern):
        given = text.encode("latin-1", "replace") if isinstance(pattern, bytes) else text
        for method in PATTERNS[pattern]:
            start = time.process_time()
            _use(compiled, method, given)
            assert time.process_time() - start < MOST_SECONDS, (pattern, method, text[:20])


def test_the_test_finds_a_pattern_of_quadratic_time():
    with pytest.raises(AssertionError):
        test_a_pattern_takes_linear_time(QUADRATIC)


def _use(compiled, method, text):
    if method == "sub":
        compiled.sub(text[:0], text)
    else:
        result = getattr(compiled, method)(text)
        if method == "finditer":
            # No match is kept: thousands of them would make Python search all its objects for garbage, which takes up to a second.
            for _ in result:
                pass
