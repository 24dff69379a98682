"""The training corpus: text written by seeded grammars over our own tables. Nothing is downloaded or quoted.

`build.py` mixes the generators; every other file is one kind of text. A generator takes a `random.Random` and
whether to draw from the held-out side of the split, and returns exchanges (a prompt and its answer).
"""
