"""Reads a report's page back, as a browser would."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

from PIL import Image

VOID = {"meta", "img", "br", "link", "input", "hr"}


class ParsedPage(HTMLParser):
    """Elements, text and tables of a page; unclosed elements fail."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] | None = None
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table" and "data-table" in dict(attrs):
            self._rows = self.tables.setdefault(str(dict(attrs)["data-table"]), [])
        if tag == "tr" and self._rows is not None:
            self._rows.append([])
        if tag in ("td", "th") and self._rows is not None:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script"):
            return
        self.text += data
        if self._rows and self.open[-1] in ("td", "th"):
            self._rows[-1][-1] += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def numbers(self, name: str) -> list[float]:
        """Return the numbers of a table by its id, as programs read them."""
        (table,) = re.findall(rf'<table id="{name}">.*?</table>', self.source, flags=re.DOTALL)
        return [float(value) for value in re.findall(r'<data value="([^"]*)">', table)]

    def check_alone(self, scripts: int = 0) -> None:
        """Fail where the page needs anything but itself, or a picture has no words."""
        names = [name for name, _ in self.elements]
        assert not {"link", "iframe", "object", "base"} & set(names)
        assert names.count("script") == scripts
        for attributes in (given for _, given in self.elements):
            for name, value in attributes.items():
                if name in ("src", "href", "action", "data", "poster", "srcset"):
                    assert value is not None
                    assert value.startswith(("data:image/png;base64,", "#")), (name, value[:80])
        assert not re.search(r"https?://|url\((?!data:image/png;base64,)|@import", self.source)
        for image in self.attributes("img"):
            assert len(image["alt"] or "") > 20
            encoded = str(image["src"]).partition(",")[2]
            Image.open(io.BytesIO(base64.b64decode(encoded))).verify()
