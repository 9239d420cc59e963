"""Makers of episodes: seeded, endless, in three splits that share no wording, no entity and no text.

splits.py     which split a wording, a word or a text belongs to
words.py      entities and values
wordings.py   frames of "the A of H is V", lines of logs and tables, wrappings, attributes
questions.py  how one asks for them
frames.py     the wordings of a split, and how they are filled in
relations.py  facts told by verbs
corpus.py     real texts and questions, from a folder (the data is not part of the package)
haystack.py   what the facts stand in: prose, encyclopaedia, logs, code, lists, noise
puzzles.py    facts and questions made from wordings
real.py       facts and questions found in real prose
compose.py    puzzles + haystack → a text in segments, and the ideal memories
"""
