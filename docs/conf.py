"""Settings of Sphinx for the site; `./run_all.sh site` makes the pages that it reads (study/site)."""

project = "DSRL: a reproducibility study"
author = "the authors of this study"
extensions = ["myst_nb", "sphinx.ext.autodoc", "study.site.extension"]

nb_execution_mode = "off"  # the notebooks are records of the study
nb_render_markdown_format = "myst"  # tables in outputs are tables
nb_code_prompt_show = "Show the code"
nb_code_prompt_hide = "Hide the code"
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88
html_math_renderer = "mathml"

html_theme = "furo"
html_title = project
html_static_path = ["docs/_static"]
html_css_files = ["site.css"]
html_js_files = ["enlarge.js"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
