"""Measuring a reader: tasks of any length, baselines, scores, and why an answer was wrong.

    item.py      what is asked of a reader: a text, a question, the right answers, where the evidence is
    ruler.py, hotpotqa.py, files.py, …    tasks: makers of items, seeded, as streams
    scores.py    replies → scores; intervals
    methods/     ways to answer an item: memread, and the baselines beside it
    diagnose.py  recorded memories → why an item failed
    runner.py    items × methods → results, resumable
    results.py   the result file: one JSON line an item
    report.py, plots.py    tables and figures
"""
