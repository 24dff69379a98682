"""BitNet b1.58, Llama and Qwen3 as the engine computes them: ternary weights, straight-through gradients.

The parameters carry the names of the GGUF tensors, so that a state dict is the file's tensor list. An activation that
goes into a ternary layer is a pair (codes, step): integers of -127..127 and one float a row, whose product is the
value. Codes and ternary weights are exact in bfloat16 as well as in float32; there, only results of a matmul are rounded.
Where activations are not rounded, the value itself stands in place of the codes, with a step of 1.

Gradients pass rounding as if it were not there: the gradient of the value travels on `codes`. The few hand-written
backward passes below save passes over memory; `test_train.py` holds them to autograd.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function


@dataclass(frozen=True)
class Family:
    """In what the graphs of the architectures differ."""
    sub_norms: bool  # norms of their own before attn_output and ffn_down
    head_norms: bool  # of each head of q and k, before RoPE
    adjacent: bool  # RoPE turns elements 2i and 2i + 1 together; else i and i + head_dim / 2
    silu: bool  # else the squared ReLU
    rounded: bool  # activations to int8, as the engine does with the weight type below
    weights: str  # type in the file
    group: int  # weights that share a scale; 0: those of a matrix do
    table: str  # type of the embedding, and of the head where it is not the embedding


FAMILIES = {
    "bitnet-b1.58": Family(sub_norms=True, head_norms=False, adjacent=False, silu=False, rounded=True, weights="I2_S", group=0, table="F16"),
    "llama": Family(sub_norms=False, head_norms=False, adjacent=True, silu=True, rounded=True, weights="TQ2_0", group=256, table="Q8_0"),
    "qwen3": Family(sub_norms=False, head_norms=True, adjacent=False, silu=True, rounded=False, weights="Q2_0", group=64, table="Q2_0"),
}


@dataclass
class Config:
    dim: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int
    vocab: int
    context: int = 1024
    eps: float = 1e-5
    rope_base: float = 500000.0
    arch: str = "bitnet-b1.58"
    head_dim: int = 0  # 0: the width over the heads
    tied: bool = True  # the head is the embedding

    def __post_init__(self):
        self.head_dim = self.head_dim or self.dim // self.heads

    @property
    def family(self) -> Family:
        return FAMILIES[self.arch]


def ternarise(weight: torch.Tensor, group: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of -1, 0, +1 and the scale: the mean magnitude of the master weights. With `group`, each so many weights of
    a row have one, in half precision as in the file: (rows, columns / group, 1)."""
    if not group:
        scale = weight.abs().mean().clamp(min=1e-5)
        return (weight / scale).round_().clamp_(-1, 1), scale
    parts = weight.view(weight.shape[0], -1, group)
    scale = parts.abs().mean(-1, keepdim=True).clamp_(min=1e-5).half().float()
    return (parts / scale).round_().clamp_(-1, 1).view_as(weight), scale


def as_in_file(weight: torch.Tensor, group: int) -> torch.Tensor:
    """Weights with scales by groups -> what they stand for."""
    ternary, scale = ternarise(weight, group)
    return (ternary.view(weight.shape[0], -1, group) * scale).view_as(weight)


class Ternary(Function):
    """A table of ternary weights, as numbers; the gradient passes."""

    @staticmethod
    def forward(ctx, weight, group):
        return as_in_file(weight, group)

    @staticmethod
    def backward(ctx, grad):
        return grad, None


ONE = torch.ones(())


class NormQuantise(Function):
    """rmsnorm(x, gain), then int8 by the largest magnitude of the row -> codes (..., d), step (..., 1)."""

    @staticmethod
    def forward(ctx, x, gain, eps):
        rms = torch.linalg.vector_norm(x, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        y = (x * rms).mul_(gain)
        step = y.abs().amax(-1, keepdim=True).clamp_(min=1e-5).div_(127)
        ctx.save_for_backward(x, gain, rms)
        ctx.mark_non_differentiable(step)
        return y.div_(step).round_(), step

    @staticmethod
    def backward(ctx, grad, _):
        x, gain, rms = ctx.saved_tensors
        unit = x * rms
        product = grad * unit
        dgain = product.reshape(-1, gain.shape[0]).sum(0)
        along = product.mul_(gain).mean(-1, keepdim=True)
        dx = (grad * gain).sub_(unit.mul_(along)).mul_(rms)
        return dx, dgain, None


class Quantise(Function):
    """The same without a norm."""

    @staticmethod
    def forward(ctx, x):
        step = x.abs().amax(-1, keepdim=True).clamp_(min=1e-5).div_(127)
        ctx.mark_non_differentiable(step)
        return (x / step).round_(), step

    @staticmethod
    def backward(ctx, grad, _):
        return grad


class TernaryMatmul(Function):
    """(codes . ternary) * step * scale: an integer dot, scaled once, or by groups of weights (`group`). `dtype` is the type
    that the matmuls run in."""

    @staticmethod
    def forward(ctx, codes, step, weight, dtype, group=0):
        ternary, scale = (as_in_file(weight, group), ONE.to(weight.device)) if group else ternarise(weight)
        codes, ternary = codes.to(dtype), ternary.to(dtype)
        ctx.save_for_backward(codes, step, ternary, scale)
        return (codes @ ternary.t()).float().mul_(step * scale)

    @staticmethod
    def backward(ctx, grad):
        codes, step, ternary, scale = ctx.saved_tensors
        dvalue = (grad.to(ternary.dtype) @ ternary).float().mul_(scale)
        scaled = (grad * step).to(codes.dtype)
        dweight = scaled.reshape(-1, scaled.shape[-1]).t() @ codes.reshape(-1, codes.shape[-1])
        return dvalue, None, dweight.float(), None, None


class Gate(Function):
    """relu(gate)^2 * up"""

    @staticmethod
    def forward(ctx, gate, up):
        positive = gate.relu()
        ctx.save_for_backward(positive, up)
        return positive.square().mul_(up)

    @staticmethod
    def backward(ctx, grad):
        positive, up = ctx.saved_tensors
        dup = (grad * positive).mul_(positive)
        return (grad * positive).mul_(up).mul_(2), dup


class Rotate(Function):
    """RoPE in NeoX halves: element i turns with element i + head_dim / 2. Or, `adjacent`, 2i with 2i + 1. Its transpose
    turns the other way."""

    @staticmethod
    def forward(ctx, x, cos, sin, adjacent=False):
        ctx.save_for_backward(cos, sin)
        ctx.adjacent = adjacent
        return turn(x, cos, sin, adjacent)

    @staticmethod
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        return turn(grad, cos, -sin, ctx.adjacent), None, None, None


def turn(x, cos, sin, adjacent=False):
    pairs = lambda z: (z[..., 0::2], z[..., 1::2]) if adjacent else z.chunk(2, -1)
    out = torch.empty_like(x)
    (a, b), (first, second) = pairs(x), pairs(out)
    torch.mul(a, cos, out=first).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=second).addcmul_(a, sin)
    return out


