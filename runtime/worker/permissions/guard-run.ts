/**
 * Program lists: a worker that may run some programs runs these and no others, at the paths that were granted.
 *
 * @module
 */

import { createRequire } from "node:module";
import { basename } from "node:path";
import { type PermissionSet, permits, requires } from "../../../machines/permissions.ts";
import { replaceMethod } from "./replace-method.ts";

const require = createRequire(import.meta.url);
const shell = "/bin/sh";

export function guardRun(permissions: () => PermissionSet): void {
  const child = require("node:child_process") as {
    readonly ChildProcess: { readonly prototype: object };
  };
  // Behind spawn, exec, execFile and fork.
  replaceMethod(child.ChildProcess.prototype, "spawn", (original) => (self, args) => {
    const options = args[0] as { file?: unknown } | undefined;
    const file = grantedProgram(permissions(), String(options?.file));
    return Reflect.apply(original, self, [{ ...options, file }]);
  });
  for (const name of ["spawnSync", "execFileSync"]) {
    replaceMethod(child, name, (original) => (self, [program, ...rest]) => {
      const file = grantedProgram(permissions(), usesShell(rest) ? shell : String(program));
      return Reflect.apply(original, self, [usesShell(rest) ? program : file, ...rest]);
    });
  }
  replaceMethod(child, "execSync", (original) => (self, args) => {
    grantedProgram(permissions(), shell);
    return Reflect.apply(original, self, args);
  });
}

function usesShell(rest: readonly unknown[]): boolean {
  return rest.some(
    (one) => typeof one === "object" && one !== null && Boolean((one as { shell?: unknown }).shell),
  );
}

/** The path to run; a bare name means the granted program of that name, wherever `PATH` points. @throws {NotCapable} */
function grantedProgram(set: PermissionSet, program: string): string {
  const { granted } = set.run;
  const named =
    program.includes("/") || granted === "all"
      ? program
      : (granted.find((path) => basename(path) === program) ?? program);
  if (permits(set, "run", named)) return named;
  throw requires("run", program);
}
