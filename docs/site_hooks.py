"""What mkdocs is told beside mkdocs.yml: pages are read on the site as they are in the repository.

Laws of this file: a page is written for the repository, where it links to ``NAME.zh.md`` and to
files outside of ``docs/``; here those links are turned to what the site has of them.
"""

from __future__ import annotations

import posixpath
import re
from typing import Any

# The first line below the title: the site chooses the language for a whole visit, above the page.
_OTHER_LANGUAGE = re.compile(r"^\[(?:中文|English)\]\([\w.-]+\.md\)\n\n?", re.M)
_CHINESE = re.compile(r"(\]\([\w./-]+)\.zh\.md")
_OUTSIDE = re.compile(r"\]\((?:\.\./)+(README|CONTRIBUTING)(?:\.zh)?\.md")
_ON_SITE = {"README": "index.md", "CONTRIBUTING": "contributing.md"}


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The text of a page, with its links as the site needs them."""
    folder = posixpath.dirname(page.file.src_uri) or "."

    def inside(found: re.Match[str]) -> str:
        return f"]({posixpath.relpath(_ON_SITE[found[1]], folder)}"

    markdown = _OTHER_LANGUAGE.sub("", markdown, count=1)
    return _CHINESE.sub(r"\1.md", _OUTSIDE.sub(inside, markdown))