def rope_tables(positions: int, head_dim: int, base: float) -> tuple[torch.Tensor, torch.Tensor]:
    angle = torch.arange(positions, dtype=torch.float64)[:, None] * base ** (-torch.arange(0, head_dim, 2, dtype=torch.float64) / head_dim)
    return angle.cos().float(), angle.sin().float()


class Norm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))


class Linear(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs) * 0.02)


def rmsnorm(x, gain, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * gain


class Block(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        wide, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
        self.attn_norm, self.attn_sub_norm = Norm(c.dim), Norm(wide) if c.family.sub_norms else None
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = Linear(c.dim, wide), Linear(c.dim, kv), Linear(c.dim, kv), Linear(wide, c.dim)
        if c.family.head_norms:
            self.attn_q_norm, self.attn_k_norm = Norm(c.head_dim), Norm(c.head_dim)
        self.ffn_norm, self.ffn_sub_norm = Norm(c.dim), Norm(c.ffn) if c.family.sub_norms else None
        self.ffn_gate, self.ffn_up, self.ffn_down = Linear(c.dim, c.ffn), Linear(c.dim, c.ffn), Linear(c.ffn, c.dim)

    def forward(self, x, rope, dtype):
        def bit(h, layer):
            return TernaryMatmul.apply(*h, layer.weight, dtype, self.c.family.group)

        h = self.input(x, self.attn_norm)
        a = self.attention(bit(h, self.attn_q), bit(h, self.attn_k), bit(h, self.attn_v), rope, dtype)
        x = x + bit(self.input(a, self.attn_sub_norm), self.attn_output)
        h = self.input(x, self.ffn_norm)
        gate, up = bit(h, self.ffn_gate), bit(h, self.ffn_up)
        g = F.silu(gate) * up if self.c.family.silu else Gate.apply(gate, up)
        return x + bit(self.input(g, self.ffn_sub_norm), self.ffn_down)

    def input(self, x, norm):
        """The input of a ternary layer, normalised and rounded where the family does so."""
        if self.c.family.rounded:
            return Quantise.apply(x) if norm is None else NormQuantise.apply(x, norm.weight, self.c.eps)
        return x if norm is None else rmsnorm(x, norm.weight, self.c.eps), ONE.to(x.device)

    def attention(self, q, k, v, rope, dtype):
        c = self.c
        rows, length, _ = q.shape
        q, k, v = (z.view(rows, length, -1, c.head_dim).transpose(1, 2) for z in (q, k, v))  # (rows, heads, length, head_dim)
        if c.family.head_norms:
            q, k = rmsnorm(q, self.attn_q_norm.weight, c.eps), rmsnorm(k, self.attn_k_norm.weight, c.eps)
        q, k = (Rotate.apply(z, *rope, c.family.adjacent) for z in (q, k))
        if q.is_cuda:
            k, v = (z.repeat_interleave(c.heads // c.kv_heads, 1) for z in (k, v))
            a = F.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype), is_causal=True).float()
        else:  # the heads that share a kv head are stacked as rows, so that k and v are never copied
            q = (q * c.head_dim ** -0.5).reshape(rows, c.kv_heads, -1, c.head_dim)
            scores = (q @ k.transpose(-1, -2)).view(rows, c.kv_heads, -1, length, length)
            scores = scores.add_(torch.full((length, length), -math.inf).triu_(1)).softmax(-1)
            a = (scores.view(rows, c.kv_heads, -1, length) @ v).view(rows, c.heads, length, c.head_dim)
        return a.transpose(1, 2).reshape(rows, length, -1)


class Model(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.vocab, c.dim)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        self.blk = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.output_norm = Norm(c.dim)
        self.output = None if c.tied else Linear(c.dim, c.vocab)
        for name, table in zip(("cos", "sin"), rope_tables(c.context, c.head_dim, c.rope_base)):
            self.register_buffer(name, table, persistent=False)  # (context, head_dim / 2)

    def forward(self, ids: torch.Tensor, dtype=torch.float32) -> torch.Tensor:
        """ids (rows, length) -> logits (rows, length, vocab), with `dtype` for the matmuls."""
        rope = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        table = self.token_embd.weight
        if self.c.family.table == self.c.family.weights:
            table = Ternary.apply(table, self.c.family.group)
        x = F.embedding(ids, table)
        for block in self.blk:
            x = block(x, rope, dtype)
        head = table if self.output is None else self.output.weight
        return rmsnorm(x, self.output_norm.weight, self.c.eps).to(dtype) @ head.to(dtype).t()
