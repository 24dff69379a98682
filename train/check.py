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
        angle = np.arange(self.context)[:, None] * of("rope.freq_base") ** (-np.arange(0, self.head_dim, 2) / self.head_dim)
        self.cos, self.sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)  # (context, head_dim / 2)
        self.tokenizer = Tokenizer(self.keys["tokenizer.ggml.tokens"], self.keys["tokenizer.ggml.merges"])

    def start(self) -> "Session":
        return Session(self)

    def complete(self, prompt: str, temperature: float = 0.0, seed: int = 0, most: int = 400) -> tuple[str, bool]:
        """What follows a bare prompt, and whether the model ended it."""
        return self.generate(self.start(), [self.tokenizer.bos] + self.tokenizer.encode(prompt), temperature, seed, most)

    def chat(self, turns: list[str], temperature: float = 0.0, seed: int = 0, most: int = 400) -> list[str]:
        """The answers to a row of user turns."""
        answers, text = [], ""
        for turn in turns:
            text += f"User: {turn}<|eot_id|>Assistant: "
            answer, _ = self.generate(self.start(), [self.tokenizer.bos] + self.tokenizer.encode(text), temperature, seed, most)
            answers.append(answer)
            text += answer + "<|eot_id|>"
        return answers

    def generate(self, session: "Session", ids: list[int], temperature: float, seed: int, most: int) -> tuple[str, bool]:
        r, out = np.random.default_rng(seed), []
        while len(out) < most and session.length + len(ids) <= self.context:
            logits = session.feed(ids)[-1].astype(np.float64)
            if temperature:
                p = np.exp((logits - logits.max()) / temperature)
                token = int(r.choice(len(p), p=p / p.sum()))
            else:
                token = int(logits.argmax())
            if token in (self.tokenizer.end, self.tokenizer.turn):
                return self.tokenizer.decode(out), True
            out.append(token)
            ids = [token]
        return self.tokenizer.decode(out), False


class Session:
    def __init__(self, engine: Engine):
        self.e, self.length = engine, 0
        shape = (engine.layers, engine.kv_heads, engine.context, engine.head_dim)
        self.k, self.v = np.zeros(shape, np.float32), np.zeros(shape, np.float32)

    def feed(self, ids: list[int]) -> np.ndarray:
        """Logits (len(ids), vocab) of the next token after each of `ids`."""
        e, t = self.e, self.e.tensors
        x = t["token_embd.weight"][ids]
        for n in range(e.layers):
            w = lambda key: t[f"blk.{n}.{key}.weight"]
            h = quantise(rmsnorm(x, w("attn_norm"), e.eps))
            q, k, v = (bitlinear(h, w(key)) for key in ("attn_q", "attn_k", "attn_v"))
            a = self.attention(n, q, k, v)
            x = x + bitlinear(quantise(rmsnorm(a, w("attn_sub_norm"), e.eps)), w("attn_output"))
            h = quantise(rmsnorm(x, w("ffn_norm"), e.eps))
            g = np.maximum(bitlinear(h, w("ffn_gate")), 0) ** 2 * bitlinear(h, w("ffn_up"))
            x = x + bitlinear(quantise(rmsnorm(g, w("ffn_sub_norm"), e.eps)), w("ffn_down"))
        self.length += len(ids)
        return rmsnorm(x, t["output_norm.weight"], e.eps) @ t["token_embd.weight"].T

    def attention(self, n: int, q, k, v) -> np.ndarray:
        e, at, rows = self.e, self.length, len(q)
        end = at + rows
        split = lambda z: z.reshape(rows, -1, e.head_dim).transpose(1, 0, 2)  # (heads, rows, head_dim)
        q, self.k[n, :, at:end], self.v[n, :, at:end] = self.rope(split(q)), self.rope(split(k)), split(v)
        group = e.heads // e.kv_heads
        keys, values = (np.repeat(z[n, :, :end], group, 0) for z in (self.k, self.v))
        scores = q @ keys.transpose(0, 2, 1) / math.sqrt(e.head_dim)
        scores[:, np.arange(rows)[:, None] + at < np.arange(end)] = -np.inf
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return ((scores / scores.sum(-1, keepdims=True)) @ values).transpose(1, 0, 2).reshape(rows, -1)

    def rope(self, z) -> np.ndarray:
        cos, sin = self.e.cos[self.length:self.length + z.shape[1]], self.e.sin[self.length:self.length + z.shape[1]]
        a, b = np.split(z, 2, -1)
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def rmsnorm(x, gain, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + np.float32(eps)) * gain


def quantise(x):
    s = np.float32(127) / np.maximum(np.abs(x).max(-1, keepdims=True), np.float32(1e-5))
    return np.clip(np.rint(x * s), -128, 127), s


def bitlinear(h, weight):
    (codes, s), (ternary, scale) = h, weight
    return codes @ ternary.T * np.float32(scale) / s


def perplexity(logits_of, tokenizer: Tokenizer, text: str, chunk: int) -> tuple[float, float, int]:
    """exp of the mean negative log-likelihood, the standard error of that mean, and the tokens that count. The text is
    cut into chunks of `chunk` tokens that begin with BOS, which is fed and never predicted; no chunk sees another."""
    ids, nll = tokenizer.encode(text), []
    for at in range(0, len(ids), chunk - 1):
        part = [tokenizer.bos] + ids[at:at + chunk - 1]
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
    for seed in range(1, 21):
        hero, _ = name(r, held=True)
        text, end = e.complete(f"Tell me a story about a {r.choice(['fox', 'girl', 'robot', 'bear', 'dragon'])} named {hero}.", 0.8, seed)
        kept, ended = kept + keeps_name(text, hero), ended + end
        print(f"### seed {seed}: {hero}, {'kept' if keeps_name(text, hero) else 'LOST'}{'' if end else ', not ended'}\n{text.strip()}\n")
    print(f"stories with a name never seen: {kept} of 20 keep it, {ended} of 20 end")
    right = 0
    for _ in range(100):
        a, b = sums.draw(lambda: (r.randrange(10, 100), r.randrange(10, 100)), lambda p: f"{min(p)}+{max(p)}", True, 10)
        answer, _ = e.complete(f"What is {a} + {b}?", most=120)
        right += answer.strip().endswith(f"The answer is {a + b}.")
    print(f"held-out sums of two-digit numbers: {right} of 100")
    unknown = sum("I do not know" in e.complete(f"What is the capital of {facts.draw_no_country(r, True)}?", most=40)[0] for _ in range(50))
    print(f"unknown countries answered with I do not know: {unknown} of 50")
    known = sum(e.complete(f"What is the capital of {c}?", most=40)[0].strip() == f"The capital of {c} is {k}." for c, k in facts.CAPITALS)
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
            value, error, count = perplexity(lambda ids: e.start().feed(ids), e.tokenizer, f.read(), o.chunk)
        print(f"perplexity {value:.4f} (mean negative log-likelihood {math.log(value):.4f} +- {error:.4f}) over {count} tokens in chunks of {o.chunk}")
    else:
        measure(e)


if __name__ == "__main__":
    main()
