/**
 * Option values, parsed strictly: `12abc`, an empty text or a number out of range is a UsageError that names the option.
 */
import { Option } from "commander";
import { choiceKind, integerKind, type Kind, numberKind } from "../check.js";
import { UsageError } from "./exit.js";

interface Range {
  readonly min: number;
  readonly max?: number;
}

const INTEGER = /^[+-]?\d+$/;

export function integerOption(flags: string, description: string, { min, max }: Range): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => parsed(nameOf(option), text, INTEGER, integerKind(min, max)));
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

export function numberOption(flags: string, description: string, { min, max }: Required<Range>): Option {
  const option = new Option(flags, description);
  return option.argParser((text) => parsed(nameOf(option), text, DECIMAL, numberKind(min, max)));
}

/** "512" or "128,512" */
export function integerListOption(flags: string, description: string, { min, max }: Range): Option {
  const option = new Option(flags, description);
  return option.argParser((text) =>
    text.split(",").map((item) => parsed(nameOf(option), item.trim(), /^\d+$/, integerKind(min, max))),
  );
}

export function choiceOption(flags: string, description: string, choices: readonly string[]): Option {
  const option = new Option(flags, `${description} (${choices.join(", ")})`);
  const { expected, holds } = choiceKind(choices);
  return option.argParser((text) => {
    if (holds(text)) return text;
    throw invalid(nameOf(option), expected, text);
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

function parsed(name: string, text: string, form: RegExp, { expected, holds }: Kind<number>): number {
  const value = form.test(text) ? Number(text) : Number.NaN;
  if (holds(value)) return value;
  throw invalid(name, expected, text);
}

function nameOf(option: Option): string {
  return option.long ?? option.flags;
}

function invalid(name: string, expected: string, got: string): UsageError {
  return new UsageError(`${name}: expected ${expected}, got ${JSON.stringify(got)}`);
}
