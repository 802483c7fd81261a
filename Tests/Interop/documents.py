"""The code blocks of docs/, so that tests run what readers copy."""
import dataclasses
import re

from conftest import ROOT


@dataclasses.dataclass
class Block:
    heading: str
    language: str
    text: str


def blocks(name, language=None):
    """The fenced blocks of a page, each with the heading it stands below."""
    found, heading = [], ""
    for match in re.finditer(r"^#+ ([^\n]*)$|^```(\w+)\n(.*?)^```$", (ROOT / "docs" / name).read_text(), re.M | re.S):
        if match[1]:
            heading = match[1]
        elif language in (None, match[2]):
            found.append(Block(heading, match[2], match[3]))
    return found


def block(name, heading, language):
    return next(b.text for b in blocks(name, language) if b.heading == heading)
