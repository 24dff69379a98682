"""Runs a GGUF file with plain NumPy, apart from the trainer, and measures what the model can do.

    python3 train/check.py models/ternion-tiny.gguf                     every measurement below
    python3 train/check.py models/ternion-tiny.gguf --prompt "..."      one greedy completion
    python3 train/check.py models/ternion-tiny.gguf --chat "..." "..."  a conversation, turn by turn
    python3 train/check.py models/ternion-tiny.gguf --perplexity FILE   of a text, in chunks of --chunk tokens

The forward pass is the exact one: integer codes times ternary weights (float32 sums of integers below 2^24), one scale.
"""
import argparse
import math
import random
import re

import numpy as np

import gguf
from corpus import facts, sums
from corpus.names import name
from tokenizer import Tokenizer


class Engine:
    """A loaded model; `start` gives a session with its own keys and values."""

    def __init__(self, path: str):
        self.keys, self.tensors = gguf.read(path)
        arch = self.keys["general.architecture"]
        of = lambda key: self.keys[f"{arch}.{key}"]
        self.dim, self.layers, self.heads, self.kv_heads = of("embedding_length"), of("block_count"), of("attention.head_count"), of("attention.head_count_kv")
        self.eps, self.context, self.head_dim = of("attention.layer_norm_rms_epsilon"), of("context_length"), of("rope.dimension_count")
        self.adjacent, self.silu = arch == "llama", arch in ("llama", "qwen3")
        angle = np.arange(self.context)[:, None] * of("rope.freq_base") ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        self.cos, self.sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)  # (context, head_dim / 2)
        self.tokenizer = Tokenizer.of(self.keys)

    def start(self) -> "Session":
        return Session(self, 1, self.context)

    def complete(self, prompt: str, temperature: float = 0.0, seed: int = 0, most: int = 400) -> tuple[str, bool]:
        """What follows a bare prompt, and whether the model ended it."""
        return self.complete_all([prompt], temperature, [seed], most)[0]

    def complete_all(self, prompts: list[str], temperature: float = 0.0, seeds: list[int] = (), most: int = 400) -> list[tuple[str, bool]]:
        """`complete` for many prompts, each with its seed. Those of a length go together, which is some ten times faster."""
        ids = [self.tokenizer.begin() + self.tokenizer.encode(p) for p in prompts]
        out: list = [None] * len(prompts)
        for length in {len(i) for i in ids}:
            which = [n for n, i in enumerate(ids) if len(i) == length]
            made = self.generate([ids[n] for n in which], temperature, [seeds[n] if seeds else 0 for n in which], most)
            for n, text in zip(which, made):
                out[n] = text
        return out

    def chat(self, turns: list[str], temperature: float = 0.0, seed: int = 0, most: int = 400) -> list[str]:
        """The answers to a row of user turns."""
        answers, text, kind = [], "", self.tokenizer.kind
        for turn in turns:
            text += f"{kind.role_of('user')}{turn}{kind.turn}{kind.gap}{kind.role_of('assistant')}"
            answer, _ = self.generate([self.tokenizer.begin() + self.tokenizer.encode(text)], temperature, [seed], most)[0]
            answers.append(answer)
            text += answer + kind.turn + kind.gap
        return answers

    def generate(self, ids: list[list[int]], temperature: float, seeds: list[int], most: int) -> list[tuple[str, bool]]:
        """What follows each of `ids`, all of one length, and whether the model ended it."""
        most = min(most, self.context - len(ids[0]))
        session = Session(self, len(ids), len(ids[0]) + most)
        random, out, going = [np.random.default_rng(s) for s in seeds], [[] for _ in ids], set(range(len(ids)))
        step = np.array(ids)
        for _ in range(most):
            logits = session.feed(step)[:, -1].astype(np.float64)
            step = logits.argmax(-1)[:, None]
            for n in sorted(going):
                if temperature:
                    p = np.exp((logits[n] - logits[n].max()) / temperature)
                    step[n] = random[n].choice(len(p), p=p / p.sum())
                if step[n, 0] in (self.tokenizer.end, self.tokenizer.turn):
                    going.remove(n)
                else:
                    out[n].append(int(step[n, 0]))
            if not going:
                break
        return [(self.tokenizer.decode(o), n not in going) for n, o in enumerate(out)]


