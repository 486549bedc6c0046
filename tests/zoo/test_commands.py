"""The commands of the zoo: list, search, pull, index, publish, verify and info."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from scbasset_zoo.cli.main import app


def command(*arguments):
    """Run a command. Return its result and the text of the error that ended it."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result, str(result.exception) if result.exception else ""


def test_the_commands(lab, packages, tmp_path):
    done, _ = command("list", "--tag", "blood")
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["name", "lab/blood@0.9.0", "lab/blood@0.10.0"]
    done, _ = command("search", "toy2", "--json")
    assert [(m["id"], m["on_this_machine"]) for m in json.loads(done.stdout)] == [("lab/brain", True)]
    assert command("pull", "lab/brain")[0].stdout.strip() == str(lab / "models/brain")
    assert command("verify", "lab/brain")[0].stdout == "lab/brain: OK\n"
    assert "lab/brain" in command("info", "lab/brain")[0].stdout
    done, _ = command("publish", packages["new"], tmp_path / "source")
    assert done.stdout.startswith("lab/blood@0.10.0: ")
    done, _ = command("index", tmp_path / "source")
    assert done.stdout.splitlines()[-1].endswith("index.json: 1 model")
    assert "no source 'x'" in command("list", "--source", "x")[1]


def test_verify_json_prints_json_also_for_errors(lab, tmp_path):
    for model, problem in (("nosuch", "There is no model 'nosuch'"), (tmp_path / "nothing", "is not a folder"), (lab, "card.yaml")):
        done, _ = command("verify", model, "--json")
        result = json.loads(done.stdout)
        assert done.exit_code == 1
        assert result["ok"] is False
        assert result["findings"][0]["file"] == str(model)
        assert problem in result["findings"][0]["problem"]


def test_info_of_a_model_that_a_recipe_makes_downloads_nothing(configure):
    configure()
    done, _ = command("info", "scbasset/buenrostro2018")
    assert done.stdout.startswith("scbasset/buenrostro2018 1.0.0: The published scBasset model of 2,034")
    assert "assembly hg19, licence NOASSERTION" in done.stdout
    assert "scbasset-zoo pull scbasset/buenrostro2018" in done.stdout
