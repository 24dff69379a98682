"""Trains a ternary model on the generated corpus and writes it as GGUF: `python3 train/train.py --size tiny`.

One seed, one command. A run that was stopped goes on from its last checkpoint when started again. The learning rate
falls to nothing over `--steps`, or over `--minutes` where the machine's speed is not known. CUDA is used where it is,
with the matmuls in bfloat16; else the CPU in float32, with one process a core (`--workers`) that share each batch.
"""
import argparse
import ctypes
import json
import math
import multiprocessing
import os
import shutil
import tempfile
import time

import numpy as np
import torch
import torch.distributed as dist
import torch.nn.functional as F

import gguf
import grow
from check import perplexity
from corpus import build
from data import PAD, Batches, Data
from model import Config, Model
from tokenizer import QWEN2, SENTENCEPIECE

SIMPLE = {"simple": 0.65, "stories": 0.35}  # what a very small model can learn in minutes
HERE = os.path.dirname(os.path.abspath(__file__))
SIZES = {
    # tokens a step = rows * length; the last tenth of the steps uses rows of the whole context
    "tiny": dict(config=Config(dim=256, layers=4, heads=4, kv_heads=2, ffn=768, vocab=2048), length=256, batch=1024, steps=7000, rate=4e-3, megabytes=12),
    "box": dict(config=Config(dim=256, layers=13, heads=4, kv_heads=2, ffn=768, vocab=2048), length=256, batch=1024, steps=5000, rate=3e-3, megabytes=12),
    # for the tests of the other architectures
    "llama": dict(config=Config(arch="llama", dim=256, layers=2, heads=4, kv_heads=1, ffn=256, vocab=512, context=512, rope_base=10000.0, tied=False),
                  length=256, batch=512, steps=2500, rate=4e-3, megabytes=3, kind=SENTENCEPIECE, mix=SIMPLE),
    "qwen3": dict(config=Config(arch="qwen3", dim=192, layers=2, heads=4, kv_heads=2, head_dim=64, ffn=320, vocab=512, context=512, eps=1e-6, rope_base=1e6),
                  length=256, batch=512, steps=2500, rate=4e-3, megabytes=3, kind=QWEN2, mix=SIMPLE),
    "real": dict(config=Config(dim=512, layers=7, heads=8, kv_heads=2, ffn=1536, vocab=4096), length=512, batch=16384, steps=8000, rate=3e-3, megabytes=40),
}
COUNTS = ("done", "long", "tokens", "seconds")  # of a run, saved with it


