"""Teaching a model the workflow: supervised on ideal memories, then reinforced over whole readings.

    episode.py    a question over a text in segments, with the ideal memory after each
    data/         makers of episodes, seeded, endless; splits that share nothing
    weights.py    a GGUF as a torch model and back: LoRA, merging, export
    supervise.py  the warm start on ideal memories
    engine.py     batched generation with a KV cache: a protocols.Engine, so that rollouts use the one flow()
    rollout.py    episodes → rollouts: groups of readings, every conversation of them
    objective.py  rewards → advantages → loss (Multi-Conv DAPO), plain functions
    reinforce.py  the loop: rollout → advantages → loss → update; exact resume; metrics

The only place where torch, transformers and peft are imported, and only when training runs.
"""
