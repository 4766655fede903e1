/**
 * What relative paths and names of programs mean in this thread.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { delimiter, isAbsolute, resolve } from "node:path";
import type { ItemContext } from "../../../machines/permission-item.ts";
import { currentRealm } from "./realm.ts";

export function itemContext(): ItemContext {
  const cwd = process.cwd();
  return { cwd, resolveProgram: (name) => resolveProgram(name, cwd) };
}

/** As Deno: by the path where the name has a slash, else by `PATH`. */
function resolveProgram(name: string, cwd: string): string | undefined {
  if (isAbsolute(name)) return name;
  if (name.includes("/")) return resolve(cwd, name);
  const folders = (currentRealm().searchPath ?? "").split(delimiter);
  return folders
    .filter((folder) => folder !== "")
    .map((folder) => resolve(folder, name))
    .find((path) => existsSync(path));
}
