"""Broker, window and tail in a world of its own, where everything that can go wrong does.

    dials ──> loop (a virtual clock, shuffled turns, threads that are delays)
                ├── store, hints, channel layer: fake, slow and failing
                ├── writers and retention      ──> history: what there was, and what became of it
                └── readers by follow(), WebSocket and SSE ──> account: what each was given

The code under test is the real one. All of chance comes from one seed, so that a run can be
repeated: `python -m proof.simulation SEED`.
"""
