"""Register the zoo in Kipoi's config.yaml, where everything else stays, and unregister it."""

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
    """The path of config.yaml, which does not exist yet, in a home folder of its own."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("SCBASSET_ZOO_CACHE", str(tmp_path / "cache"))
    (tmp_path / ".kipoi").mkdir()
    return tmp_path / ".kipoi/config.yaml"


def content(text):
    """Return the content of a config.yaml. A missing or empty section model_sources is an empty one."""
    fields = yaml.safe_load(text) or {}
    return fields | {"model_sources": fields.get("model_sources") or {}}


def sources(config):
    return content(config.read_text())["model_sources"]


def comments(text):
    """Return the comments, in their order."""
    return [line.partition("#")[2].strip() for line in text.splitlines() if "#" in line]


def backup(config):
    return config.with_name("config.yaml.bak")


@pytest.mark.parametrize("as_default", [False, True])
def test_other_sources_stay_and_unregister_restores_the_content(config, as_default):
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
    assert comments(config.read_text()) == comments(OTHERS)
    assert backup(config).read_text() == OTHERS
    once = config.read_bytes()
    register(as_default=as_default)
    assert config.read_bytes() == once
    assert unregister()
    assert content(config.read_text()) == content(OTHERS)
    assert comments(config.read_text()) == comments(OTHERS)
    assert backup(config).read_text() == OTHERS
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
def test_content_comments_and_mode_are_kept_in_any_form_of_the_file(config, text, as_default):
    config.write_bytes(text.encode())
    config.chmod(0o600)
    folder = register(as_default=as_default)
    assert sources(config)["scbasset_zoo"] == {"type": "local", "local_path": str(folder)}
    assert comments(config.read_text()) == comments(text)
    assert {path.stat().st_mode & 0o777 for path in config.parent.iterdir()} == {0o600}
    assert unregister()
    assert content(config.read_text()) == content(text)
    assert comments(config.read_text()) == comments(text)
    assert backup(config).read_bytes() == text.encode()
    assert sorted(config.parent.iterdir()) == [config, backup(config)]


def test_the_backup_is_the_file_before_the_first_change(config):
    config.write_text(OTHERS)
    register()
    register(as_default=True)
    unregister()
    config.write_text("env_db_path: ~/other.json\n")
    register()
    assert backup(config).read_text() == OTHERS


@pytest.mark.parametrize("as_default", [False, True])
def test_later_additions_stay_after_unregister(config, as_default):
    config.write_text(OTHERS)
    register(as_default=as_default)
    added = "# added\nmore: 1\n# the end\n"
    config.write_text(config.read_text() + added)
    assert unregister()
    assert config.read_text().count("#") == (OTHERS + added).count("#")
    assert yaml.safe_load(config.read_text()) == {**yaml.safe_load(OTHERS), "more": 1}
    assert backup(config).read_text() == OTHERS


def test_the_default_can_be_set_later_and_stays_when_registering_again(config):
    config.write_text(OTHERS)
    register()
    register(as_default=True)
    once = config.read_bytes()
    register()
    assert config.read_bytes() == once
    unregister()
    assert content(config.read_text()) == content(OTHERS)


def test_the_default_follows_a_folder_that_has_moved(config, tmp_path, monkeypatch):
    config.write_text(OTHERS)
    register(as_default=True)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "elsewhere"))
    folder = register()
    assert sources(config)["kipoi"] == sources(config)["scbasset_zoo"] == {"type": "local", "local_path": str(folder)}
    unregister()
    assert content(config.read_text()) == content(OTHERS)


def test_unregister_leaves_no_default_source_if_there_was_none(config):
    text = "model_sources:\n    mine:\n        type: local\n        local_path: /data\n"
    config.write_text(text)
    register(as_default=True)
    assert "kipoi" in sources(config)
    unregister()
    assert content(config.read_text()) == content(text)


def test_a_default_that_was_changed_later_stays(config):
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
    with pytest.raises(InputError, match="already has a source"):
        register(as_default=True)
    assert config.read_text() == changed
    unregister()
    assert sources(config)["kipoi"] == theirs


@pytest.mark.parametrize("text", ["model_sources: [\n", "- a list\n", "model_sources: 3\n", "\x00"])
def test_a_config_that_cannot_be_read_is_not_changed(config, text):
    config.write_text(text)
    for call in (register, unregister):
        with pytest.raises(InputError, match=r"config\.yaml"):
            call()
    assert config.read_text() == text
    assert [path.name for path in config.parent.iterdir()] == ["config.yaml"]


def test_a_symbolic_link_stays_a_link_and_its_file_keeps_its_mode(config, tmp_path):
    target = tmp_path / "dotfiles.yaml"
    target.write_text(OTHERS)
    target.chmod(0o600)
    config.symlink_to(target)
    register()
    assert config.is_symlink()
    assert "scbasset_zoo" in target.read_text()
    assert target.stat().st_mode & 0o777 == 0o600


def test_unregister_does_nothing_without_a_config(config):
    assert not unregister()
    assert not Path(config).exists()
