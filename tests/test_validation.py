"""Problems of fields and options are reported in words, each with its place and its value."""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from scbasset_zoo.validation import field_problems, option_problems
from scbasset_zoo.wording import command_line


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    sizes: dict[Annotated[str, Field(min_length=2)], int] = {}
    names: Annotated[list[str], Field(min_length=1)] = ["a"]


class Whole(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    n_cells: Annotated[int, Field(ge=1)]
    part: Part = Part()
    kind: str = "plain"

    @field_validator("kind")
    @classmethod
    def _is_known(cls, value):
        if value != "plain":
            raise ValueError(f"{value!r} must be 'plain'")
        return value

    @model_validator(mode="after")
    def _fits(self):
        if self.n_cells == 13:
            raise ValueError("13 cells do not fit")
        return self


def error_of(values):
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate(values)
    return caught.value


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "n_cells: is missing"),
        ({"n_cells": 0}, "n_cells: must be at least 1; found 0"),
        ({"n_cells": "5"}, "n_cells: must be a whole number; found '5'"),
        ({"n_cells": [1]}, "n_cells: must be a whole number"),
        ({"n_cells": 1, "part": {"colour": "red"}}, "part.colour: unknown key; remove it or check its spelling"),
        ({"n_cells": 1, "part": {"sizes": {"a": 1}}}, "part.sizes.a: must have 2 or more letters; found 'a'"),
        ({"n_cells": 1, "part": {"names": []}}, "part.names: must have 1 or more entries"),
        ({"n_cells": 1, "part": {"names": [7]}}, "part.names.0: must be a text; found 7"),
        ({"n_cells": 1, "kind": "other"}, "kind: 'other' must be 'plain'"),
        ({"n_cells": 13}, "13 cells do not fit"),
        ("text", "must be a mapping of names to values; found 'text'"),
    ],
)
def test_a_problem_of_a_field(values, problem):
    assert field_problems(error_of(values)) == [problem]


def test_a_file_that_is_not_json_is_not_shown():
    with pytest.raises(ValidationError) as caught:
        Whole.model_validate_json(b"{" * 100)
    (problem,) = field_problems(caught.value)
    assert problem.startswith("invalid JSON: ")
    assert "found" not in problem


@pytest.mark.parametrize(
    ("values", "in_python", "on_the_command_line"),
    [
        ({}, "n_cells must be given", "--n-cells must be given"),
        ({"n_cells": 0}, "n_cells: must be at least 1; found 0", None),
        (
            {"n_cells": 1, "n_cell": 2},
            "n_cell is not an option; did you mean n_cells?",
            "--n-cell is not an option; did you mean --n-cells?",
        ),
        ({"n_cells": 1, "zzz": 2}, "zzz is not an option", "--zzz is not an option"),
        ({"n_cells": 1, "part": {"kind": 2}}, "part.kind is not an option", "--part.kind is not an option"),
        ({"n_cells": 1, "kind": "other"}, "kind: 'other' must be 'plain'; found 'other'", None),
        ({"n_cells": 13}, "13 cells do not fit", "13 cells do not fit"),
    ],
)
def test_a_problem_of_an_option_is_written_as_the_user_writes_the_option(values, in_python, on_the_command_line):
    error = error_of(values)
    assert option_problems(error, list(Whole.model_fields)) == [in_python]
    if on_the_command_line:
        with command_line():
            assert option_problems(error, list(Whole.model_fields)) == [on_the_command_line]


def test_all_problems_are_reported():
    assert len(field_problems(error_of({"kind": "x", "part": {"colour": 1, "names": 3}}))) == 4


def test_a_value_that_has_none_of_several_types_is_one_problem():
    class Several(BaseModel):
        number: int | Literal["all"] | None = None
        table: Path | list[str] | None = None

    with pytest.raises(ValidationError) as caught:
        Several(number="x", table=3)
    assert option_problems(caught.value, list(Several.model_fields)) == [
        "number: must be a whole number or 'all'; found 'x'",
        "table: must be a path or a list; found 3",
    ]


def test_other_problems_are_in_plain_words_too():
    class Other(BaseModel):
        time: datetime.timedelta | None = None
        names: Sequence[str] | None = None
        even: int = Field(0, multiple_of=2)

    with pytest.raises(ValidationError) as caught:
        Other(time="soon", names=3, even=1)
    first, *others = option_problems(caught.value, list(Other.model_fields))
    assert first.startswith("time: must be ")
    assert others == ["names: must be a list; found 3", "even: must be a multiple of 2; found 1"]
