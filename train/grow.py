"""Starts a deep model from a shallow one: the blocks of a GGUF file are stacked, and training goes on from there.

The new model is the old one with the whole stack of its blocks put on top again and again; those copies add a quarter
of what they add below. Measured from 4 to 13 blocks, the loss on held-out text before any training: 1.47 as it was, 1.6
stacked like that, 3.7 with copies that add all, 6.2 with each block repeated in place and its output parted evenly.
"""
import torch

import gguf
from model import Model
from tokenizer import Tokenizer

SHARE = 0.25
OUTPUTS = ("attn_output.weight", "ffn_down.weight")  # what a block adds to the residual stream


def master(ternary: torch.Tensor, scale: float, generator: torch.Generator) -> torch.Tensor:
    """Master weights that ternarise to about `ternary` and `scale`, spread evenly over the values that round to each
    code: were all of a code alike, none would be near its threshold and copies of a block would learn alike."""
    used = ternary.abs().mean().item()
    width = 2 * ((1 - (1 - used) / 4) / used - 0.5)  # makes the mean magnitude 1
    u = torch.rand(ternary.shape, generator=generator)
    return scale * torch.where(ternary == 0, u - 0.5, ternary * (0.5 + width * u))


@torch.no_grad()
def grow(model: Model, tensors: dict, seed: int) -> None:
    """Fills `model` from the tensors of a file of the same widths with no more blocks."""
    generator = torch.Generator().manual_seed(seed)
    old = sum(name.endswith(".attn_q.weight") for name in tensors)
    for name, weight in model.state_dict().items():
        share = 1.0
        if name.startswith("blk."):
            _, index, rest = name.split(".", 2)
            name = f"blk.{int(index) % old}.{rest}"
            share = SHARE if int(index) >= old and rest in OUTPUTS else 1.0
        found = tensors[name]
        start = master(torch.from_numpy(found[0]), found[1] * share, generator) if isinstance(found, tuple) else torch.from_numpy(found.copy())
        if start.shape != weight.shape:
            raise ValueError(f"{name}: expected the shape {list(weight.shape)}, got {list(start.shape)}; a model can grow in depth only")
        weight.copy_(start)


def read(path: str) -> tuple[dict, Tokenizer]:
    """The tensors of a file, and its tokenizer: the model that grows keeps it."""
    keys, tensors = gguf.read(path)
    return tensors, Tokenizer.of(keys)
