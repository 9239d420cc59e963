"""llama.cpp in this process, through llama-cpp-python's low-level interface.

library.py   the shared library: its log, its build, its devices
vocabulary.py  text and prompt parts → token ids
template.py  the chat template → ChatFrame
model.py     weights: load, place on the GPU, describe
engine.py    many requests at a time in one context
"""
