"""Makes alice.epub from a plain text of the book: python examples/make_alice.py alice.txt examples/alice.epub

The text is Lewis Carroll's of 1865, in the public domain; see alice.LICENSE.
"""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from ebooklib import epub

TITLE = "Alice's Adventures in Wonderland"


def chapters(text: str) -> list[tuple[str, str]]:
    """(title, body) of each chapter."""
    parts = re.split(r"\n *CHAPTER ([IVX]+)\n+ *(\S.*)\n", text.partition("THE END")[0])
    return [
        (f"{number}. {title.strip()}", body)
        for number, title, body in zip(parts[1::3], parts[2::3], parts[3::3], strict=True)
    ]


def paragraphs(body: str) -> list[str]:
    """XHTML blocks. Lines indented by more than a paragraph's two spaces are verse."""
    blocks = []
    for block in re.split(r"\n\s*\n", body.strip("\n")):
        lines = [line.rstrip() for line in block.split("\n") if line.strip()]
        if not lines:
            continue
        if set("".join(lines)) <= set("* \t"):
            blocks.append("<hr/>")
        elif all(line.startswith("   ") for line in lines):
            blocks.append('<p class="verse">' + "<br/>".join(quoted(line.strip()) for line in lines) + "</p>")
        else:
            blocks.append("<p>" + quoted(" ".join(" ".join(lines).split())) + "</p>")
    return blocks


def quoted(text: str) -> str:
    """Typewriter quotation marks and dashes as a book prints them."""
    return html.escape(text.replace("`", "‘").replace("'", "’").replace("--", "—"), quote=False)


def main(source: Path, target: Path) -> None:
    text = source.read_text(encoding="utf-8").replace("\r\n", "\n").replace("\x1a", "")
    book = epub.EpubBook()
    book.set_identifier("urn:memread:alice")
    book.set_title(TITLE)
    book.set_language("en")
    book.add_author("Lewis Carroll")
    pages = []
    for number, (title, body) in enumerate(chapters(text), start=1):
        page = epub.EpubHtml(title=title, file_name=f"chapter-{number:02}.xhtml", lang="en")
        page.content = f"<h1>{quoted(title)}</h1>\n" + "\n".join(paragraphs(body))
        book.add_item(page)
        pages.append(page)
    book.toc = pages
    book.spine = pages
    book.add_item(epub.EpubNcx())
    book.add_item(epub.EpubNav())
    epub.write_epub(str(target), book)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