class Session:
    """Sequences of one length, fed together: at most `room` tokens each."""

    def __init__(self, engine: Engine, sequences: int, room: int):
        self.e, self.length = engine, 0
        shape = (engine.layers, sequences, engine.kv_heads, room, engine.head_dim)
        self.k, self.v = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def feed(self, ids: np.ndarray) -> np.ndarray:
        """ids (sequences, rows) -> logits (sequences, rows, vocab) of the next token after each."""
        e, t = self.e, self.e.tensors
        x = t["token_embd.weight"][ids]
        for n in range(e.layers):
            w = lambda key: t.get(f"blk.{n}.{key}.weight")
            normed = lambda z, key: z if w(key) is None else rmsnorm(z, w(key), e.eps)  # not every family has every norm
            h = normed(x, "attn_norm")
            q, k, v = (product(h, w(key)) for key in ("attn_q", "attn_k", "attn_v"))
            a = self.attention(n, q, k, v, normed)
            x = x + product(normed(a, "attn_sub_norm"), w("attn_output"))
            h = normed(x, "ffn_norm")
            gate, up = product(h, w("ffn_gate")), product(h, w("ffn_up"))
            g = (gate / (1 + np.exp(-gate)) if e.silu else np.maximum(gate, 0) ** 2) * up
            x = x + product(normed(g, "ffn_sub_norm"), w("ffn_down"))
        self.length += ids.shape[1]
        return rmsnorm(x, t["output_norm.weight"], e.eps) @ t.get("output.weight", t["token_embd.weight"]).T

    def attention(self, n: int, q, k, v, normed) -> np.ndarray:
        e, at, (sequences, rows, _) = self.e, self.length, q.shape
        end = at + rows
        split = lambda z: z.reshape(sequences, rows, -1, e.head_dim).swapaxes(1, 2)  # (sequences, heads, rows, head_dim)
        q, k = normed(split(q), "attn_q_norm"), normed(split(k), "attn_k_norm")
        q, self.k[n, :, :, at:end], self.v[n, :, :, at:end] = self.rope(q), self.rope(k), split(v)
        group = e.heads // e.kv_heads
        keys, values = (np.repeat(z[n, :, :, :end], group, 1) for z in (self.k, self.v))
        scores = q @ keys.swapaxes(2, 3) / math.sqrt(e.head_dim)
        scores[..., np.arange(rows)[:, None] + at < np.arange(end)] = -np.inf
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return ((scores / scores.sum(-1, keepdims=True)) @ values).swapaxes(1, 2).reshape(sequences, rows, -1)

    def rope(self, z) -> np.ndarray:
        cos, sin = self.e.cos[self.length:self.length + z.shape[2]], self.e.sin[self.length:self.length + z.shape[2]]
        a, b = (z[..., 0::2], z[..., 1::2]) if self.e.adjacent else np.split(z, 2, -1)
        turned = [a * cos - b * sin, b * cos + a * sin]
        return np.stack(turned, -1).reshape(z.shape) if self.e.adjacent else np.concatenate(turned, -1)


def rmsnorm(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * gain


def quantise(x):
    s = np.float32(127) / np.maximum(np.abs(x).max(-1, keepdims=True), np.float32(1e-5))
    return np.clip(np.rint(x * s), -128, 127), s


def product(x, weight):
    """Rows times a matrix; they are rounded to int8 first where it is a pair of weights and scale."""
    if not isinstance(weight, tuple):
        return x @ weight.T
    (codes, s), (ternary, scale) = quantise(x), weight
    return codes @ ternary.T * np.float32(scale) / s


def perplexity(logits_of, tokenizer: Tokenizer, text: str, chunk: int) -> tuple[float, float, int]:
    """exp of the mean negative log-likelihood, the standard error of that mean, and the tokens that count. The text is
    cut into chunks of `chunk` tokens that begin with BOS, which is fed and never predicted; no chunk sees another. Without
    a BOS, it is the first token of a chunk that is not predicted."""
    ids, nll, begin = tokenizer.encode(text), [], tokenizer.begin()
    size = chunk - len(begin)
    for at in range(0, len(ids), size):
        part = begin + ids[at:at + size]
        logits = logits_of(part[:-1]).astype(np.float64)
        logits -= logits.max(-1, keepdims=True)
        nll += list(np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(part) - 1), part[1:]])
    return math.exp(np.mean(nll)), float(np.std(nll) / math.sqrt(len(nll))), len(nll)


STANDARD = ["Write a Python function to calculate fibonacci:", "What is the capital of France?", "Explain quantum computing in simple terms:"]
THREE_TURNS = [["My name is Zorbin.", "What is the capital of Italy?", "What is my name?"], ["What is the capital of Spain?", "And of Japan?", "And of Zorlandia?"],
               ["I have a dog named Brakka.", "What is 12 + 25?", "What is my dog called?"], ["Tell me a story about a fox named Plimo.", "What was the fox called?", "Thank you!"]]


