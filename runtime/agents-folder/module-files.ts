/**
 * Which files of a folder are modules of agents or workflows.
 *
 * @module
 */

import type { Dirent } from "node:fs";
import { readdir } from "node:fs/promises";
import { isAbsolute, join, relative } from "node:path";

/** Modules of one folder; more are most likely a folder that was named by mistake. */
const maxModules = 500;
/** Files that are looked at for changes, in all folders below. */
const maxFiles = 5_000;
/** In the order in which one wins over another of the same name: sources over what was made of them. */
const extensions = ["ts", "mts", "js", "mjs"] as const;
const source = new RegExp(`\\.(?:${extensions.join("|")}|json)$`);
/** A stem that does not begin with `_` or `.`, which mark helpers and the temporary files of editors. */
const moduleName = new RegExp(`^([^._#~][^/]*)\\.(${extensions.join("|")})$`);
const notModules = /\.(?:d|test|spec|config)$/;

/** The folder cannot be used. */
export class FolderError extends Error {
  override readonly name = "FolderError";
}

/**
 * Absolute paths, sorted: `*.ts`, `*.mts`, `*.js` and `*.mjs` of the folder, and the `index` file of each folder in it.
 * Left out are names that begin with `_` or `.`, declarations and tests.
 * @throws {FolderError} When the folder cannot be read or holds too many.
 */
export async function listModules(folder: string): Promise<readonly string[]> {
  const entries = await read(folder);
  const found = modulesAmong(entries.flatMap((entry) => (entry.isDirectory() ? [] : entry.name)));
  const files = found.map((name) => join(folder, name));
  for (const entry of entries) {
    if (!entry.isDirectory() || /^[._]|^node_modules$/.test(entry.name)) continue;
    const inside = join(folder, entry.name);
    const names = (await read(inside)).map(({ name }) => name);
    const [index] = modulesAmong(names.filter((name) => name.startsWith("index.")));
    if (index !== undefined) files.push(join(inside, index));
  }
  if (files.length > maxModules) {
    throw new FolderError(
      `Cannot load "${shownPath(folder)}": it holds ${files.length} modules, at most ${maxModules} are loaded; name a folder with agents only`,
    );
  }
  return files.sort();
}

/** One file for each stem. */
function modulesAmong(names: readonly string[]): string[] {
  const best = new Map<string, string>();
  for (const extension of extensions.toReversed()) {
    for (const name of names) {
      const [, stem = "", found] = moduleName.exec(name) ?? [];
      if (found === extension && !notModules.test(stem)) best.set(stem, name);
    }
  }
  return [...best.values()];
}

/** Undefined for what is not there; what cannot be read for another reason is an error. */
export async function ifThere<T>(look: Promise<T>): Promise<T | undefined> {
  try {
    return await look;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw error;
  }
}

/**
 * All source files below the folder, for telling whether something changed. A folder that is there and cannot
 * be read stands for what it holds.
 */
export async function listSources(folder: string): Promise<readonly string[]> {
  const found: string[] = [];
  const open = [folder];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    for (const entry of await entriesOf(next)) {
      if (entry === "unreadable") {
        found.push(next);
        continue;
      }
      if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
      const path = join(next, entry.name);
      if (entry.isDirectory()) open.push(path);
      else if (source.test(entry.name)) found.push(path);
      if (found.length >= maxFiles) return found;
    }
  }
  return found;
}

async function entriesOf(folder: string): Promise<readonly (Dirent | "unreadable")[]> {
  try {
    return (await ifThere(readdir(folder, { withFileTypes: true }))) ?? [];
  } catch {
    return ["unreadable"];
  }
}

async function read(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "ENOENT" ? "there is no such folder" : message;
    throw new FolderError(`Cannot load "${shownPath(folder)}": ${why}`, { cause: error });
  }
}

/** As a person in the working folder would write it. */
export function shownPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short === "" || short.startsWith("..") || isAbsolute(short) ? path : short;
}
