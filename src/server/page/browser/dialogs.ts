/** The dialogs of the page: settings, key, shortcuts, and two small questions. The browser keeps focus in them; Esc closes. */
import type { Conversation } from "./conversation.js";
import { byId, element } from "./dom.js";
import { FIELDS, type Field, fieldValue, readTheme, type Settings, THEMES } from "./settings.js";
import { setTheme } from "./theme.js";

/** The words typed, or undefined where the dialog was cancelled. */
export function askText(title: string, label: string, given: string): Promise<string | undefined> {
  const input = element("input", { id: "asked-text", type: "text", maxlength: "200", autocomplete: "off" });
  input.value = given;
  const content = [element("label", { for: "asked-text" }, label), input];
  return ask(title, content, "Save", () => input.value.trim() || undefined, input);
}

export async function confirmed(title: string, words: string, action: string): Promise<boolean> {
  return (await ask(title, [element("p", {}, words)], action, () => true)) === true;
}

function ask<Value>(
  title: string,
  content: readonly HTMLElement[],
  action: string,
  value: () => Value | undefined,
  first?: HTMLInputElement,
): Promise<Value | undefined> {
  const dialog = element("dialog", { class: "dialog small", "aria-labelledby": "asked-title" });
  let answer: Value | undefined;
  const submit = (event: Event): void => {
    event.preventDefault();
    answer = value();
    dialog.close();
  };
  const cancel = element("button", { type: "button", class: "plain", click: () => dialog.close() }, "Cancel");
  const buttons = element("div", { class: "buttons" }, cancel, element("button", { class: "primary" }, action));
  dialog.append(
    element(
      "form",
      { submit },
      element("h2", { id: "asked-title", class: "dialog-title" }, title),
      ...content,
      buttons,
    ),
  );
  document.body.append(dialog);
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    dialog.showModal();
    first?.select();
  });
}

/** Opens one of the dialogs of index.html. */
export function openDialog(id: string): HTMLDialogElement {
  const dialog = byId(id, HTMLDialogElement);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

/** Their close buttons, and a click beside them. */
export function prepareDialogs(): void {
  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.querySelector(".close")?.addEventListener("click", () => dialog.close());
    dialog.addEventListener("click", ({ target }) => {
      if (target === dialog) dialog.close();
    });
  }
}

export interface SettingsDialog {
  open(conversation: Conversation): void;
}

/** Every change counts at once; one that cannot be is shown beside its field and not taken. */
export function settingsDialog(
  read: () => Settings,
  changed: {
    sampling(sampling: Settings["sampling"]): void;
    systemPrompt(conversation: Conversation, text: string): void;
  },
): SettingsDialog {
  const prompt = byId("system-prompt", HTMLTextAreaElement);
  const theme = byId("theme", HTMLSelectElement);
  const sampling = byId("sampling", HTMLElement);
  let shown: Conversation | undefined;
  const set = (name: string, value: number | undefined): void => {
    const { [name]: _, ...others } = read().sampling;
    changed.sampling(value === undefined ? others : { ...others, [name]: value });
  };
  const fill = (): void => sampling.replaceChildren(...FIELDS.map((field) => fieldRow(field, read().sampling, set)));
  prompt.addEventListener("input", () => shown && changed.systemPrompt(shown, prompt.value));
  theme.addEventListener("change", () => setTheme(THEMES.find((each) => each === theme.value) ?? "system"));
  byId("sampling-reset", HTMLButtonElement).addEventListener("click", () => {
    changed.sampling({});
    fill();
  });
  return {
    open(conversation) {
      shown = conversation;
      prompt.value = conversation.systemPrompt;
      theme.value = readTheme();
      fill();
      openDialog("settings");
    },
  };
}

function fieldRow(
  field: Field,
  sampling: Settings["sampling"],
  set: (name: string, value: number | undefined) => void,
): HTMLElement {
  const [id, hintId] = [`field-${field.name}`, `hint-${field.name}`];
  const mode = field.whole ? "numeric" : "decimal";
  const hint = element("span", { class: "hint", id: hintId }, field.hint);
  const attributes = { id, type: "text", inputmode: mode, autocomplete: "off", placeholder: "default" };
  const input = element("input", { ...attributes, "aria-describedby": hintId });
  input.value = String(sampling[field.name] ?? "");
  input.addEventListener("input", () => {
    const problem = taken(field, input.value, set);
    input.setAttribute("aria-invalid", String(problem !== undefined));
    hint.textContent = problem ?? field.hint;
    hint.classList.toggle("wrong", problem !== undefined);
  });
  return element("div", { class: "field" }, element("label", { for: id }, field.label), input, hint);
}

/** What is wrong with the value; undefined where it was taken. */
function taken(field: Field, text: string, set: (name: string, value: number | undefined) => void): string | undefined {
  try {
    set(field.name, fieldValue(field, text));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
