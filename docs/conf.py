"""Sphinx: builds the pages of docs/ into a site. `make docs` runs it; it needs no network."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import scbasset_zoo

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(HERE / "extensions"))
# The kernel of a tutorial finds the command scbasset-zoo beside this Python, and works in this folder.
os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE / "extensions"), os.environ.get("PYTHONPATH")]))
os.environ["TUTORIALS"] = str(ROOT / "build" / "tutorials")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

project = "scbasset_zoo"
author = "scbasset_zoo maintainers"
copyright = "scbasset_zoo maintainers. Licence: Apache-2.0"
release = scbasset_zoo.__version__

extensions = ["myst_nb", "numpydoc", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx_copybutton", "repository_pages"]
exclude_patterns = ["extensions", "card.schema.json"]
html_theme = "sphinx_book_theme"
html_title = "scbasset_zoo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_theme_options = {
    "show_toc_level": 2,
    "home_page_in_toc": True,
    "navbar_persistent": [],
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_show_sourcelink = False
html_copy_source = False

myst_heading_anchors = 4
myst_enable_extensions = ["deflist"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_ipywidgets_js: dict[str, Any] = {}
nb_merge_streams = True
copybutton_prompt_text = r"\$ "

autodoc_member_order = "bysource"
autodoc_typehints = "none"
autosummary_generate = False
numpydoc_show_class_members = False
