/** Files from and to the reader's machine. */
import { element } from "./dom.js";

export function saveFile(name: string, text: string): void {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  element("a", { href: address, download: name }).click();
  window.setTimeout(() => URL.revokeObjectURL(address), 60_000);
}

/** The text of the file that is chosen; undefined where none is. */
export function chosenText(): Promise<string | undefined> {
  const input = element("input", { type: "file", accept: ".json,application/json" });
  return new Promise((resolve, reject) => {
    input.addEventListener("cancel", () => resolve(undefined));
    input.addEventListener("change", () => {
      input.files?.[0]?.text().then(resolve, reject) ?? resolve(undefined);
    });
    input.click();
  });
}
