/**
 * The version of this package.
 *
 * @module
 */

import { existsSync, readFileSync } from "node:fs";

/** Beside `runtime/` in the sources, one folder higher from `dist/runtime/`. */
const file = ["../package.json", "../../package.json"]
  .map((path) => new URL(path, import.meta.url))
  .find((url) => existsSync(url));

export const version: string =
  file === undefined
    ? "unknown"
    : (JSON.parse(readFileSync(file, "utf8")) as { version: string }).version;
