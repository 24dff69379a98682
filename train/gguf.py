"""Writes and reads the GGUF files of these architectures: ternary weights, an embedding in F16, Q8_0 or Q2_0, F32 norms.

I2_S, the 128/32 layout: 128 consecutive weights in 32 bytes, byte b holding weights b, 32+b, 64+b and 96+b from its
highest bits down as code = weight + 1; after the last code comes a tail of 32 bytes that begins with the f32 scale.
TQ2_0: the same from the lowest bits up, and after each 256 weights their scale in f16. Q2_0: the f16 scale of 64 weights,
then four weights in a byte, one beside the other, from the lowest bits up. Q8_0: the f16 scale of 32 weights, then int8.
"""
import struct

import numpy as np

from tokenizer import SENTENCEPIECE, Tokenizer

ALIGN = 32
TYPES = {"F32": 0, "F16": 1, "Q8_0": 8, "TQ2_0": 35, "I2_S": 36, "Q2_0": 42}
FILE_TYPES = {"I2_S": 40, "TQ2_0": 37, "Q2_0": 42}  # general.file_type
UINT32, FLOAT32, BOOL, STRING, ARRAY, INT32 = 4, 6, 7, 8, 9, 5
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


def blocks(kind: str) -> np.dtype:
    """A block of a type whose scale is an f16 d, and its weights' codes q."""
    return np.dtype({"TQ2_0": [("q", "u1", 64), ("d", "<f2")], "Q2_0": [("d", "<f2"), ("q", "u1", 16)], "Q8_0": [("d", "<f2"), ("q", "i1", 32)]}[kind])


def shifts(kind: str) -> tuple[np.ndarray, tuple]:
    """Of the four codes in a byte, and the order in which a block has them: halves, codes, bytes for TQ2_0."""
    return (np.array([0, 2, 4, 6], np.uint8).reshape(4, 1), (2, 4, 32)) if kind == "TQ2_0" else (np.array([0, 2, 4, 6], np.uint8), (16, 4))


def pack_blocks(kind: str, values: np.ndarray, scales: np.ndarray) -> bytes:
    """`values` are -1, 0 and 1, or int8 for Q8_0; a scale for each block."""
    packed = np.zeros(scales.size, blocks(kind))
    packed["d"] = scales.reshape(-1)
    if kind == "Q8_0":
        packed["q"] = values.reshape(-1, 32)
    else:
        by, shape = shifts(kind)
        codes = (values.reshape(-1, *shape) + 1).astype(np.uint8) << by
        packed["q"] = np.bitwise_or.reduce(codes, axis=2).reshape(scales.size, -1)
    return packed.tobytes()


