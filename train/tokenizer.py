"""Three tokenizers, trained on the corpus and written as the arrays that GGUF holds: byte-level BPE with the split of
Llama 3 or of Qwen 2, and pieces with scores as SentencePiece has them, with bytes for characters that no piece holds.

Digits never merge, so that a number is a row of digits and sums can be done digit by digit. The special tokens carry
the names of the official models.
"""
import collections
import json
import re
import unicodedata
from dataclasses import dataclass

# The standard `re` has no \p{L} and \p{N}; over text whose word characters are letters, digits or the underscore (see
# `check_alphabet`) the two classes below are the same.
L, N = r"[^\W\d_]", r"\d"
BLANK = "\u2581"  # SentencePiece's spelling of a space


def byte_level_split(digits: str) -> re.Pattern:
    """The pre-tokenisation of Llama 3 and of Qwen 2, which differ in how many digits may be one word."""
    return re.compile(rf"(?i:'s|'t|'re|'ve|'m|'ll|'d)|(?:(?!{L}|{N})[^\r\n])?{L}+|{digits}| ?(?:(?!{L}|{N})\S)+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


@dataclass(frozen=True)
class Kind:
    """What a tokenizer and the texts for it look like."""
    model: str  # tokenizer.ggml.model
    pre: str  # tokenizer.ggml.pre
    split: re.Pattern  # no merge crosses its words
    whole_words: bool  # a word that is a token is taken whole, whatever the merges would make of it
    special: tuple[str, ...]
    bos: "str | None"
    end: str  # of a text
    turn: str  # the end of a turn
    gap: str  # between two turns
    role: str  # the beginning of a turn
    capital: bool  # the name of a role, there
    template: str

    def role_of(self, name: str) -> str:
        return self.role.format(name.capitalize() if self.capital else name)


LLAMA3 = Kind(
    "gpt2", "llama-bpe", byte_level_split(rf"{N}{{1,3}}"), True,
    ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>", "", "{}: ", True,
    "{% for message in messages %}{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")
QWEN2 = Kind(
    "gpt2", "qwen2", byte_level_split(N), False, ("<|endoftext|>", "<|im_start|>", "<|im_end|>"), None, "<|endoftext|>", "<|im_end|>", "\n", "<|im_start|>{}\n", False,
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
SENTENCEPIECE = Kind(  # roles as in Zephyr and TinyLlama, spelled as text
    "llama", "default", re.compile(rf"{BLANK}?{L}+|{N}|.", re.S), False, ("<unk>", "<s>", "</s>"), "<s>", "</s>", "</s>", "\n", "<|{}|>\n", False,
    "{% for message in messages %}{{ '<|' + message.role + '|>\\n' + message.content + eos_token + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}")
KINDS = {"llama-bpe": LLAMA3, "qwen2": QWEN2, "default": SENTENCEPIECE}
SPLIT, SPECIAL = LLAMA3.split, list(LLAMA3.special)
TURN_START = re.compile(r"(^|<\|eot_id\|>)(System|User|Assistant): ")


def splitter(special) -> re.Pattern:
    return re.compile("(" + "|".join(map(re.escape, special)) + ")")


def restyled(pieces: list[str], kind: Kind) -> list[str]:
    """A document of the corpus, whose special tokens and turns are those of Llama 3, with those of `kind`."""
    def turn(match: re.Match) -> str:
        before = kind.turn + kind.gap if match[1] else ""
        return before + kind.role_of(match[2].lower())

    if kind is LLAMA3:
        return pieces
    gaps = [kind.gap if n and TURN_START.match(p) else "" for n, p in enumerate(pieces)]
    pieces = [gap + TURN_START.sub(turn, p) for gap, p in zip(gaps, pieces)]
    return [p.replace(LLAMA3.turn, kind.turn).replace(LLAMA3.end, kind.end) for p in pieces]


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
BYTE_PIECES = [f"<0x{b:02X}>" for b in range(256)]


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


def words_of(texts, kind: Kind) -> collections.Counter:
    counts, special = collections.Counter(), splitter(kind.special)
    for text in texts:
        for part in special.split(text)[::2]:
            if kind is SENTENCEPIECE:
                part = BLANK + part.replace(" ", BLANK)
            counts.update(kind.split.findall(part))
    check_alphabet("".join(counts))
    return counts


def train(texts, size: int, kind: Kind = LLAMA3) -> tuple[list[str], list[str]]:
    """The most frequent pair is merged until the vocabulary has `size` tokens; ties go to the pair that sorts last.

    Returns tokens and merges as GGUF holds them. Only the words that hold the merged pair are counted anew.
    """
    counts = words_of(texts, kind)
    spelled = (lambda w: tuple(w)) if kind is SENTENCEPIECE else lambda w: tuple(letters(w))
    words = [[spelled(w), n] for w, n in counts.items() if not w.isdecimal()]
    alphabet = sorted(set("".join(counts))) if kind is SENTENCEPIECE else list(BYTE_LETTERS)
    wanted = size - len(alphabet) - len(kind.special) - (256 if kind is SENTENCEPIECE else 0)
    pairs, where = collections.Counter(), collections.defaultdict(set)

    def count(i: int, sign: int) -> None:
        symbols, n = words[i]
        for pair in zip(symbols, symbols[1:]):
            pairs[pair] += sign * n
            where[pair].add(i)

    for i in range(len(words)):
        count(i, 1)
    merges = []
    while len(merges) < wanted:
        best = max(pairs, key=lambda p: (pairs[p], p))
        if pairs[best] < 2:
            raise ValueError(f"the corpus has pairs for {len(alphabet) + len(merges)} tokens only")
        merges.append(best)
        for i in where.pop(best):
            count(i, -1)
            words[i][0] = merge(words[i][0], best)
            count(i, 1)
        pairs = +pairs if len(merges) % 64 == 0 else pairs
    made = ["".join(pair) for pair in merges]
    if kind is SENTENCEPIECE:  # the earlier a piece, the higher its score
        return [*kind.special, *BYTE_PIECES, *made, *alphabet], []
    return [*alphabet, *made, *kind.special], [" ".join(pair) for pair in merges]


class Tokenizer:
    def __init__(self, tokens: list[str], merges: list[str], kind: Kind = LLAMA3):
        self.tokens, self.merges, self.kind = tokens, merges, kind
        self.id = {t: i for i, t in enumerate(tokens)}
        self.rank = {tuple(m.split(" ")): i for i, m in enumerate(merges)}
        self.bos = self.id[kind.bos] if kind.bos else None
        self.end, self.turn = self.id[kind.end], self.id[kind.turn]
        self.special = splitter(kind.special)
        self.cache: dict[str, list[int]] = {}

    @property
    def is_pieces(self) -> bool:
        return self.kind is SENTENCEPIECE

    @property
    def scores(self) -> list[float]:
        """0 but for pieces: minus their place."""
        first = len(self.kind.special) + 256
        return [float(first - i) if self.is_pieces and i > first else 0.0 for i in range(len(self.tokens))]

    @property
    def types(self) -> list[int]:
        """1 text, 2 unknown, 3 control, 6 a byte"""
        special = {t: 2 if t == "<unk>" else 3 for t in self.kind.special}
        byte = dict.fromkeys(BYTE_PIECES, 6) if self.is_pieces else {}
        return [special.get(t) or byte.get(t, 1) for t in self.tokens]

    def rank_of(self, pair: tuple) -> float:
        """The lower, the earlier it is merged; infinite for what is not."""
        if self.is_pieces:
            return self.id.get(pair[0] + pair[1], float("inf"))
        return self.rank.get(pair, float("inf"))

    def word(self, word: str) -> list[int]:
        """The lowest ranked pair is merged until none is left."""
        if word not in self.cache:
            symbols = tuple(word) if self.is_pieces else tuple(letters(word))
            whole = "".join(symbols)
            if self.kind.whole_words and whole in self.id:
                symbols = (whole,)
            while len(symbols) > 1:
                best = min(zip(symbols, symbols[1:]), key=self.rank_of)
                if self.rank_of(best) == float("inf"):
                    break
                symbols = merge(symbols, best)
            self.cache[word] = [i for s in symbols for i in self.symbol(s)]
        return self.cache[word]

    def symbol(self, symbol: str) -> list[int]:
        if symbol in self.id:
            return [self.id[symbol]]
        return [self.id[BYTE_PIECES[b]] for b in symbol.encode()]

    def encode(self, text: str, begins: bool = True) -> list[int]:
        """`begins` where nothing but a special token comes before: pieces then begin with a blank, as after each of those."""
        ids = []
        for i, part in enumerate(self.special.split(text)):
            if i % 2:
                ids.append(self.id[part])
            elif part:
                if self.is_pieces:
                    part = (BLANK if i or begins else "") + part.replace(" ", BLANK)
                for word in self.kind.split.findall(part):
                    ids += self.word(word)
        return ids

    def decode(self, ids) -> str:
        return b"".join(self.bytes(i) for i in ids).decode("utf-8", "replace")

    def bytes(self, i: int) -> bytes:
        token = self.tokens[i]
        if token in self.kind.special:
            return token.encode()
        if self.is_pieces:
            byte = i - len(self.kind.special)
            return bytes([byte]) if byte < 256 else token.replace(BLANK, " ").encode()
        return bytes(LETTER_BYTES[c] for c in token)

    def begin(self) -> list[int]:
        return [] if self.bos is None else [self.bos]

    def document(self, pieces: list[str]) -> list[int]:
        ids, special = self.begin(), {self.id[t] for t in self.kind.special}
        for piece in restyled(pieces, self.kind):
            ids += self.encode(piece, not ids or ids[-1] in special)
        return ids

    def save(self, path: str) -> None:
        with open(path, "w") as f:
            json.dump({"tokens": self.tokens, "merges": self.merges, "pre": self.kind.pre}, f)

    @staticmethod
    def load(path: str) -> "Tokenizer":
        with open(path) as f:
            made = json.load(f)
        return Tokenizer(made["tokens"], made["merges"], KINDS[made.get("pre", "llama-bpe")])

    @staticmethod
    def of(keys: dict) -> "Tokenizer":
        """Of a file."""
        return Tokenizer(keys["tokenizer.ggml.tokens"], keys.get("tokenizer.ggml.merges", []), KINDS[keys["tokenizer.ggml.pre"]])
