"""Trains a BitNet b1.58 model on the generated corpus and writes it as GGUF: `python3 train/train.py --size tiny`.

One seed, one command. A run that was stopped goes on from its last checkpoint when started again; the learning rate
follows a cosine over `--steps`. CUDA is used where it is, with the matmuls in bfloat16; else the CPU in float32.
"""
import argparse
import ctypes
import json
import math
import os
import time

import numpy as np
import torch
import torch.nn.functional as F

import gguf
from check import perplexity
from corpus import build
from data import PAD, Batches, Data
from model import Config, Model

HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {
    # tokens a step = rows * length; the last tenth of the steps uses rows of the whole context
    "tiny": dict(config=Config(dim=256, layers=4, heads=4, kv_heads=2, ffn=768, vocab=2048), length=256, batch=1024, steps=7000, rate=4e-3, megabytes=12),
    "real": dict(config=Config(dim=512, layers=7, heads=8, kv_heads=2, ffn=1536, vocab=4096), length=512, batch=16384, steps=8000, rate=3e-3, megabytes=40),
}


def keep_freed_memory() -> None:
    """glibc gives large freed blocks back to the system, and the next tensor pays for every page again: 4.3 ns an
    element for a float32 product against 0.2 ns in place. Keeping the blocks doubled the speed of a step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2 ** 31 - 1)  # M_TRIM_THRESHOLD


def losses(model, tokens: np.ndarray, device, dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Negative log-likelihood of each next token (flat), and which of them count."""
    rows = torch.from_numpy(tokens).long().to(device)
    targets = rows[:, 1:].reshape(-1)
    logits = model(rows[:, :-1].clamp(min=0), dtype)
    return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets, ignore_index=PAD, reduction="none"), targets != PAD


@torch.no_grad()
def held_out(model, data: Data, length: int, device, dtype, most: int) -> dict[str, float]:
    """Mean loss on held-out rows: of all tokens, and of each kind of document."""
    tokens, kinds = data.rows("held", length, range(len(data.documents["held"])))
    tokens, kinds = tokens[:most], kinds[:most]
    total, count = np.zeros(len(data.kinds)), np.zeros(len(data.kinds))
    for i in range(0, len(tokens), 16):
        nll, counts = losses(model, tokens[i:i + 16], device, dtype)
        nll, counts, of = nll.double().cpu().numpy(), counts.cpu().numpy(), kinds[i:i + 16, 1:].reshape(-1)
        total += np.bincount(of[counts], nll[counts], len(data.kinds))
        count += np.bincount(of[counts], minlength=len(data.kinds))
    by_kind = {k: total[i] / count[i] for i, k in enumerate(data.kinds) if count[i]}
    return {"all": total.sum() / count.sum(), **by_kind}


def rate_at(step: int, steps: int, peak: float) -> float:
    warm = min(1.0, (step + 1) / min(150, steps / 10))
    return peak * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / steps)))