def unpack_blocks(kind: str, raw: bytes, shape: tuple[int, int]) -> np.ndarray:
    packed = np.frombuffer(raw, blocks(kind), shape[0] * shape[1] // {"TQ2_0": 256, "Q2_0": 64, "Q8_0": 32}[kind])
    if kind == "Q8_0":
        values = packed["q"]
    else:
        by, order = shifts(kind)
        bytes_ = packed["q"].reshape(-1, 2, 1, 32) if kind == "TQ2_0" else packed["q"].reshape(-1, 16, 1)
        values = (bytes_ >> by & 3).reshape(len(packed), -1).astype(np.float32) - 1
    return (values * packed["d"].astype(np.float32)[:, None]).reshape(shape)


def rounded_q8(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int8 and scales, 32 weights to a scale."""
    parts = weight.reshape(-1, 32)
    scales = (np.abs(parts).max(1) / 127).astype(np.float16)
    return np.rint(parts / np.maximum(scales.astype(np.float32), 1e-12)[:, None]).clip(-127, 127), scales


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
        head.append(string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims) + struct.pack("<IQ", TYPES[kind], offset))
        offset += -(-len(raw) // ALIGN) * ALIGN
    header = b"".join(head)
    with open(path, "wb") as f:
        f.write(header + bytes(-len(header) % ALIGN))
        for _, _, _, raw in tensors:
            f.write(raw + bytes(-len(raw) % ALIGN))


def tokenizer_keys(tokenizer: Tokenizer) -> list[tuple]:
    kind, size = tokenizer.kind, len(tokenizer.tokens)
    keys = [
        ("tokenizer.ggml.model", STRING, kind.model), ("tokenizer.ggml.pre", STRING, kind.pre), ("tokenizer.ggml.tokens", ARRAY, (STRING, tokenizer.tokens)),
        ("tokenizer.ggml.scores", ARRAY, (FLOAT32, tokenizer.scores)), ("tokenizer.ggml.token_type", ARRAY, (INT32, tokenizer.types))]
    if kind is SENTENCEPIECE:
        keys.append(("tokenizer.ggml.unknown_token_id", UINT32, 0))
    else:
        keys.append(("tokenizer.ggml.merges", ARRAY, (STRING, tokenizer.merges)))
    if tokenizer.bos is not None:
        keys.append(("tokenizer.ggml.bos_token_id", UINT32, tokenizer.bos))
    keys.append(("tokenizer.ggml.eos_token_id", UINT32, tokenizer.end))
    if tokenizer.turn != tokenizer.end:
        keys.append(("tokenizer.ggml.eot_token_id", UINT32, tokenizer.turn))
    assert size == len(tokenizer.types) == len(tokenizer.scores)
    return keys + [
        ("tokenizer.ggml.padding_token_id", UINT32, tokenizer.end), ("tokenizer.ggml.add_bos_token", BOOL, tokenizer.bos is not None),
        ("tokenizer.chat_template", STRING, kind.template)]


def model_keys(c, name: str) -> list[tuple]:
    arch = c.arch
    keys = [
        ("general.architecture", STRING, arch), ("general.name", STRING, name),
        (f"{arch}.vocab_size", UINT32, c.vocab), (f"{arch}.context_length", UINT32, c.context), (f"{arch}.embedding_length", UINT32, c.dim),
        (f"{arch}.block_count", UINT32, c.layers), (f"{arch}.feed_forward_length", UINT32, c.ffn), (f"{arch}.rope.dimension_count", UINT32, c.head_dim),
        (f"{arch}.attention.head_count", UINT32, c.heads), (f"{arch}.attention.head_count_kv", UINT32, c.kv_heads),
        (f"{arch}.attention.layer_norm_rms_epsilon", FLOAT32, c.eps), (f"{arch}.rope.freq_base", FLOAT32, c.rope_base),
        ("general.file_type", UINT32, FILE_TYPES[c.family.weights])]
    if c.head_dim * c.heads != c.dim:
        keys += [(f"{arch}.attention.{key}_length", UINT32, c.head_dim) for key in ("key", "value")]
    return keys


def tensor_of(key: str, weight, family) -> tuple[str, bytes]:
    """Type and bytes of a parameter, ternarised as the forward pass does."""
    from model import ternarise

    if weight.dim() == 1:
        return "F32", weight.numpy().tobytes()
    kind = family.table if key in ("token_embd.weight", "output.weight") else family.weights
    if kind == "F16":
        return kind, weight.half().numpy().tobytes()
    if kind == "Q8_0":
        return kind, pack_blocks(kind, *rounded_q8(weight.numpy()))
    ternary, scale = ternarise(weight, family.group)
    return kind, pack_i2s(ternary.numpy(), scale.item()) if kind == "I2_S" else pack_blocks(kind, ternary.numpy(), scale.numpy())


def export(path: str, model, tokenizer, name: str) -> None:
    """The trainer's model as a file."""
    keys = model_keys(model.c, name) + tokenizer_keys(tokenizer) + [("general.quantization_version", UINT32, 2)]
    tensors = [(key, list(reversed(weight.shape)), *tensor_of(key, weight.cpu().float(), model.c.family)) for key, weight in model.state_dict().items()]
    write(path, keys, tensors)


def read(path: str) -> tuple[dict, dict]:
    """keys by name, and tensors by name: float32 arrays, or (weights, scale) where activations are rounded: I2_S and TQ2_0, the
    scales of which are in the weights."""
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
    names, tensors = {number: name for name, number in TYPES.items()}, {}
    for name, dims, kind, offset in places:
        shape, start = tuple(reversed(dims)), data + offset
        size = int(np.prod(shape))
        kind = names[kind]
        if kind == "I2_S":
            tensors[name] = unpack_i2s(raw[start:start + size // 4 + 32], shape)
        elif kind == "TQ2_0":
            tensors[name] = unpack_blocks(kind, raw[start:start + size // 256 * 66], shape), 1.0
        elif kind in ("Q2_0", "Q8_0"):
            tensors[name] = unpack_blocks(kind, raw[start:start + size // 64 * 18 if kind == "Q2_0" else start + size // 32 * 34], shape)
        else:
            tensors[name] = np.frombuffer(raw, "<f4" if kind == "F32" else "<f2", size, start).reshape(shape).astype(np.float32)
    return keys, tensors
