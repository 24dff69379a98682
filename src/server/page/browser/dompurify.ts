/** HTML → what of it is safe. What the browser gets under this name is the package's own ES module (`files.ts`). */
export { default } from "dompurify";
