"""What is held out, decided by a hash of the thing itself, so that both sides of the split never share it.

A name, a sum or a wording is either for training or for validation, whatever the seed of the generator.
"""
import hashlib


def held_out(key: str, one_in: int) -> bool:
    """True for about one key in `one_in`; the same answer on every machine and in every run."""
    return int.from_bytes(hashlib.md5(key.encode()).digest()[:4], "little") % one_in == 0


def draw(make, key, held: bool, one_in: int):
    """Draws from `make` until the value lies on the wanted side of the split."""
    while True:
        value = make()
        if held_out(key(value), one_in) == held:
            return value
