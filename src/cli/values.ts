/**
 * Option values, parsed strictly: `12abc`, an empty text or a number out of range is a UsageError that names the option.
 */
import { Option } from "commander";
import { UsageError } from "./exit.js";

interface Range {
  readonly min: number;
  readonly max?: number;
}

export function integerOption(flags: string, description: string, range: Range): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => parseNumber(nameOf(option), text, "an integer", /^[+-]?\d+$/, range));
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export function numberOption(flags: string, description: string, range: Range): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => parseNumber(nameOf(option), text, "a number", DECIMAL, range));
}

/** "512" or "128,512" */
export function integerListOption(flags: string, description: string, range: Range): Option {
  const option = new Option(flags, description);
  return option.argParser((text) =>
    text.split(",").map((item) => parseNumber(nameOf(option), item.trim(), "an integer", /^\d+$/, range)),
  );
}

export function choiceOption(flags: string, description: string, choices: readonly string[]): Option {
  const option = new Option(flags, `${description} (${choices.join(", ")})`);
  return option.argParser((text) => {
    if (choices.includes(text)) return text;
    throw invalid(nameOf(option), choices.join(" or "), text);
  });
}

/** May be given several times; gives all the values. */
export function repeatedOption(flags: string, description: string): Option {
  const option = new Option(flags, `${description}; may be repeated`);
  return option.argParser((text, earlier: readonly string[] | undefined) => {
    if (text === "") throw invalid(nameOf(option), "at least one character", text);
    return [...(earlier ?? []), text];
  });
}

/** ID=BIAS, several times; gives an object of biases by id. */
export function biasOption(flags: string, description: string): Option {
  const option = new Option(flags, `${description}; may be repeated`);
  return option.argParser((text, earlier: Readonly<Record<number, number>> | undefined) => {
    const [, id, bias] = /^(\d+)=(.+)$/.exec(text) ?? [];
    const value = bias === "-inf" ? Number.NEGATIVE_INFINITY : DECIMAL.test(bias ?? "") ? Number(bias) : Number.NaN;
    if (Number.isNaN(value)) throw invalid(nameOf(option), "ID=BIAS with a number or -inf, as in 12=-5", text);
    return { ...earlier, [Number(id)]: value };
  });
}

function parseNumber(name: string, text: string, kind: string, form: RegExp, { min, max }: Range): number {
  const value = form.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= (max ?? Number.MAX_SAFE_INTEGER)) return value;
  throw invalid(name, max === undefined ? `${kind} of ${min} or more` : `${kind} from ${min} to ${max}`, text);
}

function nameOf(option: Option): string {
  return option.long ?? option.flags;
}

function invalid(name: string, expected: string, got: string): UsageError {
  return new UsageError(`${name}: expected ${expected}, got ${JSON.stringify(got)}`);
}
