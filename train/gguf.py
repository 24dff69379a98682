"""Writes and reads the GGUF files of this architecture: I2_S ternary weights, an F16 embedding, F32 norms.

I2_S, the 128/32 layout: 128 consecutive weights in 32 bytes, byte b holding weights b, 32+b, 64+b and 96+b from its
highest bits down as code = weight + 1; after the last code comes a tail of 32 bytes that begins with the f32 scale.
"""
import struct

import numpy as np

ALIGN = 32
F32, F16, I2_S = 0, 1, 36
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if loop.index0 == 0 %}{{ bos_token }}{% endif %}"
    "{{ message['role'] | capitalize + ': ' + message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}")


def pack_i2s(ternary: np.ndarray, scale: float) -> bytes:
    codes = (ternary.reshape(-1, 4, 32) + 1).astype(np.uint8)
    packed = codes[:, 0] << 6 | codes[:, 1] << 4 | codes[:, 2] << 2 | codes[:, 3]
    return packed.tobytes() + struct.pack("<f", scale) + bytes(28)


def unpack_i2s(raw: bytes, shape: tuple[int, int]) -> tuple[np.ndarray, float]:
    count = shape[0] * shape[1]
    packed = np.frombuffer(raw, np.uint8, count // 4).reshape(-1, 1, 32)
    codes = packed >> np.array([6, 4, 2, 0], np.uint8).reshape(1, 4, 1) & 3
    if (codes == 3).any():
        raise ValueError("I2_S holds a code 3; expected 0, 1 or 2")
    return codes.reshape(shape).astype(np.float32) - 1, struct.unpack_from("<f", raw, count // 4)[0]


def string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack("<Q", len(raw)) + raw


def value(kind: int, v) -> bytes:
    if kind == STRING:
        return string(v)
    if kind == ARRAY:
        of, items = v
        return struct.pack("<IQ", of, len(items)) + b"".join(value(of, i) for i in items)
    return struct.pack({UINT32: "<I", INT32: "<i", FLOAT32: "<f", BOOL: "<?"}[kind], v)


def write(path: str, keys: list[tuple], tensors: list[tuple]) -> None:
    """keys: (name, type, value); tensors: (name, dims innermost first, type, bytes)."""
    head, offset = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))], 0
    head += [string(name) + struct.pack("<I", kind) + value(kind, v) for name, kind, v in keys]
    for name, dims, kind, raw in tensors:
        head.append(string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", kind, offset))
        offset += -(-len(raw) // ALIGN) * ALIGN
    header = b"".join(head)
    with open(path, "wb") as f:
        f.write(header + bytes(-len(header) % ALIGN))
        for _, _, _, raw in tensors:
            f.write(raw + bytes(-len(raw) % ALIGN))


def export(path: str, model, tokenizer, name: str) -> None:
    """The trainer's model as a file, its weights ternarised as the forward pass does."""
    from model import ternarise

    c, arch = model.c, "bitnet-b1.58"
    normal = len(tokenizer.tokens) - 5
    keys = [
        ("general.architecture", STRING, arch), ("general.name", STRING, name),
        (f"{arch}.vocab_size", UINT32, c.vocab), (f"{arch}.context_length", UINT32, c.context), (f"{arch}.embedding_length", UINT32, c.dim),
        (f"{arch}.block_count", UINT32, c.layers), (f"{arch}.feed_forward_length", UINT32, c.ffn), (f"{arch}.rope.dimension_count", UINT32, c.head_dim),
        (f"{arch}.attention.head_count", UINT32, c.heads), (f"{arch}.attention.head_count_kv", UINT32, c.kv_heads),
        (f"{arch}.attention.layer_norm_rms_epsilon", FLOAT32, c.eps), (f"{arch}.rope.freq_base", FLOAT32, c.rope_base), ("general.file_type", UINT32, 40),
        ("tokenizer.ggml.model", STRING, "gpt2"), ("tokenizer.ggml.pre", STRING, "llama-bpe"), ("tokenizer.ggml.tokens", ARRAY, (STRING, tokenizer.tokens)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, [0.0] * len(tokenizer.tokens))), ("tokenizer.ggml.token_type", ARRAY, (INT32, [1] * normal + [3] * 5)),
        ("tokenizer.ggml.merges", ARRAY, (STRING, tokenizer.merges)), ("tokenizer.ggml.bos_token_id", UINT32, tokenizer.bos),
        ("tokenizer.ggml.eos_token_id", UINT32, tokenizer.end), ("tokenizer.ggml.eot_token_id", UINT32, tokenizer.turn), ("tokenizer.ggml.padding_token_id", UINT32, tokenizer.end),
        ("tokenizer.ggml.add_bos_token", BOOL, True), ("tokenizer.chat_template", STRING, CHAT_TEMPLATE), ("general.quantization_version", UINT32, 2)]
    tensors = []
    for key, weight in model.state_dict().items():
        dims = list(reversed(weight.shape))
        if key == "token_embd.weight":
            tensors.append((key, dims, F16, weight.cpu().half().numpy().tobytes()))
        elif weight.dim() == 1:
            tensors.append((key, dims, F32, weight.cpu().float().numpy().tobytes()))
        else:
            ternary, scale = ternarise(weight.cpu().float())
            tensors.append((key, dims, I2_S, pack_i2s(ternary.numpy(), scale.item())))
    write(path, keys, tensors)


def read(path: str) -> tuple[dict, dict]:
    """keys by name, and tensors by name: F16 and F32 as float32 arrays, I2_S as (ternary, scale)."""
    with open(path, "rb") as f:
        raw = f.read()
    at = 0

    def take(form: str):
        nonlocal at
        out = struct.unpack_from("<" + form, raw, at)
        at += struct.calcsize("<" + form)
        return out[0]

    def text() -> str:
        nonlocal at
        length = take("Q")
        at += length
        return raw[at - length:at].decode()

    def item(kind: int):
        if kind == STRING:
            return text()
        if kind == ARRAY:
            of, length = take("I"), take("Q")
            return [item(of) for _ in range(length)]
        return take({UINT32: "I", INT32: "i", FLOAT32: "f", BOOL: "?"}[kind])

    if take("4s") != b"GGUF" or take("I") != 3:
        raise ValueError(f"{path}: expected a GGUF file of version 3")
    count, key_count = take("Q"), take("Q")
    keys = {text(): item(take("I")) for _ in range(key_count)}
    places = [(text(), [take("Q") for _ in range(take("I"))], take("I"), take("Q")) for _ in range(count)]
    data = at + -at % ALIGN
    tensors = {}
    for name, dims, kind, offset in places:
        shape, start = tuple(reversed(dims)), data + offset
        if kind == I2_S:
            tensors[name] = unpack_i2s(raw[start:start + shape[0] * shape[1] // 4 + 32], shape)
        else:
            size = int(np.prod(shape))
            tensors[name] = np.frombuffer(raw, "<f4" if kind == F32 else "<f2", size, start).reshape(shape).astype(np.float32)
    return keys, tensors
