/**
 * Which files a module imports statically: Deno loads these under the permissions of the parent.
 *
 * @module
 */

import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import type { Metafile } from "esbuild";

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
  const files = [root, ...imported(root)];
  // Node reads a source map beside a module to tell where an error is from.
  const maps = files.map((file) => `${file}.map`);
  return [...new Set([...files, ...maps, ...files.flatMap(packageFiles)])];
}

function imported(root: string): string[] {
  if (!existsSync(root)) return [];
  try {
    const { metafile } = loadEsbuild().buildSync({
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
    });
    return reachable(metafile, root);
  } catch {
    // The worker's own import tells what is wrong with it.
    return [];
  }
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
