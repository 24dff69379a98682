/** Light, dark, or as the system says: loaded before the first paint, so that nothing flashes. */
import { readTheme, type Theme, writeTheme } from "./settings.js";

export function showTheme(theme: Theme): void {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

export function setTheme(theme: Theme): void {
  writeTheme(theme);
  showTheme(theme);
}

export const isDark = (): boolean => {
  const theme = readTheme();
  return theme === "dark" || (theme === "system" && matchMedia("(prefers-color-scheme: dark)").matches);
};

showTheme(readTheme());
