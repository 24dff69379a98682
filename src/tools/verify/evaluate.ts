/**
 * Named intermediates of the forward pass, computed in float64 from whatever of them is known. What is not known is
 * computed in its turn, so that a trace with gaps is judged as far as it goes, and an empty one gives the whole forward
 * pass. Knows names and rows, no formulas.
 */
import { roundHalfEven } from "../../backend/formulas.js";

/** One row of the input of a BitLinear: value = q * step. */
export interface QuantizedRow {
  readonly q: Int8Array;
  readonly step: number;
}

/** What a formula may ask for. All is about one row, but for `past`. */
export interface Inputs {
  readonly row: number;
  of(name: string): Float64Array;
  /** rows 0 to this one */
  past(name: string): Float64Array[];
  /** rounded to int8 as the input of a BitLinear is */
  quantized(name: string): QuantizedRow;
}

/** Computes one row of an intermediate. */
export type Formula = (inputs: Inputs) => Float64Array;
export type Formulas = Readonly<Record<string, Formula>>;

/** An activation that lies on a rounding boundary, to be rounded to the other side. */
export interface Flip {
  readonly element: number;
  readonly step: 1 | -1;
}

/** Nearer to a boundary than this, in steps of the int8 grid, float32 may round to either side. */
const BOUNDARY = 1e-4;

export type Rows = readonly Float64Array[];

export class Evaluator {
  readonly #computed = new Map<string, Float64Array[]>();
  readonly #loose = new Set<string>();

  constructor(
    readonly formulas: Formulas,
    readonly known: ReadonlyMap<string, Rows>,
    /** names of `known` that stand on roundings that may differ */
    readonly looselyKnown: ReadonlySet<string> = new Set(),
  ) {}

  /** The row as it is known, or else computed. */
  value(name: string, row: number): Float64Array {
    const known = this.known.get(name);
    if (known !== undefined) return known[row];
    const rows = this.#computed.get(name) ?? [];
    this.#computed.set(name, rows);
    rows[row] ??= this.compute(name, row);
    return rows[row];
  }

  /** The row as its formula gives it from its inputs. */
  compute(name: string, row: number, flips: readonly Flip[] = []): Float64Array {
    return this.#apply(this.formulas[name], name, row, flips);
  }

  /** The row by another formula, from the same inputs. */
  alternative(formula: Formula, row: number): Float64Array {
    return this.#apply(formula, undefined, row, []);
  }

  /** Whether a BitLinear on the way to `name` rounded an input that is not known: its roundings may differ. */
  isLoose(name: string): boolean {
    return this.#loose.has(name);
  }

  /** Roundings on the way to this row that float32 may have done otherwise. */
  boundaries(name: string, row: number): Flip[] {
    const found: Flip[] = [];
    const see = (x: Float64Array) => {
      const scale = 127 / absmax(x);
      x.forEach((value, element) => {
        const over = value * scale - Math.floor(value * scale) - 0.5;
        if (Math.abs(over) > BOUNDARY) return;
        found.push({ element, step: roundHalfEven(value * scale) > value * scale ? -1 : 1 });
      });
    };
    const visit = (at: string): void => {
      this.formulas[at]({
        row,
        of: (input) => {
          if (!this.known.has(input) && input in this.formulas) visit(input);
          return this.value(input, row);
        },
        past: (input) => this.#past(input, row),
        quantized: (input) => {
          see(this.value(input, row));
          return quantize(this.value(input, row));
        },
      });
    };
    visit(name);
    return found.filter((flip, i) => found.findIndex(({ element }) => element === flip.element) === i);
  }

  #apply(formula: Formula, name: string | undefined, row: number, flips: readonly Flip[]): Float64Array {
    const inherit = (input: string) => {
      const loose = this.known.has(input) ? this.looselyKnown.has(input) : this.#loose.has(input);
      if (loose && name !== undefined) this.#loose.add(name);
    };
    return formula({
      row,
      of: (input) => {
        const flipped = flips.length > 0 && !this.known.has(input);
        const value = flipped ? this.compute(input, row, flips) : this.value(input, row);
        inherit(input);
        return value;
      },
      past: (input) => {
        const rows = this.#past(input, row);
        inherit(input);
        return rows;
      },
      quantized: (input) => {
        if (name !== undefined && !this.known.has(input)) this.#loose.add(name);
        return quantize(this.value(input, row), flips);
      },
    });
  }

  #past(name: string, row: number): Float64Array[] {
    return Array.from({ length: row + 1 }, (_, past) => this.value(name, past));
  }
}

function quantize(x: Float64Array, flips: readonly Flip[] = []): QuantizedRow {
  const max = absmax(x);
  const q = Int8Array.from(x, (value) => Math.min(127, Math.max(-128, roundHalfEven((value * 127) / max))));
  for (const { element, step } of flips) q[element] += step;
  return { q, step: max / 127 };
}

function absmax(x: Float64Array): number {
  return x.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-5);
}
