/**
 * Strings: by a pattern, a format, a length, and all of these at once. What a format says is spelled as a regular expression;
 * `ajv-formats` accepts all of it.
 */
import { choice, codeOf, EMPTY, type Expression, except, pair, Rule, sequence, text } from "../expression.js";
import { intersection } from "../intersection.js";
import { refused } from "../network.js";
import { regexExpression, searchExpression } from "../regex.js";
import { ANYTHING, inner, letter, quoted, stringOf } from "./json.js";
import { at, count, each, kindOf, type Schema } from "./keywords.js";

const YEAR = "(?:19|20)\\d\\d";
const DATE = `(?:${YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\\d|30)|02-(?:0[1-9]|1\\d|2[0-8])))`;
const TIME = "(?:[01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(?:\\.\\d{1,6})?(?:Z|[+-](?:0\\d|1[0-4]):[03]0)";
const LABEL = "[A-Za-z0-9](?:[A-Za-z0-9-]{0,30}[A-Za-z0-9])?";
const HOST = `${LABEL}(?:\\.${LABEL}){0,4}`;
const BYTE = "(?:25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)";
const IPV4 = `${BYTE}(?:\\.${BYTE}){3}`;
const WORD = "[0-9a-f]{1,4}";
const IPV6 = `(?:(?:${WORD}:){7}${WORD}|::(?:${WORD}(?::${WORD}){0,5})?|${WORD}(?::${WORD}){0,4}::(?:${WORD})?)`;
const SEGMENT = "[A-Za-z0-9._~-]{1,60}";
const NUMBER = "(?:0|[1-9]\\d{0,5})";
const CLOCK = `(?:T(?:${NUMBER}H(?:${NUMBER}M)?(?:${NUMBER}S)?|${NUMBER}M(?:${NUMBER}S)?|${NUMBER}S))`;
const DAYS = `(?:${NUMBER}Y(?:${NUMBER}M)?(?:${NUMBER}D)?|${NUMBER}M(?:${NUMBER}D)?|${NUMBER}D)`;

const FORMATS: Readonly<Record<string, string>> = {
  "date-time": `${DATE}T${TIME}`,
  date: DATE,
  time: TIME,
  duration: `P(?:${DAYS}${CLOCK}?|${CLOCK}|${NUMBER}W)`,
  email: `[A-Za-z0-9_+-]{1,30}(?:\\.[A-Za-z0-9_+-]{1,30}){0,2}@${LABEL}(?:\\.${LABEL}){1,3}`,
  hostname: HOST,
  ipv4: IPV4,
  ipv6: IPV6,
  uuid: "[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
  uri: `https?://${HOST}(?::[1-9]\\d{0,3})?(?:/${SEGMENT}){0,8}/?(?:\\?[A-Za-z0-9._~=&-]{0,200})?(?:#[A-Za-z0-9._~-]{0,60})?`,
};

/** A string as the schema says. */
export function stringWith(schema: Schema, path: string): Expression {
  const patterns = texts(schema, "pattern", path);
  const formats = texts(schema, "format", path);
  const min = count(schema, "minLength", path, 0);
  const max = count(schema, "maxLength", path, Number.POSITIVE_INFINITY);
  if (min > max) return choice();
  if (patterns.length + formats.length === 0) return stringOf(min, max);
  const parts = [
    ...patterns.map((source) => searchExpression(source, at(path, "pattern"), letter)),
    ...formats.flatMap((format) => formatted(format, at(path, "format"), patterns.length > 0)),
  ];
  const isAny = min === 0 && max === Number.POSITIVE_INFINITY;
  if (parts.length === 1 && isAny) return quoted(parts[0]);
  const length = isAny ? undefined : { min, max, letters: ANYTHING };
  return quoted(
    known(JSON.stringify([patterns, formats, min, max]), () => intersection(parts, { name: path, length })),
  );
}

function texts(schema: Schema, keyword: string, path: string): string[] {
  if (!(keyword in schema)) return [];
  return each(schema[keyword]).map((value) => {
    if (typeof value === "string") return value;
    throw refused(`${at(path, keyword)}: expected a string, got ${kindOf(value)}`);
  });
}

/** Of the format; nothing of one that is not known where a pattern says more: it is a remark then. */
function formatted(format: string, name: string, hasPattern: boolean): Expression[] {
  if (Object.hasOwn(FORMATS, format)) return [regexExpression(FORMATS[format], name)];
  if (hasPattern) return [];
  const names = Object.keys(FORMATS).join(", ");
  throw refused(`${name}: expected one of ${names}, got ${JSON.stringify(format)}. Leave it out, or give a pattern.`);
}

/** Intersections made last: the same one is in a schema, and in the next request, more than once. */
const made = new Map<string, Rule>();
const MOST_MADE = 16;

function known(key: string, make: () => Expression): Rule {
  const rule = made.get(key) ?? new Rule("a string", make());
  made.delete(key);
  made.set(key, rule);
  if (made.size > MOST_MADE) made.delete(made.keys().next().value as string);
  return rule;
}

/** A string that is none of `values`. */
export function otherThan(values: readonly string[]): Expression {
  return quoted(lettersOtherThan(values.map((value) => Array.from(value))));
}

/** `words` share all that was written so far. */
function lettersOtherThan(words: readonly (readonly string[])[]): Expression {
  if (words.length === 0) return ANYTHING;
  const firsts = new Set(words.flatMap(([first]) => (first === undefined ? [] : [first])));
  const others = except(Array.from(firsts, (first) => pair(codeOf(first))));
  const ways = Array.from(firsts, (first) => {
    const rest = words.filter(([begin]) => begin === first).map((word) => word.slice(1));
    return sequence(text(inner(first)), lettersOtherThan(rest));
  });
  const end = words.some((word) => word.length === 0) ? [] : [EMPTY];
  return choice(...end, ...ways, sequence(letter(others), ANYTHING));
}
