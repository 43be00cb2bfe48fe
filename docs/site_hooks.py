"""What mkdocs is told beside mkdocs.yml: pages are read on the site as they are in the repository.

Laws of this file: a page is written for the repository, where it links to ``NAME.zh.md`` and to
files outside of ``docs/``; here those links are turned to what the site has of them.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent
# A page that is nothing but a link to a file of the repository is that file.
_WHOLE = re.compile(r"^\[(CONTRIBUTING(?:\.zh)?\.md)\]\(\.\./\1\)$", re.M)
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

    def whole(found: re.Match[str]) -> str:
        return (_ROOT / found[1]).read_text(encoding="utf-8")

    markdown = _OTHER_LANGUAGE.sub("", _WHOLE.sub(whole, markdown))
    return _CHINESE.sub(r"\1.md", _OUTSIDE.sub(inside, markdown))
