/**
 * The table of who may import whom, run over every module of the project.
 *
 * @module
 */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { cruise, type ICruiseResult, type IModule } from "dependency-cruiser";
import { beforeAll, describe, expect, test } from "vitest";

/** Folders that each folder may import, besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  machines: [],
  native: [],
  db: ["machines"],
  actors: ["machines"],
  runtime: ["machines", "actors", "db", "native"],
  http: ["machines", "native"],
};

/** Exceptions: [importing file, imported file]. */
const exceptions: readonly (readonly [RegExp, RegExp])[] = [
  [/^runtime\/(?:main\.ts|cli\/)/, /^http\//],
  [/^http\//, /^runtime\/system\.ts$/],
];

/** Packages that only one place knows. */
const onlyThere: readonly (readonly [name: RegExp, place: RegExp])[] = [
  [/^bullmq$/, /^runtime\/queue\//],
  [/^pg$/, /^runtime\/queue\//],
  [/^comlink$/, /^runtime\/worker\//],
  [/^(?:node:)?worker_threads$/, /^runtime\/worker\//],
  [/^uWebSockets\.js$/, /^native\//],
];

const folders = Object.keys(mayImport);
let modules: readonly IModule[];

beforeAll(async () => {
  const { output } = await cruise(
    folders,
    { doNotFollow: { path: "node_modules" }, tsPreCompilationDeps: true },
    {},
    { tsConfig: undefined },
  );
  modules = (output as ICruiseResult).modules.filter(
    ({ source }) => folderOf(source) !== undefined,
  );
});

function folderOf(path: string): string | undefined {
  // "http" alone is Node's module, not our folder.
  return folders.find((folder) => path.startsWith(`${folder}/`));
}

function isAllowed(from: string, to: string): boolean {
  const [source, target] = [folderOf(from), folderOf(to)];
  if (source === undefined || target === undefined || source === target) return true;
  return (
    mayImport[source]?.includes(target) === true ||
    exceptions.some(([importer, imported]) => importer.test(from) && imported.test(to))
  );
}

/** `from -> to` of every import that a rule refuses. */
function offences(refuses: (from: string, to: string, name: string) => boolean): string[] {
  return modules.flatMap(({ source, dependencies }) =>
    dependencies
      .filter(({ resolved, module }) => refuses(source, resolved, module))
      .map(({ module }) => `${source} -> ${module}`),
  );
}

function sourceFiles(): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder, { recursive: true })
      .map((name) => join(folder, String(name)))
      .filter((path) => /\.tsx?$/.test(path)),
  );
}

describe("architecture", () => {
  test("every source file was read, with its imports", () => {
    expect(modules.map(({ source }) => source).sort()).toEqual(sourceFiles().sort());
    expect(modules.flatMap(({ dependencies }) => dependencies).length).toBeGreaterThan(
      modules.length,
    );
  });

  test("every import of a file of ours was found", () => {
    const lost = modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ module, couldNotResolve }) => couldNotResolve && module.startsWith("."))
        .map(({ module }) => `${source} -> ${module}`),
    );
    expect(lost).toEqual([]);
  });

  test("folders import only what the table allows", () => {
    expect(offences((from, to) => !isAllowed(from, to))).toEqual([]);
  });

  test("machines know no package but xstate", () => {
    const refuses = (from: string, to: string, name: string) =>
      from.startsWith("machines/") && folderOf(to) === undefined && name !== "xstate";
    expect(offences(refuses)).toEqual([]);
  });

  test("some packages are known in one place only", () => {
    const refuses = (from: string, _: string, name: string) =>
      onlyThere.some(([known, place]) => known.test(name) && !place.test(from));
    expect(offences(refuses)).toEqual([]);
  });

  test("only runtime/config.ts reads the environment", () => {
    const reads =
      /\bprocess\s*\.\s*env\b|\{[^}]*\benv\b[^}]*\}\s*=\s*process\b|import\s*\{[^}]*\benv\b[^}]*\}\s*from\s*"(?:node:)?process"/;
    // Inside a worker the environment is what its maker granted, and these are who grants and guards it.
    const inWorkers = /^runtime\/worker\/(?:web|permissions)\//;
    const readers = sourceFiles()
      .filter((path) => !inWorkers.test(path))
      .filter((path) => reads.test(readFileSync(path, "utf8")));
    expect(readers).toEqual(["runtime/config.ts"]);
  });

  test("machines read no clock and no randomness", () => {
    const impure =
      /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.|\bset(?:Timeout|Interval|Immediate)\(|\bcrypto\b/;
    const found = sourceFiles()
      .filter((path) => path.startsWith("machines/"))
      .filter((path) => impure.test(readFileSync(path, "utf8")));
    expect(found).toEqual([]);
  });

  test("no modules need each other to load", () => {
    const harmless = new Set(["type-only", "dynamic-import"]);
    const circles = modules.flatMap(({ source, dependencies }) =>
      dependencies
        .filter(({ cycle }) =>
          cycle?.every(
            ({ dependencyTypes }) => !dependencyTypes.some((type) => harmless.has(type)),
          ),
        )
        .map(({ module }) => `${source} -> ${module}`),
    );
    expect(circles).toEqual([]);
  });
});
