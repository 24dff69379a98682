"""From corpus to rows of tokens: builds the corpus and the tokenizer when they are missing, and packs documents.

A row holds whole documents, each from its `<|begin_of_text|>` on; what is left over is padding that no loss counts. No
document is cut while it fits into a row, since a story that always lost its end would teach stories without ends.
"""
import json
import os

import numpy as np

import tokenizer
from corpus import build

PAD = -100  # the label that no loss counts


class Data:
    """Documents as token ids, with their kinds, of the two sides of the split."""

    def __init__(self, folder: str, vocab: int, megabytes: float, seed: int, kind: tokenizer.Kind = tokenizer.LLAMA3, mix: "dict[str, float] | None" = None):
        os.makedirs(folder, exist_ok=True)
        made = {"train": build.documents(seed, int(megabytes * 1e6), mix=mix), "held": build.documents(seed + 1, 300_000, held=True, mix=mix)}
        path = os.path.join(folder, "tokenizer.json")
        if not os.path.exists(path):
            texts = (p for _, d in made["train"] for p in tokenizer.restyled(d, kind))
            tokenizer.Tokenizer(*tokenizer.train(texts, vocab, kind), kind).save(path)
        self.tokenizer = tokenizer.Tokenizer.load(path)
        self.kinds = sorted({kind for kind, _ in made["train"]})
        self.documents = {side: [np.array(self.tokenizer.document(d), np.int32) for _, d in docs] for side, docs in made.items()}
        self.kind_of = {side: [self.kinds.index(kind) for kind, _ in docs] for side, docs in made.items()}

    def rows(self, side: str, length: int, order) -> tuple[np.ndarray, np.ndarray]:
        """(rows, length + 1) of tokens, padded with PAD, and the kind of each position."""
        documents, kinds = self.documents[side], self.kind_of[side]
        full, waiting = [], []  # a row is [room, documents]
        for i in order:
            size = min(len(documents[i]), length + 1)
            row = next((w for w in waiting if w[0] >= size), None)
            if row is None:
                row = [length + 1, []]
                waiting.append(row)
            row[0] -= size
            row[1].append(i)
            if row[0] < 12 or len(waiting) > 64:
                done = row if row[0] < 12 else waiting[0]
                waiting.remove(done)
                full.append(done[1])
        full += [w[1] for w in waiting]
        tokens = np.full((len(full), length + 1), PAD, np.int32)
        kind = np.zeros((len(full), length + 1), np.int8)
        for row, members in enumerate(full):
            at = 0
            for i in members:
                size = min(len(documents[i]), length + 1)
                tokens[row, at:at + size] = documents[i][:size]
                kind[row, at:at + size] = kinds[i]
                at += size
        return tokens, kind


class Batches:
    """Endless batches. Batch n of a length is the same in every run, so that a resumed run sees what it would have seen."""

    def __init__(self, data: Data, length: int, rows: int, seed: int):
        self.data, self.length, self.size, self.seed = data, length, rows, seed
        self.pack(0)
        self.epoch_batches = int(len(self.tokens) * 0.98) // rows  # epochs are packed anew and differ by a few rows

    def __getitem__(self, n: int) -> np.ndarray:
        epoch, at = divmod(n, self.epoch_batches)
        if epoch != self.epoch:
            self.pack(epoch)
        return self.tokens[at * self.size:(at + 1) * self.size]

    def pack(self, epoch: int) -> None:
        r = np.random.default_rng([self.seed, epoch])
        rows, _ = self.data.rows("train", self.length, r.permutation(len(self.data.documents["train"])))
        r.shuffle(rows)
        self.epoch, self.tokens = epoch, rows
