/** Markdown → tokens → HTML. What the browser gets under this name is the package's own ES module (`files.ts`). */
export * from "marked";
