/**
 * Finds the Deno of this machine: the optional npm package `deno`, or a program on the PATH.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";

const probeTimeoutMs = 10_000;
const programName = process.platform === "win32" ? "deno.exe" : "deno";

let found: string | undefined;

/** Path or name of the program; undefined where there is none. Looks again until it has found one. */
export function findDeno(): string | undefined {
  found ??= packagedDeno() ?? denoOnPath();
  return found;
}

function packagedDeno(): string | undefined {
  const folder = packageFolder("deno", import.meta.url);
  if (folder === undefined) return undefined;
  const program = join(folder, programName);
  if (existsSync(program)) return program;
  // The package's install script, which links the program there, may not have run.
  const { platform, arch } = process;
  for (const suffix of platform === "linux" ? ["-glibc", ""] : [""]) {
    const binary = packageFolder(
      `@deno/${platform}-${arch}${suffix}`,
      join(folder, "package.json"),
    );
    if (binary !== undefined && existsSync(join(binary, programName))) {
      return join(binary, programName);
    }
  }
  return undefined;
}

function packageFolder(name: string, from: string): string | undefined {
  try {
    return dirname(createRequire(from).resolve(`${name}/package.json`));
  } catch {
    return undefined;
  }
}

function denoOnPath(): string | undefined {
  const { status } = spawnSync(programName, ["--version"], {
    stdio: "ignore",
    timeout: probeTimeoutMs,
  });
  return status === 0 ? programName : undefined;
}
