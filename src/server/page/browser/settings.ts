/**
 * What the reader has set, for all conversations: sampling, model, theme. Kept in the browser's local storage; the API key in
 * that of the session only, so that closing the tab forgets it. A field that is empty is left to the server.
 */

export interface Field {
  /** in the request */
  readonly name: string;
  readonly label: string;
  readonly hint: string;
  readonly least: number;
  readonly most: number;
  readonly whole: boolean;
}

export const FIELDS: readonly Field[] = [
  {
    name: "temperature",
    label: "Temperature",
    hint: "0 takes the likeliest token always",
    least: 0,
    most: 2,
    whole: false,
  },
  { name: "top_k", label: "Top-k", hint: "only the k likeliest tokens; 0 keeps all", least: 0, most: 1e6, whole: true },
  {
    name: "top_p",
    label: "Top-p",
    hint: "only the likeliest that hold this probability",
    least: 0,
    most: 1,
    whole: false,
  },
  {
    name: "min_p",
    label: "Min-p",
    hint: "only those of at least this part of the best",
    least: 0,
    most: 1,
    whole: false,
  },
  { name: "max_tokens", label: "Max tokens", hint: "longest answer", least: 1, most: 1e6, whole: true },
  {
    name: "seed",
    label: "Seed",
    hint: "the same seed gives the same answer",
    least: 0,
    most: Number.MAX_SAFE_INTEGER,
    whole: true,
  },
];

/** undefined: left to the server. Throws a RangeError in words for the reader. */
export function fieldValue({ label, least, most, whole }: Field, text: string): number | undefined {
  if (text.trim() === "") return undefined;
  const value = Number(text.trim().replace(",", "."));
  if (value >= least && value <= most && (!whole || Number.isInteger(value))) return value;
  throw new RangeError(`${label}: expected ${whole ? "a whole number" : "a number"} from ${least} to ${most}.`);
}

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

export interface Settings {
  readonly sampling: Readonly<Record<string, number>>;
  /** undefined: the server's first */
  readonly model: string | undefined;
}

const SETTINGS = "ternion.settings";
const KEY = "ternion.key";
const THEME = "ternion.theme";
const DRAFT = "ternion.draft.";

/** Only what the fields allow, whatever the storage holds. */
export function readSettings(): Settings {
  const { sampling, model } = stored(SETTINGS) as { sampling?: Record<string, unknown>; model?: unknown };
  const allowed = FIELDS.flatMap((field): [string, number][] => {
    const value = Object(sampling)[field.name];
    return typeof value === "number" && isAllowed(field, value) ? [[field.name, value]] : [];
  });
  return { sampling: Object.fromEntries(allowed), model: typeof model === "string" ? model : undefined };
}

export const writeSettings = (settings: Settings): void => write("localStorage", SETTINGS, JSON.stringify(settings));

export const readKey = (): string => read("sessionStorage", KEY) ?? "";
export const writeKey = (key: string): void => write("sessionStorage", KEY, key);

export const readTheme = (): Theme => THEMES.find((theme) => theme === read("localStorage", THEME)) ?? "system";
export const writeTheme = (theme: Theme): void => write("localStorage", THEME, theme);

/** What was typed and not sent, by conversation; "new" before there is one. */
export const readDraft = (id: string): string => read("localStorage", DRAFT + id) ?? "";
export const writeDraft = (id: string, text: string): void => write("localStorage", DRAFT + id, text);

function isAllowed(field: Field, value: number): boolean {
  try {
    return fieldValue(field, String(value)) === value;
  } catch {
    return false;
  }
}

function stored(name: string): object {
  try {
    return Object(JSON.parse(read("localStorage", name) ?? "{}"));
  } catch {
    return {};
  }
}

type Kind = "localStorage" | "sessionStorage";

/** Storage may be refused or full: the page works on without it. */
function read(storage: Kind, name: string): string | undefined {
  try {
    return window[storage].getItem(name) ?? undefined;
  } catch {
    return undefined;
  }
}

function write(storage: Kind, name: string, text: string): void {
  try {
    if (text === "") window[storage].removeItem(name);
    else window[storage].setItem(name, text);
  } catch {
    // as above
  }
}
