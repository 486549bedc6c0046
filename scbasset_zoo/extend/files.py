"""Files for plugins: text files that people send, readers' errors as InputError, and files that appear whole or not at all."""

from scbasset_zoo.errors import readable
from scbasset_zoo.files import new_file, new_folder
from scbasset_zoo.inputs.text_files import (
    INTERVAL_COMMENTS,
    columns_of,
    open_text,
    require_letters,
    text_lines,
    unquoted,
    whole_number,
)

__all__ = [
    "INTERVAL_COMMENTS",
    "columns_of",
    "new_file",
    "new_folder",
    "open_text",
    "readable",
    "require_letters",
    "text_lines",
    "unquoted",
    "whole_number",
]
