"""A page as a browser or a screen reader finds it."""

import re
from html.parser import HTMLParser

_VOID = {"meta", "link", "circle", "line", "rect", "polyline"}


class HtmlPage(HTMLParser):
    """What a browser or a screen reader finds in a page.

    Attributes:
        tags: Name and attributes of each element, in order.
        texts: All text outside of the style sheet, in order.
        headings: Level and text of each heading.
    """

    def __init__(self, content):
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self.headings: list[tuple[int, str]] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == [], "an element is not closed"

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, "elements overlap"

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.texts.append(data)
            if re.fullmatch("h[1-6]", self.open[-1]):
                self.headings.append((int(self.open[-1][1]), data))

    def named(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]
