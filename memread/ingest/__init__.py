"""Documents as passages of text with places in them. See `open_document`.

Nothing here imports a parser before a document needs one.
"""

from memread.ingest.combine import open_documents, read_all
from memread.ingest.opening import open_document
from memread.ingest.resolve import Input, Resolved, resolve, split_list
from memread.ingest.selection import Selection, numbered, select_part

__all__ = [
    "Input",
    "Resolved",
    "Selection",
    "numbered",
    "open_document",
    "open_documents",
    "read_all",
    "resolve",
    "select_part",
    "split_list",
]
