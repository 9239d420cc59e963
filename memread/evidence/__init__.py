"""Evidence: which passage of the text speaks for a statement of the memory or the answer.

Found by comparing words, segment by segment while the text is at hand; the model has no part in it, so
neither a quote nor a page can be invented. What words cannot tell (irony, who "he" is) it does not tell.
"""

from memread.evidence.statements import bare, statements
from memread.evidence.tracer import Tracer

__all__ = ["Tracer", "bare", "statements"]
