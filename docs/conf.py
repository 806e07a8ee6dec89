"""How the site is built from pages and docstrings: ``make docs``. It asks nothing of the network."""

from __future__ import annotations

import tasoc_kit

project = "tasoc_kit"
author = copyright = "The tasoc_kit developers"
version = release = tasoc_kit.__version__

extensions = ["myst_parser", "numpydoc", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_typehints = "none"
numpydoc_show_class_members = False
default_role = "code"
highlight_language = "text"  # commands and drawings are no Python

html_theme = "furo"
html_title = f"tasoc_kit {version}"
html_copy_source = False
html_show_sphinx = False
