// The roof of whatever reads memory: loads and nothing else.

/** Reads `bytes`, a multiple of 64, at `from` and keeps nothing of them but whether any bit was set. */
export function read(from: usize, bytes: usize): i32 {
  let a = i32x4.splat(0), b = a, c = a, d = a;
  for (const end = from + bytes; from < end; from += 64) {
    a = v128.or(a, v128.load(from));
    b = v128.or(b, v128.load(from, 16));
    c = v128.or(c, v128.load(from, 32));
    d = v128.or(d, v128.load(from, 48));
  }
  return i32(v128.any_true(v128.or(v128.or(a, b), v128.or(c, d))));
}
