"""How Sphinx makes the documentation: `make docs`. Every page is Markdown that reads well on its own, too."""

from pygments.lexers.special import TextLexer
from sphinx.highlighting import lexers

project = "airflow-provider-twilio-campaigns"
html_title = "Twilio campaigns for Airflow"
html_theme = "furo"
html_copy_source = False
html_show_copyright = False

extensions = ["myst_parser"]
exclude_patterns = ["_build", "requirements.txt"]
# Links to headings are written as GitHub makes them.
myst_heading_anchors = 3
# Code forges draw these diagrams; here they are text, because nothing is to come from elsewhere.
lexers["mermaid"] = TextLexer()
