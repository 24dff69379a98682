"""Byte-level BPE with the Llama 3 pre-tokenisation: trained on the corpus, and written as the arrays that GGUF holds.

Digits never merge, so that a number is a row of digits and sums can be done digit by digit. The special tokens carry
the names of the official model and come last.
"""
import collections
import json
import re
import unicodedata

# The Llama 3 split. The standard `re` has no \p{L} and \p{N}; over text whose word characters are letters, digits or
# the underscore (see `check_alphabet`) the two classes below are the same.
L, N = r"[^\W\d_]", r"\d"
SPLIT = re.compile(rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|(?:(?!{L}|{N})[^\r\n])?{L}+|{N}{{1,3}}| ?(?:(?!{L}|{N})\S)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
SPECIAL = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
SPECIAL_SPLIT = re.compile("(" + "|".join(map(re.escape, SPECIAL)) + ")")


def byte_letters() -> list[str]:
    """GPT-2's printable stand-in for each byte: itself where printable, else a letter from U+0100 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters, spare = {b: chr(b) for b in printable}, 256
    for b in range(256):
        if b not in letters:
            letters[b] = chr(spare)
            spare += 1
    return [letters[b] for b in range(256)]


BYTE_LETTERS = byte_letters()
LETTER_BYTES = {c: b for b, c in enumerate(BYTE_LETTERS)}


def letters(text: str) -> str:
    return "".join(BYTE_LETTERS[b] for b in text.encode())


def check_alphabet(text: str) -> None:
    odd = {c for c in set(text) if re.match(r"\w", c) and c != "_" and unicodedata.category(c)[0] not in "LN" or c.isnumeric() != c.isdecimal()}
    if odd:
        raise ValueError(f"characters that the split would treat differently: {sorted(odd)}")


def merge(symbols: tuple, pair: tuple) -> tuple:
    out, i = [], 0
    while i < len(symbols):
        if symbols[i:i + 2] == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(symbols[i])
            i += 1
    return tuple(out)


def train(texts, size: int) -> tuple[list[str], list[str]]:
    """The most frequent pair is merged until the vocabulary has `size` tokens; ties go to the pair that sorts last.

    Returns tokens and merges as GGUF holds them. Only the words that hold the merged pair are counted anew.
    """
    counts = collections.Counter()
    for text in texts:
        for part in SPECIAL_SPLIT.split(text)[::2]:
            counts.update(SPLIT.findall(part))
    check_alphabet("".join(counts))
    words = [[tuple(letters(w)), n] for w, n in counts.items() if not w.isdecimal()]
    pairs, where = collections.Counter(), collections.defaultdict(set)

    def count(i: int, sign: int) -> None:
        symbols, n = words[i]
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += sign * n
            where[pair].add(i)

    for i in range(len(words)):
        count(i, 1)
    tokens, merges = list(BYTE_LETTERS), []
    while len(tokens) < size - len(SPECIAL):
        best = max(pairs, key=lambda p: (pairs[p], p))
        if pairs[best] < 2:
            raise ValueError(f"the corpus has pairs for {len(tokens)} tokens only")
        tokens.append(best[0] + best[1])
        merges.append(best[0] + " " + best[1])
        for i in where.pop(best):
            count(i, -1)
            words[i][0] = merge(words[i][0], best)
            count(i, 1)
        pairs = +pairs if len(tokens) % 64 == 0 else pairs
    return tokens + SPECIAL, merges


class Tokenizer:
    def __init__(self, tokens: list[str], merges: list[str]):
        self.tokens, self.merges = tokens, merges
        self.id = {t: i for i, t in enumerate(tokens)}
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
        self.bos, self.end, self.turn = (self.id[t] for t in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"))
        self.cache: dict[str, list[int]] = {}

    def word(self, word: str) -> list[int]:
        """A pre-token that is in the vocabulary is taken whole; else the lowest ranked pair is merged until none is left."""
        if word not in self.cache:
            symbols = tuple(letters(word))
            while len(symbols) > 1 and "".join(symbols) not in self.id:
                best = min(zip(symbols, symbols[1:]), key=lambda p: self.rank.get(p, len(self.rank)))
                if best not in self.rank:
                    break
                symbols = merge(symbols, best)
            whole = "".join(symbols)
            self.cache[word] = [self.id[whole]] if whole in self.id else [self.id[s] for s in symbols]
        return self.cache[word]

    def encode(self, text: str) -> list[int]:
        ids = []
        for i, part in enumerate(SPECIAL_SPLIT.split(text)):
            if i % 2:
                ids.append(self.id[part])
            else:
                for word in SPLIT.findall(part):
                    ids += self.word(word)
        return ids

    def decode(self, ids) -> str:
        special = set(SPECIAL)
        raw = b"".join(t.encode() if t in special else bytes(LETTER_BYTES[c] for c in t) for t in (self.tokens[i] for i in ids))
        return raw.decode("utf-8", "replace")

    def document(self, pieces: list[str]) -> list[int]:
        return [self.bos] + [i for piece in pieces for i in self.encode(piece)]

    def save(self, path: str) -> None:
        with open(path, "w") as f:
            json.dump({"tokens": self.tokens, "merges": self.merges}, f)

    @staticmethod
    def load(path: str) -> "Tokenizer":
        with open(path) as f:
            return Tokenizer(**json.load(f))
