/** Texts for the comparisons with other tokenizers that are run by hand. */

/** Parts of texts on which tokenizers differ. */
export const PARTS = [
  ..."the Hello world's I'LL we'Ve don't it'S naïve Größe Straße Σίσυφος ǅungla HTTPServer camelCase getX2 नमस्ते".split(" "),
  ..."中文字符 日本語テキスト 한국어 สวัสดี עברית العربية e\u0301 n\u0303a a\u0308\u0323 🦙 👩‍👩‍👧 🇩🇪 1\ufe0f\u20e3 ﬁ ʼn ª º ² Ⅷ ½ ٣٤ १२३".split(" "),
  ..."0 7 42 123 1234 1234567 3.14 1e-5 0xFF 10,000 v1.2.3 /path/to// http://x.y/?a=b&c=d C++ => === !== ... -- — “q” «r» $5 €5 `code`".split(" "),
  ..."( ) [ ] { } < > | ^ ~ + = # @ _ ' \" \\ / . , ! ? … 。 ， 、 । ۔ ، ！ ～ ‘ ’ 「 」".split(" "),
  ..."<|eot_id|> <|im_start|>user </s> [INST] <0x0A> <unk>".split(" "),
  " ", " ", " ", "  ", "   ", "     ", "\t", "\t\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u00a0", "\u3000", "\u2028", "\u200b",
  "\u0085", "\ufeff", "\u0000", "\u001b", "\ue000", "\ufffd", "    return x;\n", "if (a) {\r\n\tb();\r\n}\n",
];

/** The same numbers every time: Mulberry32. */
export function randoms(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
