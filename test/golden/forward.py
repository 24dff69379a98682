"""Golden values of a model: a forward pass of BitNet b1.58 in float64 (NumPy), written from the published equations.

    python3 test/golden/forward.py FOLDER            compare golden.bin with what this computes
    python3 test/golden/forward.py FOLDER --write    write golden.bin

FOLDER holds model.gguf, and golden.json with the tokens and the place of each intermediate. Shares no code with Ternion:
it reads the file itself, with no check of it, and rounds to float32 only at the end.
"""

import json
import struct
import sys
from pathlib import Path

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read_gguf(path):
    """Metadata by key, tensors by name: float arrays, and (codes - 1, scale) of ternary ones."""
    data, at = path.read_bytes(), 8

    def number(form):
        nonlocal at
        (value,) = struct.unpack_from("<" + form, data, at)
        at += struct.calcsize(form)
        return value

    def text():
        nonlocal at
        length = number("Q")
        at += length
        return data[at - length : at].decode("utf8", "replace")

    def value(kind):
        if kind == STRING:
            return text()
        if kind != ARRAY:
            return number(SCALARS[kind])
        element, count = number("I"), number("Q")
        return [value(element) for _ in range(count)]

    tensor_count, key_count = number("Q"), number("Q")
    keys = {}
    for _ in range(key_count):
        key = text()
        keys[key] = value(number("I"))
    infos = []
    for _ in range(tensor_count):
        name = text()
        dims = [number("Q") for _ in range(number("I"))]
        infos.append((name, dims, number("I"), number("Q")))
    alignment = keys.get("general.alignment", 32)
    start = -(-at // alignment) * alignment
    return keys, {name: tensor(data, start + offset, dims, kind) for name, dims, kind, offset in infos}


def tensor(data, at, dims, kind):
    shape, count = dims[::-1], int(np.prod(dims))
    if kind == 0:
        return np.frombuffer(data, "<f4", count, at).reshape(shape).astype(np.float64)
    if kind == 1:
        return np.frombuffer(data, "<f2", count, at).reshape(shape).astype(np.float64)
    # I2_S: 128 weights in 32 bytes, byte b has weights b, 32 + b, 64 + b, 96 + b from its highest bits down; then a scale
    packed = np.frombuffer(data, np.uint8, count // 4, at).reshape(-1, 1, 32)
    codes = (packed >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1)) & 3
    (scale,) = struct.unpack_from("<f", data, at + count // 4)
    return codes.reshape(shape).astype(np.float64) - 1, scale


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def bitlinear(x, weight):
    """x: (rows, columns). The integer dot is exact in float64."""
    codes, scale = weight
    s = 127 / np.maximum(np.abs(x).max(-1, keepdims=True), 1e-5)
    q = np.clip(np.round(x * s), -128, 127)  # halves to even
    return q @ codes.T * scale / s


def rope(x, base):
    """x: (rows, heads, dim); element i turns with i + dim / 2."""
    rows, _, dim = x.shape
    angle = np.arange(rows)[:, None, None] * base ** (-np.arange(dim // 2) / (dim // 2))
    a, b = x[..., : dim // 2], x[..., dim // 2 :]
    return np.concatenate([a * np.cos(angle) - b * np.sin(angle), b * np.cos(angle) + a * np.sin(angle)], -1)


def attention(q, k, v):
    """q: (rows, heads, dim), k and v: (rows, kv heads, dim); each row sees itself and those before it."""
    rows, heads, dim = q.shape
    k, v = (np.repeat(each, heads // k.shape[1], axis=1) for each in (k, v))
    scores = np.einsum("rhd,shd->hrs", q, k) / np.sqrt(dim)
    scores = np.where(np.tri(rows, dtype=bool), scores, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hrs,shd->rhd", weights / weights.sum(-1, keepdims=True), v)


def forward(keys, tensors, tokens):
    """Every intermediate by its name, in the order of computation."""
    arch = keys["general.architecture"]
    key = lambda name: keys[f"{arch}.{name}"]
    heads, kv_heads = key("attention.head_count"), key("attention.head_count_kv")
    eps, base = key("attention.layer_norm_rms_epsilon"), float(key("rope.freq_base"))
    rows, out = len(tokens), {}
    x = out["embd"] = tensors["token_embd.weight"][tokens]
    for layer in range(key("block_count")):
        w = lambda name: tensors[f"blk.{layer}.{name}.weight"]

        def mark(name, value):
            out[f"blk.{layer}.{name}"] = value
            return value

        h = mark("attn_norm", rms_norm(x, w("attn_norm"), eps))
        q = bitlinear(h, w("attn_q")).reshape(rows, heads, -1)
        k = bitlinear(h, w("attn_k")).reshape(rows, kv_heads, -1)
        v = bitlinear(h, w("attn_v")).reshape(rows, kv_heads, -1)
        q, k, v = mark("q_rope", rope(q, base)), mark("k_rope", rope(k, base)), mark("v", v)
        context = mark("attn_ctx", attention(q, k, v).reshape(rows, -1))
        h = mark("attn_sub_norm", rms_norm(context, w("attn_sub_norm"), eps))
        x = x + mark("attn_out", bitlinear(h, w("attn_output")))
        h = mark("ffn_norm", rms_norm(x, w("ffn_norm"), eps))
        g = np.maximum(bitlinear(h, w("ffn_gate")), 0) ** 2 * bitlinear(h, w("ffn_up"))
        h = mark("ffn_sub_norm", rms_norm(mark("ffn_act", g), w("ffn_sub_norm"), eps))
        x = mark("l_out", x + mark("ffn_down", bitlinear(h, w("ffn_down"))))
    last = out["result_norm"] = rms_norm(x, tensors["output_norm.weight"], eps)
    out["logits"] = last @ tensors.get("output.weight", tensors["token_embd.weight"]).T
    return out


def main(folder, *options):
    index = json.loads((folder / "golden.json").read_text())
    values = forward(*read_gguf(folder / "model.gguf"), index["tokens"])
    names = [each["name"] for each in index["tensors"]]
    assert names == list(values), "the intermediates are those of golden.json, in its order"
    bytes_ = b"".join(values[name].astype("<f4").tobytes() for name in names)
    path = folder / "golden.bin"
    if "--write" in options:
        path.write_bytes(bytes_)
        return print(f"wrote {path}")
    want, got = (np.frombuffer(each, "<f4").astype(np.float64) for each in (path.read_bytes(), bytes_))
    worst = max(
        np.linalg.norm(a - b) / np.linalg.norm(a)
        for each in index["tensors"]
        for first, size in [(each["offset"] // 4, int(np.prod(each["shape"])))]
        for a, b in [(want[first : first + size], got[first : first + size])]
    )
    same = (want == got).mean()
    print(f"{path}: {len(want)} values, {100 * same:.4f} % of the same bits, largest relative error {worst:.1e}")
    sys.exit(0 if worst < 1e-7 else 1)


main(Path(sys.argv[1]), *sys.argv[2:])
