/**
 * Which files a module imports statically: Deno loads these under the permissions of the parent.
 *
 * @module
 */

import { existsSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { BuildOptions, Metafile, Plugin } from "esbuild";
import { requires } from "../../../machines/permissions.ts";

/** Most workers never ask: each thread would load it at its start. */
const loadEsbuild = (): typeof import("esbuild") => createRequire(import.meta.url)("esbuild");

/**
 * Files that a worker must be able to read to load its root module: the module, what it imports
 * statically, and the package files that say how. Blocks for some 10 to 50 ms.
 * A module that does not parse has only itself: the worker then fails with the real reason.
 */
export function staticGraph(rootUrl: string): readonly string[] {
  if (!rootUrl.startsWith("file:")) return [];
  const root = fileURLToPath(rootUrl);
  return withCompanions([root, ...imported(root)]);
}

/** The same for a maker that may not read all: what it may not read is neither looked at nor in the result. */
export async function readableGraph(
  rootUrl: string,
  mayRead: (path: string) => boolean,
): Promise<readonly string[]> {
  if (!rootUrl.startsWith("file:")) return [];
  const root = fileURLToPath(rootUrl);
  const files = await importedReadable(root, mayRead);
  return withCompanions([root, ...files]).filter(mayRead);
}

/** Of a build: fails at a file that may not be read, or is none. */
export function onlyReadable(mayRead: (path: string) => boolean): Plugin {
  return {
    name: "only-readable",
    setup: ({ onLoad }) => {
      onLoad({ filter: /(?:)/, namespace: "file" }, ({ path }) => {
        if (!mayRead(path)) throw requires("read", path);
        // A device would never end.
        if (!statSync(path).isFile()) throw new Error(`Cannot load "${path}": it is no file`);
        return undefined;
      });
    },
  };
}

async function importedReadable(
  root: string,
  mayRead: (path: string) => boolean,
): Promise<readonly string[]> {
  if (!mayRead(root)) return [];
  try {
    const plugins = [onlyReadable(mayRead)];
    const { metafile } = await loadEsbuild().build({ ...graphOptions(root), plugins });
    return reachable(metafile, root);
  } catch {
    // The worker's own import tells what is wrong with it.
    return [];
  }
}

function withCompanions(files: readonly string[]): readonly string[] {
  // Node reads a source map beside a module to tell where an error is from.
  const maps = files.map((file) => `${file}.map`);
  return [...new Set([...files, ...maps, ...files.flatMap(packageFiles)])];
}

function imported(root: string): string[] {
  if (!existsSync(root)) return [];
  try {
    const { metafile } = loadEsbuild().buildSync(graphOptions(root));
    return reachable(metafile, root);
  } catch {
    // The worker's own import tells what is wrong with it.
    return [];
  }
}

function graphOptions(root: string) {
  return {
    entryPoints: [root],
    bundle: true,
    metafile: true,
    write: false,
    platform: "node",
    format: "esm",
    logLevel: "silent",
    absWorkingDir: "/",
    outdir: "/",
    loader: { ".node": "empty", ".wasm": "empty" },
  } as const satisfies BuildOptions;
}

function reachable({ inputs }: Metafile, root: string): string[] {
  const seen = new Set<string>();
  const open = Object.keys(inputs).filter((path) => resolve("/", path) === root);
  for (let path = open.pop(); path !== undefined; path = open.pop()) {
    if (seen.has(path)) continue;
    seen.add(path);
    for (const { path: next, kind } of inputs[path]?.imports ?? []) {
      if (kind !== "dynamic-import" && inputs[next] !== undefined) open.push(next);
    }
  }
  return [...seen].map((path) => resolve("/", path));
}

/** Node reads the package files of all folders above a module. */
function packageFiles(file: string): string[] {
  const files: string[] = [];
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    files.push(join(folder, "package.json"));
    if (folder === dirname(folder)) return files;
  }
}
