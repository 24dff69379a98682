"""Mixes the generators into documents: `python3 -m corpus.build --out out` writes train.jsonl and held.jsonl.

A document is a list of pieces. Pieces are tokenised apart, as they are when a model is used: the prompt is one piece
and what the model adds is the next, so that no token ever spans the two. Every document ends with an end token.
"""
import argparse
import json
import os
import random

from . import chat, facts, notions, programs, stories, sums

END, TURN = "<|end_of_text|>", "<|eot_id|>"
SYSTEM = ["You are a helpful assistant.", "You are Ternion, a small and helpful assistant.", "Answer briefly.", "You are a friendly assistant that answers in simple words."]
Document = list[str]


def completion(r, prompt: str, answer: str) -> Document:
    """A bare prompt and its answer on the next line."""
    return [prompt, "\n" + answer + END] if r.random() < 0.85 else [prompt + "\n", answer + END]


def dialogue(r, turns: chat.Turns) -> Document:
    """The chat template. The last answer is its own piece; earlier ones are, or were, depending on who keeps the history."""
    pieces = [f"System: {r.choice(SYSTEM)}{TURN}"] if r.random() < 0.15 else [""]
    kept = r.random() < 0.5
    for i, (question, answer) in enumerate(turns):
        pieces[-1] += f"User: {question}{TURN}Assistant: "
        if kept or i == len(turns) - 1:
            pieces += [answer + TURN, ""]
        else:
            pieces[-1] += answer + TURN
    return [p for p in pieces if p]


def either(r, prompt: str, answer: str) -> Document:
    return completion(r, prompt, answer) if r.random() < 0.45 else dialogue(r, [(prompt, answer)])


def standard(r, held: bool) -> Document:
    """The three prompts that everyone tries first."""
    return either(r, *r.choice([("Write a Python function to calculate fibonacci:", programs.answer(r, 0)), ("What is the capital of France?", "The capital of France is Paris."),
                                ("Explain quantum computing in simple terms:", notions.answer(r, "quantum computing"))]))


def tale(r, held: bool) -> Document:
    prompt, text = stories.story(r, held)
    if r.random() < 0.15:  # a story with no prompt, or begun by the reader
        words = text.split(" ")
        cut = r.choice((0, 4, 8))
        return [p for p in (" ".join(words[:cut]), (" " if cut else "") + " ".join(words[cut:]) + END) if p]
    return either(r, prompt, text)


# kind, generator, share of the characters
MIX = [
    ("stories", tale, 0.40),
    ("facts", lambda r, held: either(r, *facts.exchange(r, held)), 0.16),
    ("sums", lambda r, held: either(r, *sums.exchange(r, held)), 0.11),
    ("notions", lambda r, held: either(r, *notions.exchange(r, held)), 0.10),
    ("programs", lambda r, held: either(r, *programs.exchange(r, held)), 0.06),
    ("chat", lambda r, held: dialogue(r, chat.conversation(r, held)), 0.16),
    ("standard", standard, 0.01),
    ("simple", lambda r, held: either(r, *facts.simple(r, held)), 0.0),
]


def documents(seed: int, characters: int, held: bool = False, mix: "dict[str, float] | None" = None) -> list[tuple[str, Document]]:
    """Draws whichever kind is furthest below its share until there are enough characters. `mix` has other shares, of some kinds."""
    r = random.Random(seed)
    shares = mix or {kind: share for kind, _, share in MIX if share}
    mix = [(kind, make, shares[kind]) for kind, make, _ in MIX if kind in shares and not (held and kind == "standard")]
    written = {kind: 0 for kind, _, _ in mix}
    out = []
    while sum(written.values()) < characters:
        kind, make, _ = min(mix, key=lambda m: written[m[0]] / m[2])
        document = make(r, held)
        written[kind] += sum(map(len, document))
        out.append((kind, document))
    r.shuffle(out)
    return out


def held_text(seed: int, kinds=("stories", "facts", "sums", "notions", "programs")) -> str:
    """Plain text of the held-out side with no special tokens, for measuring perplexity: prompts, answers, stories."""
    r, pairs = random.Random(seed), []
    for kind, make, count in (("stories", stories.story, 40), ("facts", facts.exchange, 80), ("simple", facts.simple, 80), ("sums", sums.exchange, 40), ("notions", notions.exchange, 25), ("programs", programs.exchange, 15)):
        if kind in kinds:
            pairs += [make(r, True) for _ in range(count)]
    r.shuffle(pairs)
    return "\n\n".join(f"{prompt}\n{answer}" for prompt, answer in pairs) + "\n"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--out", default=os.path.join(os.path.dirname(__file__), "..", "out"))
    options.add_argument("--megabytes", type=float, default=12)
    options.add_argument("--seed", type=int, default=1)
    o = options.parse_args()
    os.makedirs(o.out, exist_ok=True)
    for name, seed, characters, held in (("train", o.seed, o.megabytes * 1e6, False), ("held", o.seed + 1, 300e3, True)):
        made = documents(seed, int(characters), held)
        with open(os.path.join(o.out, name + ".jsonl"), "w") as f:
            for kind, document in made:
                f.write(json.dumps([kind, document]) + "\n")
        size = sum(len(p) for _, d in made for p in d)
        print(f"{name}: {len(made)} documents, {size / 1e6:.2f} MB, {len({''.join(d) for _, d in made})} different")


if __name__ == "__main__":
    main()
