/** Methods of Python's strings that chat templates call, where JavaScript's differ. */

/** What Python takes for a blank: U+001C to U+001F and U+0085 too, U+FEFF not. */
const BLANK = "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const BLANK_CHARACTER = new RegExp(`[${BLANK}]`);

/** Removes blanks, or any of `chars`, from the ends. */
export function strip(text: string, chars?: string, side: "left" | "right" | "both" = "both"): string {
  const drop = chars === undefined ? undefined : new Set(chars);
  const units = drop === undefined ? text : Array.from(text);
  const dropped = (unit: string) => (drop === undefined ? BLANK_CHARACTER.test(unit) : drop.has(unit));
  let [start, end] = [0, units.length];
  if (side !== "right") while (start < end && dropped(units[start])) start++;
  if (side !== "left") while (end > start && dropped(units[end - 1])) end--;
  return typeof units === "string" ? units.slice(start, end) : units.slice(start, end).join("");
}

/** "aSSISTANT" → "Assistant" */
export function capitalize(text: string): string {
  const [first = ""] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}
