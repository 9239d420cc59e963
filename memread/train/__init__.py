"""Teaching a model the workflow: supervised on ideal memories, then reinforced over whole readings.

    episode.py     a question over a text in segments, with the ideal memory after each
    data/          makers of episodes, seeded, endless; splits that share nothing
    lessons.py     episodes → the conversations of a reading; no torch
    rows.py, packed.py    conversations that go through the model at once; what prompts share once
    weights.py     a GGUF as a torch model; LoRA
    supervise.py   the warm start on ideal memories
    export.py      LoRA adapter and merged model as GGUF
    vocabulary.py  prompts → ids without llama.cpp, the same ids
    decoder.py, drawing.py, engine.py    batched generation with a KV cache: a protocols.Engine, so that
                   rollouts use the one flow()
    rollout.py     episodes → groups of readings, every conversation of them
    rewards.py, objective.py, likelihood.py    rewards → advantages → loss (Multi-Conv DAPO), plain functions
    update.py, reinforce.py    the loop: rollout → advantages → loss → update
    checkpoint.py, metrics.py, recipe.py, stages.py, smoke.py    exact resume, figures, settings, what the
                   command line runs; recipes/: the settings that made the weights that ship

The only place where torch, transformers and peft are imported, and only when training runs.
"""
