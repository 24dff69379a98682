"""BitNet b1.58 as the engine computes it: ternary weights, int8 activations, straight-through gradients.

The parameters carry the names of the GGUF tensors, so that a state dict is the file's tensor list. An activation that
goes into a ternary layer is a pair (codes, step): integers of -127..127 and one float a row, whose product is the
value. Codes and ternary weights are exact in bfloat16 as well as in float32; there, only results of a matmul are rounded.

Gradients pass rounding as if it were not there: the gradient of the value travels on `codes`. The few hand-written
backward passes below save passes over memory; `test_train.py` holds them to autograd.
"""
import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import Function


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

    @property
    def head_dim(self) -> int:
        return self.dim // self.heads


def ternarise(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights of -1, 0, +1 and the scale: the mean magnitude of the master weights."""
    scale = weight.abs().mean().clamp(min=1e-5)
    return (weight / scale).round_().clamp_(-1, 1), scale


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


class TernaryMatmul(Function):
    """(codes . ternary) * step * scale: an integer dot, scaled once. `dtype` is the type that the matmuls run in."""

    @staticmethod
    def forward(ctx, codes, step, weight, dtype):
        ternary, scale = ternarise(weight)
        codes, ternary = codes.to(dtype), ternary.to(dtype)
        ctx.save_for_backward(codes, step, ternary, scale)
        return (codes @ ternary.t()).float().mul_(step * scale)

    @staticmethod
    def backward(ctx, grad):
        codes, step, ternary, scale = ctx.saved_tensors
        dvalue = (grad.to(ternary.dtype) @ ternary).float().mul_(scale)
        scaled = (grad * step).to(codes.dtype)
        dweight = scaled.reshape(-1, scaled.shape[-1]).t() @ codes.reshape(-1, codes.shape[-1])
        return dvalue, None, dweight.float(), None


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
    """RoPE in NeoX halves: element i turns with element i + head_dim / 2. Its transpose turns the other way."""

    @staticmethod
    def forward(ctx, x, cos, sin):
        ctx.save_for_backward(cos, sin)
        return turn(x, cos, sin)

    @staticmethod
    def backward(ctx, grad):
        cos, sin = ctx.saved_tensors
        return turn(grad, cos, -sin), None, None


def turn(x, cos, sin):
    a, b = x.chunk(2, -1)
    out = torch.empty_like(x)
    half = a.shape[-1]
    torch.mul(a, cos, out=out[..., :half]).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=out[..., half:]).addcmul_(a, sin)
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


class Block(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        kv = c.kv_heads * c.head_dim
        self.attn_norm, self.attn_sub_norm = Norm(c.dim), Norm(c.dim)
        self.attn_q, self.attn_k, self.attn_v, self.attn_output = Linear(c.dim, c.dim), Linear(c.dim, kv), Linear(c.dim, kv), Linear(c.dim, c.dim)
        self.ffn_norm, self.ffn_sub_norm = Norm(c.dim), Norm(c.ffn)
        self.ffn_gate, self.ffn_up, self.ffn_down = Linear(c.dim, c.ffn), Linear(c.dim, c.ffn), Linear(c.ffn, c.dim)

    def forward(self, x, rope, dtype):
        def bit(h, layer):
            return TernaryMatmul.apply(*h, layer.weight, dtype)

        h = NormQuantise.apply(x, self.attn_norm.weight, self.c.eps)
        a = self.attention(bit(h, self.attn_q), bit(h, self.attn_k), bit(h, self.attn_v), rope, dtype)
        x = x + bit(NormQuantise.apply(a, self.attn_sub_norm.weight, self.c.eps), self.attn_output)
        h = NormQuantise.apply(x, self.ffn_norm.weight, self.c.eps)
        g = Gate.apply(bit(h, self.ffn_gate), bit(h, self.ffn_up))
        return x + bit(NormQuantise.apply(g, self.ffn_sub_norm.weight, self.c.eps), self.ffn_down)

    def attention(self, q, k, v, rope, dtype):
        c = self.c
        rows, length, _ = q.shape
        q, k, v = (z.view(rows, length, -1, c.head_dim).transpose(1, 2) for z in (q, k, v))  # (rows, heads, length, head_dim)
        q, k = Rotate.apply(q, *rope), Rotate.apply(k, *rope)
        if q.is_cuda:
            k, v = (z.repeat_interleave(c.heads // c.kv_heads, 1) for z in (k, v))
            a = F.scaled_dot_product_attention(q.to(dtype), k.to(dtype), v.to(dtype), is_causal=True).float()
        else:  # the heads that share a kv head are stacked as rows, so that k and v are never copied
            q = (q * c.head_dim ** -0.5).reshape(rows, c.kv_heads, -1, c.head_dim)
            scores = (q @ k.transpose(-1, -2)).view(rows, c.kv_heads, -1, length, length)
            scores = scores.add_(torch.full((length, length), -math.inf).triu_(1)).softmax(-1)
            a = (scores.view(rows, c.kv_heads, -1, length) @ v).view(rows, c.heads, length, c.head_dim)
        return a.transpose(1, 2).reshape(rows, length, c.dim)


class Model(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.token_embd = nn.Embedding(c.vocab, c.dim)
        nn.init.normal_(self.token_embd.weight, std=0.02)
        self.blk = nn.ModuleList(Block(c) for _ in range(c.layers))
        self.output_norm = Norm(c.dim)
        for name, table in zip(("cos", "sin"), rope_tables(c.context, c.head_dim, c.rope_base)):
            self.register_buffer(name, table, persistent=False)  # (context, head_dim / 2)

    def forward(self, ids: torch.Tensor, dtype=torch.float32) -> torch.Tensor:
        """ids (rows, length) -> logits (rows, length, vocab), with `dtype` for the matmuls."""
        rope = self.cos[:ids.shape[1]], self.sin[:ids.shape[1]]
        x = self.token_embd(ids)
        for block in self.blk:
            x = block(x, rope, dtype)
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.c.eps) * self.output_norm.weight
        return x.to(dtype) @ self.token_embd.weight.to(dtype).t()
