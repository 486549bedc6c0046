"""Files for plugins: text that is plain or gzip, readers' errors as InputError, and files that appear whole or not at all."""

from scbasset_zoo.errors import readable
from scbasset_zoo.files import new_file, new_folder
from scbasset_zoo.inputs.text_files import open_text

__all__ = ["new_file", "new_folder", "open_text", "readable"]