def fibonacci_runs(text: str) -> bool:
    """Runs the code up to the first line after the function, as a reader would paste it."""
    code = re.split(r"\n\n(?! )", text.strip())[0]
    scope: dict = {}
    try:
        exec(code, scope)
        return next(f for key, f in scope.items() if key.startswith("fib"))(10) == 55
    except Exception:
        return False


def keeps_name(text: str, hero: str) -> bool:
    """The name is used at least three times, and no word that looks half like it takes its place."""
    words = re.findall(r"[A-Z][a-z]+", text)
    near = {w for w in words if w != hero and w[:3] == hero[:3] and len(w) > 3}
    return words.count(hero) >= 3 and not near


def measure(e: Engine) -> None:
    for prompt in STANDARD:
        bare, ended = e.complete(prompt)
        print(f"## {prompt}\nbare{'' if ended else ' (not ended)'}: {bare.strip()}\nchat: {e.chat([prompt])[0]}\n")
        if "fibonacci" in prompt:
            print("fibonacci(10) == 55, bare and chat:", fibonacci_runs(bare), fibonacci_runs(e.chat([prompt])[0]), "\n")
    for turns in THREE_TURNS:
        for turn, answer in zip(turns, e.chat(turns)):
            print(f"User: {turn}\nAssistant: {answer}")
        print()
    r = random.Random(99)
    kept = ended = 0
    seeds, heroes, prompts = list(range(1, 21)), [], []
    for _ in seeds:
        heroes.append(name(r, held=True)[0])
        prompts.append(f"Tell me a story about a {r.choice(['fox', 'girl', 'robot', 'bear', 'dragon'])} named {heroes[-1]}.")
    for seed, hero, (text, end) in zip(seeds, heroes, e.complete_all(prompts, 0.8, seeds)):
        kept, ended = kept + keeps_name(text, hero), ended + end
        print(f"### seed {seed}: {hero}, {'kept' if keeps_name(text, hero) else 'LOST'}{'' if end else ', not ended'}\n{text.strip()}\n")
    print(f"stories with a name never seen: {kept} of 20 keep it, {ended} of 20 end")
    pairs = [sums.draw(lambda: (r.randrange(10, 100), r.randrange(10, 100)), lambda p: f"{min(p)}+{max(p)}", True, 10) for _ in range(100)]
    answers = e.complete_all([f"What is {a} + {b}?" for a, b in pairs], most=120)
    right = sum(answer.strip().endswith(f"The answer is {a + b}.") for (a, b), (answer, _) in zip(pairs, answers))
    print(f"held-out sums of two-digit numbers: {right} of 100")
    answers = e.complete_all([f"What is the capital of {facts.draw_no_country(r, True)}?" for _ in range(50)], most=40)
    unknown = sum("I do not know" in answer for answer, _ in answers)
    print(f"unknown countries answered with I do not know: {unknown} of 50")
    answers = e.complete_all([f"What is the capital of {c}?" for c, _ in facts.CAPITALS], most=40)
    known = sum(answer.strip() == f"The capital of {c} is {k}." for (c, k), (answer, _) in zip(facts.CAPITALS, answers))
    print(f"capitals: {known} of {len(facts.CAPITALS)}")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("model")
    options.add_argument("--prompt")
    options.add_argument("--chat", nargs="+")
    options.add_argument("--perplexity")
    options.add_argument("--chunk", type=int, default=512)
    options.add_argument("--temperature", type=float, default=0.0)
    options.add_argument("--seed", type=int, default=0)
    o = options.parse_args()
    e = Engine(o.model)
    if o.prompt:
        print(e.complete(o.prompt, o.temperature, o.seed)[0])
    elif o.chat:
        for turn, answer in zip(o.chat, e.chat(o.chat, o.temperature, o.seed)):
            print(f"User: {turn}\nAssistant: {answer}")
    elif o.perplexity:
        with open(o.perplexity) as f:
            value, error, count = perplexity(lambda ids: e.start().feed(np.array([ids]))[0], e.tokenizer, f.read(), o.chunk)
        print(f"perplexity {value:.4f} (mean negative log-likelihood {math.log(value):.4f} +- {error:.4f}) over {count} tokens in chunks of {o.chunk}")
    else:
        measure(e)


if __name__ == "__main__":
    main()
