"""Registering the zoo in Kipoi's config.yaml, which keeps all else, and undoing it."""

from pathlib import Path

import pytest
import yaml

from scbasset_zoo.errors import InputError
from scbasset_zoo.kipoi import register, unregister

pytest.importorskip("kipoi")
OTHERS = """\
# my sources
env_db_path: ~/envs.json
model_sources:
    mine:  # at home
        type: local
        local_path: "/data/models"
    # the public one
    kipoi:
        type: git
        remote_url: https://github.com/kipoi/models.git
        local_path: /data/kipoi/
        auto_update: false # slow
    github-permalink:
        type: github-permalink
        local_path: /data/permalink/
"""


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Path of a config.yaml that is not there yet, in a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / ".kipoi").mkdir()
    return tmp_path / ".kipoi/config.yaml"


def sources(config):
    return yaml.safe_load(config.read_text())["model_sources"]


@pytest.mark.parametrize("as_default", [False, True])
def test_others_stay_and_unregister_restores_every_byte(config, as_default):
    config.write_text(OTHERS)
    folder = register(as_default=as_default)
    registered, before = sources(config), yaml.safe_load(OTHERS)["model_sources"]
    ours = {"type": "local", "local_path": str(folder)}
    assert (folder / "scbasset/models.tsv").is_file()
    assert registered["scbasset_zoo"] == ours
    assert registered["mine"] == before["mine"]
    assert registered["kipoi"] == (ours if as_default else before["kipoi"])
    assert before["kipoi"] in registered.values()
    assert [name for name in registered if name in before] == list(before)
    assert yaml.safe_load(config.read_text())["env_db_path"] == "~/envs.json"
    assert "# my sources" in config.read_text()
    once = config.read_bytes()
    register(as_default=as_default)
    assert config.read_bytes() == once
    assert unregister()
    assert config.read_text() == OTHERS
    assert not folder.exists()
    assert not unregister()


@pytest.mark.parametrize("as_default", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "# only\n# comments\n",
        "env_db_path: ~/envs.json\n",
        "model_sources:\n",
        "model_sources:  # none yet\nenv_db_path: ~/envs.json\n",
        "model_sources: {}\n",
        "model_sources: {mine: {type: local, local_path: /data}}  # at home\n",
        "# two spaces\nmodel_sources:\n  mine:\n    type: local\n    local_path: /data",
        OTHERS.replace("\n", "\r\n"),
        "\ufeff" + OTHERS,
    ],
)
def test_whatever_its_form_nothing_is_lost_and_unregister_restores_every_byte(config, text, as_default):
    config.write_bytes(text.encode())
    config.chmod(0o600)
    folder = register(as_default=as_default)
    content = config.read_bytes().decode()
    assert sources(config)["scbasset_zoo"] == {"type": "local", "local_path": str(folder)}
    assert [word for word in text.split() if word.startswith("#") and word not in content] == []
    assert content.count("\r\n") == (content.count("\n") if "\r\n" in text else 0)
    assert {path.stat().st_mode & 0o777 for path in config.parent.iterdir()} == {0o600}
    assert unregister()
    assert config.read_bytes() == text.encode()
    assert list(config.parent.iterdir()) == [config]


@pytest.mark.parametrize("as_default", [False, True])
def test_what_was_added_since_stays_after_unregister(config, as_default):
    config.write_text(OTHERS)
    register(as_default=as_default)
    added = "# added\nmore: 1\n# the end\n"
    config.write_text(config.read_text() + added)
    assert unregister()
    assert config.read_text().count("#") == (OTHERS + added).count("#")
    assert yaml.safe_load(config.read_text()) == {**yaml.safe_load(OTHERS), "more": 1}
    assert list(config.parent.iterdir()) == [config]


def test_default_can_come_later_and_stays_when_registering_again(config):
    config.write_text(OTHERS)
    register()
    register(as_default=True)
    once = config.read_bytes()
    register()
    assert config.read_bytes() == once
    unregister()
    assert config.read_text() == OTHERS


def test_the_default_follows_a_folder_that_has_moved(config, tmp_path, monkeypatch):
    config.write_text(OTHERS)
    register(as_default=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    folder = register()
    assert sources(config)["kipoi"] == sources(config)["scbasset_zoo"] == {"type": "local", "local_path": str(folder)}
    unregister()
    assert config.read_text() == OTHERS


def test_without_a_default_source_none_is_left(config):
    text = "model_sources:\n    mine:\n        type: local\n        local_path: /data\n"
    config.write_text(text)
    register(as_default=True)
    assert "kipoi" in sources(config)
    unregister()
    assert config.read_text() == text


def test_a_default_that_was_changed_since_stays(config):
    config.write_text(OTHERS)
    register(as_default=True)
    changed = config.read_text().replace(
        f"kipoi:\n        type: local\n        local_path: {config.parents[1]}",
        "kipoi:\n        type: local\n        local_path: /other",
        1,
    )
    config.write_text(changed)
    theirs = sources(config)["kipoi"]
    assert theirs["local_path"].startswith("/other")
    with pytest.raises(InputError, match="already keeps a source"):
        register(as_default=True)
    assert config.read_text() == changed
    unregister()
    assert sources(config)["kipoi"] == theirs


@pytest.mark.parametrize("text", ["model_sources: [\n", "- a list\n", "model_sources: 3\n", "\x00"])
def test_a_config_that_cannot_be_read_is_left_as_it_is(config, text):
    config.write_text(text)
    for call in (register, unregister):
        with pytest.raises(InputError, match=r"config\.yaml"):
            call()
    assert config.read_text() == text
    assert [path.name for path in config.parent.iterdir()] == ["config.yaml"]


def test_a_link_and_its_file_stay_what_they_are(config, tmp_path):
    target = tmp_path / "dotfiles.yaml"
    target.write_text(OTHERS)
    target.chmod(0o600)
    config.symlink_to(target)
    register()
    assert config.is_symlink()
    assert "scbasset_zoo" in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600


def test_nothing_is_registered_where_there_is_no_config(config):
    assert not unregister()
    assert not Path(config).exists()
