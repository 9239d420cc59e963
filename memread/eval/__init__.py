"""Measuring a reader: tasks of any length, baselines, scores, and why an answer was wrong.

item.py         what is asked of a reader: a text, a question, the right answers, where the evidence is
tasks.py        the tasks by name; niah.py, variables.py, words.py, qa.py, hotpotqa.py, files.py make items,
                seeded (draw.py), as streams (haystack.py) of a given length (lengths.py)
scores.py, intervals.py    replies → scores; intervals
methods/        ways to answer an item: memread, and the baselines beside it; arms.py: a method and settings
diagnose.py     recorded memories → why an item failed
runner.py       items × arms → results, resumable; results.py: the result file, one JSON line an item
evaluate.py     what the command line composes
report.py, records.py, progress.py, plots.py    tables, figures, progress
"""
