"""Files for plugins: a reader's errors in words, and files that appear whole or not at all."""

from scbasset_zoo.errors import readable
from scbasset_zoo.files import new_file, new_folder

__all__ = ["new_file", "new_folder", "readable"]
