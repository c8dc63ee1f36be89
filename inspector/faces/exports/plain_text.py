"""Texts of models and plugins on their way into other formats: nothing in them may be taken for markup."""

from __future__ import annotations

import re
from typing import Final

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_MARKUP: Final = re.compile(r"[!-+:-@\[-`{-~]")
"""ASCII punctuation but for `,`, `-`, `.` and `/`, which mean nothing inside of a line."""
_LINK: Final = re.compile(r"(?<=www)\.", re.IGNORECASE)
"""What GitHub makes a link of without any markup. Addresses with a scheme end at their escaped colon."""
_REPLACEMENT: Final = "\N{REPLACEMENT CHARACTER}"


def in_xml(text: str) -> str:
    """The text without characters that XML 1.0 cannot hold, even escaped; the rest is the XML writer's to escape."""
    return _NOT_XML.sub(_REPLACEMENT, text)


def in_markdown(text: str) -> str:
    """One line of GitHub Markdown that shows the text as it is, in a paragraph or a table's cell.

    Punctuation becomes character references, which CommonMark never takes for structure; line breaks become spaces. A
    comment follows every `@`, as GitHub looks for mail addresses and names of people in what references stand for.
    """
    line = "".join(c if c.isprintable() else " " if c.isspace() else _REPLACEMENT for c in text)
    plain = _MARKUP.sub(lambda match: f"&#{ord(match[0])};", line)
    return _LINK.sub("&#46;", plain).replace("&#64;", "&#64;<!-- -->").strip()


def in_sarif(text: str) -> str:
    """A plain text message as SARIF 2.1.0 wants it: no placeholders (3.11.5), no embedded links (3.11.6)."""
    plain = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return re.sub(r"([\\\[\]])", r"\\\1", plain).replace("{", "{{").replace("}", "}}")
