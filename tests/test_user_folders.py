"""A user without a home can use the models that come with the project."""

import os
import subprocess
import sys
import tempfile

import pytest

from scbasset_zoo import user_folders
from scbasset_zoo.errors import InputError

needs_root = pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="only root can become an unlisted user")


@needs_root
def test_a_user_in_no_list_and_without_home_gets_a_temporary_folder():
    # Modules are imported first, since another user may not be able to read them.
    code = """
import os
from scbasset_zoo.user_folders import cache_folder
from scbasset_zoo.zoo import sources
os.environ.pop("HOME", None)
os.setuid(12345)
print(cache_folder(), sources.config_path(), sep="\\n")
"""
    variables = {"SCBASSET_ZOO_CACHE", "SCBASSET_ZOO_CONFIG", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"}
    environment = {name: value for name, value in os.environ.items() if name not in variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    folder = os.path.join(tempfile.gettempdir(), "scbasset-zoo-12345")
    assert done.stdout.split() == [folder, os.path.join(folder, "zoo.yaml")], done.stderr


@pytest.mark.parametrize("folder", [user_folders.config_folder, user_folders.default_cache_folder, user_folders.data_folder])
def test_a_temporary_folder_of_another_user_is_refused(folder, monkeypatch, tmp_path):
    def no_home(name):
        raise RuntimeError("could not determine the home directory")

    for name in ("user_config_path", "user_cache_path", "user_data_path"):
        monkeypatch.setattr(user_folders, name, no_home)
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    assert folder() == tmp_path / f"scbasset-zoo-{os.getuid()}"
    folder().symlink_to(tmp_path)
    with pytest.raises(InputError, match="belongs to another user. Set HOME"):
        folder()
