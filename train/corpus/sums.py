"""Sums with the working shown digit by digit, so that a sum never seen can still come out right.

One pair of numbers in ten is held out: neither a + b nor b + a is ever trained on.
"""
from .split import draw, held_out


def working(a: int, b: int) -> str:
    """47 + 38 -> `7 + 8 = 15, write 5, carry 1. 4 + 3 + 1 = 8, write 8. The answer is 85.`, lowest digits first."""
    steps, digits, carry = [], "", 0
    x, y = str(a)[::-1], str(b)[::-1]
    for i in range(max(len(x), len(y))):
        terms = [n[i] for n in (x, y) if i < len(n)] + (["1"] if carry else [])
        total = sum(map(int, terms))
        carry, digit = divmod(total, 10)
        digits = str(digit) + digits
        left = " + ".join(terms)
        step = f"{left} = {total}, write {digit}" if len(terms) > 1 else f"{left}, write {digit}"
        steps.append(step + (", carry 1." if carry else "."))
    if carry:
        digits = "1" + digits
        steps.append("Carry 1, write 1.")
    return " ".join(steps) + f" The answer is {digits}."


def addition(r, held: bool) -> tuple[str, str]:
    high = r.choices((10, 100, 1000), (2, 16, 2))[0]
    low = 10 if high == 100 and r.random() < 0.9 else 0

    def pair():
        return (r.randrange(low, high), r.randrange(low, high)) if high < 1000 else (r.randrange(high), r.randrange(high))

    a, b = draw(pair, lambda p: f"{min(p)}+{max(p)}", held, 10)
    prompt = r.choice([f"What is {a} + {b}?"] * 4 + [f"What is {a} plus {b}?", f"{a} + {b} =", f"Add {a} and {b}.", f"Calculate {a} + {b}.", f"How much is {a} plus {b}?"])
    return prompt, f"{a} + {b}: " + working(a, b)


def subtraction(r, held: bool) -> tuple[str, str]:
    a, b = draw(lambda: sorted((r.randrange(21), r.randrange(21)), reverse=True), lambda p: f"{p[0]}-{p[1]}", held, 10)
    return r.choice([f"What is {a} - {b}?", f"What is {a} minus {b}?", f"Subtract {b} from {a}."]), f"{a} - {b} = {a - b}."


def product(r) -> tuple[str, str]:
    a, b = r.randrange(1, 11), r.randrange(1, 11)
    return r.choice([f"What is {a} x {b}?", f"What is {a} times {b}?", f"Multiply {a} by {b}."]), f"{a} times {b} is {a * b}."


def compare(r, held: bool) -> tuple[str, str]:
    a, b = draw(lambda: r.sample(range(100), 2), str, held, 10)
    return r.choice([f"Which is larger, {a} or {b}?", f"Which number is bigger: {a} or {b}?"]), f"{max(a, b)} is larger than {min(a, b)}."


def exchange(r, held: bool = False) -> tuple[str, str]:
    kind = r.random()
    if kind < 0.82:
        return addition(r, held)
    if kind < 0.88:
        return subtraction(r, held)
    return compare(r, held) if kind < 0.92 or held else product(r)