def keep_freed_memory() -> None:
    """glibc gives large freed blocks back to the system, and the next tensor pays for every page again: 4.3 ns an
    element for a float32 product against 0.2 ns in place. Keeping the blocks doubled the speed of a step."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(-3, 1 << 30)  # M_MMAP_THRESHOLD
        libc.mallopt(-1, 2 ** 31 - 1)  # M_TRIM_THRESHOLD


def limit_threads(count: int) -> None:
    """Threads of this process. OpenBLAS keeps a pool of its own, which PyTorch does not limit: two workers with two such
    threads each were slower than one."""
    torch.set_num_threads(count)
    try:
        ctypes.CDLL("libopenblas.so.0").openblas_set_num_threads(count)
    except OSError:
        pass  # another BLAS


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


def rate_at(progress: float, peak: float) -> float:
    """The learning rate where `progress` (0 to 1) of the run is done: a short rise, then a cosine."""
    return peak * min(1.0, (progress + 1e-3) / 0.02) * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))


class Run:
    """The state of a training run: model, optimiser and the steps done; saved and restored as one."""

    def __init__(self, o, folder: str, rank: int = 0):
        self.o, self.folder, self.size, self.rank = o, folder, SIZES[o.size], rank
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = torch.bfloat16 if self.device.type == "cuda" else torch.float32
        self.steps = o.steps or self.size["steps"]
        torch.manual_seed(o.seed)
        self.model = Model(self.size["config"]).to(self.device)
        self.path = os.path.join(folder, "checkpoint.pt")
        if o.from_gguf and not os.path.exists(self.path):
            grow.grow(self.model, grow.read(o.from_gguf)[0], o.seed)
        if o.start and not os.path.exists(self.path):
            self.model.load_state_dict(torch.load(os.path.join(o.start, "checkpoint.pt"), map_location=self.device)["model"])
        fused = {"fused": True} if self.device.type == "cuda" else {}
        self.optimiser = torch.optim.AdamW(self.model.parameters(), betas=(0.9, 0.98), weight_decay=0.1, **fused)
        self.done, self.long, self.tokens, self.seconds = 0, 0, 0, 0.0  # steps, those of them with long rows, tokens, time
        if os.path.exists(self.path):
            state = torch.load(self.path, map_location=self.device)
            self.model.load_state_dict(state["model"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.done, self.long, self.tokens, self.seconds = (state[k] for k in COUNTS)
        self.started = time.time() - self.seconds

    @property
    def progress(self) -> float:
        """How much of the run is done, 0 to 1: in time where `--minutes` is given, else in steps."""
        return self.seconds / (60 * self.o.minutes) if self.o.minutes else self.done / self.steps

    def save(self) -> None:
        if self.rank:
            return
        state = dict(model=self.model.state_dict(), optimiser=self.optimiser.state_dict(), **{k: getattr(self, k) for k in COUNTS})
        torch.save(state, self.path + ".part")
        os.replace(self.path + ".part", self.path)

    def step(self, tokens: np.ndarray) -> torch.Tensor:
        """One batch -> its loss. Each worker takes its share of the rows, and all make the same step."""
        group = self.optimiser.param_groups[0]
        group["lr"] = rate_at(self.progress, self.o.rate or self.size["rate"])
        group["weight_decay"] = 0.1 if self.progress < 0.5 else 0.0  # ternary weights settle once decay stops
        nll, _ = losses(self.forward, tokens[self.rank::self.o.workers], self.device, self.dtype)
        loss = nll.sum() / int((tokens[:, 1:] != PAD).sum())
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        loss, self.seconds = loss.detach(), time.time() - self.started
        if self.o.workers > 1:
            loss = self.share(loss)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimiser.step()
        self.done, self.tokens = self.done + 1, self.tokens + tokens[:, 1:].size
        return loss

    def share(self, loss: torch.Tensor) -> torch.Tensor:
        """Sums the gradients and the loss over the workers, and takes the time from the first of them."""
        grads = [p.grad for p in self.model.parameters()]
        extra = torch.tensor([loss.item(), self.seconds if self.rank == 0 else 0.0])
        flat = torch.cat([g.flatten() for g in grads] + [extra])
        dist.all_reduce(flat)
        for grad, part in zip(grads, flat.split([g.numel() for g in grads] + [2])):
            grad.copy_(part.view_as(grad))
        self.seconds = flat[-1].item()
        return flat[-2].clone()  # a view would keep the whole buffer as long as somebody keeps the loss

    def train(self, data: Data) -> None:
        config, batch = self.size["config"], self.size["batch"]
        self.forward = torch.compile(self.model) if self.o.compile else self.model
        short = Batches(data, self.size["length"], batch // self.size["length"], self.o.seed)
        long = Batches(data, config.context, max(self.o.workers, batch // config.context), self.o.seed + 1)
        saved, recent = time.time(), []
        first, begun = self.tokens, time.time()
        while self.progress < 1:
            if self.progress < 0.9:
                tokens = short[self.done - self.long]
            else:
                tokens = long[self.long]
                self.long += 1
            loss = self.step(tokens)
            if self.rank == 0:
                recent.append(loss)
            if self.done % self.o.every == 0 and self.rank == 0:
                speed = (self.tokens - first) / (time.time() - begun)
                self.report(data, torch.stack(recent).mean().item(), speed, most=40)
                recent = []
            if time.time() - saved > 120:
                self.save()
                saved = time.time()
        self.save()

    def report(self, data: Data, loss: float, speed: float, most: int) -> None:
        held = held_out(self.model, data, self.size["length"], self.device, self.dtype, most)
        line = dict(step=self.done, seconds=round(self.seconds), tokens=self.tokens, loss=round(loss, 4), perplexity=round(math.exp(held["all"]), 4),
                    speed=round(speed), held={k: round(v, 4) for k, v in held.items()})
        with open(os.path.join(self.folder, "log.jsonl"), "a") as f:
            f.write(json.dumps(line) + "\n")
        print(f"step {self.done}  {self.progress:.1%}  {self.seconds:.0f} s  {speed:.0f} tokens/s  loss {loss:.4f}  held-out perplexity {math.exp(held['all']):.4f}  "
              + " ".join(f"{k} {v:.3f}" for k, v in held.items()), flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--size", choices=SIZES, default="tiny")
    options.add_argument("--steps", type=int, help="steps of the whole schedule")
    options.add_argument("--rate", type=float, help="peak learning rate")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--minutes", type=float, help="time of the whole schedule, in place of --steps")
    options.add_argument("--from-gguf", help="a shallower model of the same widths to start from")
    options.add_argument("--start", help="folder of a run of the same size, whose master weights and tokenizer this one begins with")
    options.add_argument("--threads", type=int, help="threads of each process")
    options.add_argument("--workers", type=int, default=1, help="processes that share each batch, on the CPU")
    options.add_argument("--every", type=int, default=100, help="steps between reports")
    options.add_argument("--compile", action="store_true", help="torch.compile the model (PyTorch 2)")
    options.add_argument("--out", help="folder of the run")
    options.add_argument("--gguf", help="where to write the model; default: model.gguf in the folder of the run")
    o = options.parse_args()
    keep_freed_memory()
    folder = o.out or os.path.join(HERE, "out", o.size)
    size = SIZES[o.size]
    os.makedirs(folder, exist_ok=True)
    if o.from_gguf:
        grow.read(o.from_gguf)[1].save(os.path.join(folder, "tokenizer.json"))
    if o.start:
        shutil.copy(os.path.join(o.start, "tokenizer.json"), folder)
    data = Data(folder, size["config"].vocab, size["megabytes"], o.seed, **{key: size[key] for key in ("kind", "mix") if key in size})
    with tempfile.TemporaryDirectory() as meeting:
        others = [multiprocessing.get_context("fork").Process(target=work, args=(o, folder, data, rank, meeting), daemon=True) for rank in range(1, o.workers)]
        for process in others:
            process.start()
        work(o, folder, data, 0, meeting)


def work(o, folder: str, data: Data, rank: int, meeting: str) -> None:
    """The run of one worker; the first of them reports, saves and writes the model. They find each other in `meeting`."""
    size = SIZES[o.size]
    if o.threads:
        limit_threads(o.threads)
    torch.set_flush_denormal(True)
    if o.workers > 1:
        dist.init_process_group("gloo", init_method=f"file://{meeting}/workers", rank=rank, world_size=o.workers)
    run = Run(o, folder, rank)
    if rank:
        return run.train(data)
    tokens = {side: sum(map(len, docs)) for side, docs in data.documents.items()}
    print(f"{sum(p.numel() for p in run.model.parameters()) / 1e6:.2f} M parameters on {run.device}, {tokens['train'] / 1e6:.2f} M tokens to train on and "
          f"{tokens['held'] / 1e3:.0f} k held out, {run.progress:.1%} of the run done", flush=True)
    run.train(data)
    held = held_out(run.model, data, size["length"], run.device, run.dtype, most=10 ** 9)
    print("all held-out rows: perplexity " + "  ".join(f"{k} {math.exp(v):.4f}" for k, v in held.items()))
    gguf.export(o.gguf or os.path.join(folder, "model.gguf"), run.model, data.tokenizer, f"ternion-{o.size}")
    measure_text(run, data, os.path.join(folder, "held-out.txt"))


@torch.no_grad()
def measure_text(run: Run, data: Data, path: str) -> None:
    """Writes the held-out text and prints the trainer's own perplexity of it, the figure that an engine must meet."""
    text = build.held_text(run.o.seed + 2, *[run.size["mix"]] if "mix" in run.size else [])
    with open(path, "w") as f:
        f.write(text)
    model = run.model.cpu()
    if model.c.family.table == "F16":
        model.token_embd.weight.copy_(model.token_embd.weight.half().float())  # as in the file
    chunk = min(512, model.c.context)
    value, error, count = perplexity(lambda ids: model(torch.tensor([ids]))[0].numpy(), data.tokenizer, text, chunk)
    print(f"{path}: perplexity {value:.4f}, mean negative log-likelihood {math.log(value):.4f} +- {error:.4f}, {count} tokens in chunks of {chunk}")


if __name__ == "__main__":
    main()
