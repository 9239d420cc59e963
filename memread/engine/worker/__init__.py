"""llama.cpp in a process of its own: when it crashes, a reading loses no more than some seconds.

wire.py      what the two processes say to each other, and the flag they share
child.py     the process that has the model: `python -m memread.engine.worker.child`
process.py   that process as its parent sees it: started, asked, dead
engine.py    WorkerModel and WorkerEngine, which are used like llamacpp's Model and LlamaEngine
"""
