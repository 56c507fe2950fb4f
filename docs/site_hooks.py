"""The notebook as a page of the documentation's site: its text and code, as they are in the repository.

Called by MkDocs (hooks in mkdocs.yml). The notebook has no outputs, and none are made here. Links between the notebook
and the documentation are written as they are in the repository, and are turned into those of the site.
"""

import json
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

NOTEBOOK = Path(__file__).parents[1] / "notebooks/explore_day.ipynb"
PAGE = "explore_day.md"


def page_of(notebook: dict[str, Any]) -> str:
    """Return the cells of a notebook as Markdown.

    Examples
    --------
    >>> page_of({"cells": [{"cell_type": "markdown", "source": ["See [", "usage](../docs/usage.md)."]}]})
    'See [usage](usage.md).'
    """
    parts = []
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        code = cell["cell_type"] == "code"
        parts.append(f"```python\n{source}\n```" if code else source.replace("](../docs/", "]("))
    return "\n\n".join(parts)


def on_files(files: Files, config: Any) -> None:
    """Add the page, and the notebook itself to download."""
    files.append(File.generated(config, PAGE, content=page_of(json.loads(NOTEBOOK.read_text()))))
    files.append(File.generated(config, NOTEBOOK.name, abs_src_path=str(NOTEBOOK)))


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Turn links to the notebook into links to its page."""
    return markdown.replace(f"](../notebooks/{NOTEBOOK.name})", f"]({PAGE})")
