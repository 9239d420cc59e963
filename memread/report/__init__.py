"""A finished or broken-off reading as one HTML page, which needs a browser and nothing else: no network.

Texts of documents and models are untrusted: they are made printable, escaped, and put into the page as text
only; its Content-Security-Policy lets no script run but the page's own.
"""

from memread.report.page import page

__all__ = ["page"]