class Run:
    """The state of a training run: model, optimiser and the steps done; saved and restored as one."""

    def __init__(self, o, folder: str):
        self.o, self.folder, self.size = o, folder, SIZES[o.size]
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.steps = o.steps or self.size["steps"]
        torch.manual_seed(o.seed)
        self.model = Model(self.size["config"]).to(self.device)
        fused = {"fused": True} if self.device.type == "cuda" else {}
        self.optimiser = torch.optim.AdamW(self.model.parameters(), betas=(0.9, 0.98), weight_decay=0.1, **fused)
        self.done, self.seconds = 0, 0.0
        self.path = os.path.join(folder, "checkpoint.pt")
        if os.path.exists(self.path):
            state = torch.load(self.path, map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self.seconds = state["done"], state["seconds"]

    def save(self) -> None:
        state = dict(model=self.model.state_dict(), optimiser=self.optimiser.state_dict(), done=self.done, seconds=self.seconds)
        torch.save(state, self.path + ".part")
        os.replace(self.path + ".part", self.path)

    def step(self, tokens: np.ndarray) -> float:
        group = self.optimiser.param_groups[0]
        group["lr"] = rate_at(self.done, self.steps, self.o.rate or self.size["rate"])
        group["weight_decay"] = 0.1 if self.done < self.steps / 2 else 0.0  # ternary weights settle once decay stops
        nll, counts = losses(self.forward, tokens, self.device, self.dtype)
        loss = nll.sum() / counts.sum()
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.done += 1
        return loss.detach()

    def train(self, data: Data) -> None:
        config, batch = self.size["config"], self.size["batch"]
        self.forward = torch.compile(self.model) if self.o.compile else self.model
        long_from = int(self.steps * 0.9)
        short = Batches(data, self.size["length"], batch // self.size["length"], self.o.seed)
        long = Batches(data, config.context, max(1, batch // config.context), self.o.seed + 1)
        started, saved, recent = time.time() - self.seconds, time.time(), []
        first, begun = self.done, time.time()
        while self.done < self.steps:
            tokens = short[self.done] if self.done < long_from else long[self.done - long_from]
            recent.append(self.step(tokens))
            self.seconds = time.time() - started
            if self.done % self.o.every == 0 or self.done == self.steps:
                speed = (self.done - first) * batch / (time.time() - begun)
                self.report(data, torch.stack(recent).mean().item(), speed, most=40)
                recent = []
            if time.time() - saved > 120:
                self.save()
                saved = time.time()
        self.save()

    def report(self, data: Data, loss: float, speed: float, most: int) -> None:
        held = held_out(self.model, data, self.size["length"], self.device, self.dtype, most)
        line = dict(step=self.done, seconds=round(self.seconds), tokens=self.done * self.size["batch"], loss=round(loss, 4), perplexity=round(math.exp(held["all"]), 4),
                    speed=round(speed), held={k: round(v, 4) for k, v in held.items()})
        with open(os.path.join(self.folder, "log.jsonl"), "a") as f:
            f.write(json.dumps(line) + "\n")
        print(f"step {self.done}/{self.steps}  {self.seconds:.0f} s  {speed:.0f} tokens/s  loss {loss:.4f}  held-out perplexity {math.exp(held['all']):.4f}  "
              + " ".join(f"{k} {v:.3f}" for k, v in held.items()), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", choices=SIZES, default="tiny")
    options.add_argument("--steps", type=int, help="steps of the whole schedule")
    options.add_argument("--rate", type=float, help="peak learning rate")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--threads", type=int)
    options.add_argument("--every", type=int, default=100, help="steps between reports")
    options.add_argument("--compile", action="store_true", help="torch.compile the model (PyTorch 2)")
    options.add_argument("--out", help="folder of the run")
    options.add_argument("--gguf", help="where to write the model; default: model.gguf in the folder of the run")
    o = options.parse_args()
    if o.threads:
        torch.set_num_threads(o.threads)
    keep_freed_memory()
    torch.set_flush_denormal(True)
    folder = o.out or os.path.join(HERE, "out", o.size)
    size = SIZES[o.size]
    data = Data(folder, size["config"].vocab, size["megabytes"], o.seed)
    run = Run(o, folder)
    tokens = {side: sum(map(len, docs)) for side, docs in data.documents.items()}
    print(f"{sum(p.numel() for p in run.model.parameters()) / 1e6:.2f} M parameters on {run.device}, {tokens['train'] / 1e6:.2f} M tokens to train on and "
          f"{tokens['held'] / 1e3:.0f} k held out, from step {run.done} of {run.steps}", flush=True)
    run.train(data)
    held = held_out(run.model, data, size["length"], run.device, run.dtype, most=10 ** 9)
    print("all held-out rows: perplexity " + "  ".join(f"{k} {math.exp(v):.4f}" for k, v in held.items()))
    gguf.export(o.gguf or os.path.join(folder, "model.gguf"), run.model, data.tokenizer, f"ternion-{o.size}")
    measure_text(run, data, os.path.join(folder, "held-out.txt"))


@torch.no_grad()
def measure_text(run: Run, data: Data, path: str) -> None:
    """Writes the held-out text and prints the trainer's own perplexity of it, the figure that an engine must meet."""
    text = build.held_text(run.o.seed + 2)
    with open(path, "w") as f:
        f.write(text)
    model = run.model.cpu()
    model.token_embd.weight.copy_(model.token_embd.weight.half().float())  # as in the file
    value, error, count = perplexity(lambda ids: model(torch.tensor([ids]))[0].numpy(), data.tokenizer, text, 512)
    print(f"{path}: perplexity {value:.4f}, mean negative log-likelihood {math.log(value):.4f} +- {error:.4f}, {count} tokens in chunks of 512")


if __name__ == "__main__":
    main()
