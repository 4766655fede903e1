/**
 * Codecs that exist only as programs, run as a child process per body: xz, and kanzi where it is installed.
 * They are for measuring; their start alone costs more than compressing a mail.
 *
 * @module
 */

import { spawnSync } from "node:child_process";
import { AgentError } from "../../machines/error-code.ts";
import type { Codec } from "./codec.ts";
import { corruptBody, ofLength } from "./codec-corruption.ts";

type ProcessName = "xz" | "kanzi";

/** One body may take this long; a program that hangs is killed. */
const processTimeoutMs = 30_000;

function argumentsOf(name: ProcessName, level: number, direction: "c" | "d"): readonly string[] {
  if (name === "xz") return direction === "c" ? [`-${level}`, "-c", "-q"] : ["-d", "-c", "-q"];
  const streams = ["-i", "stdin", "-o", "stdout", "-v", "0", "-j", "1"];
  return direction === "c" ? ["-c", "-l", String(level), ...streams] : ["-d", ...streams];
}

function runProcess(name: ProcessName, args: readonly string[], input: Uint8Array, limit: number) {
  return spawnSync(name, args, {
    input,
    maxBuffer: limit,
    timeout: processTimeoutMs,
    killSignal: "SIGKILL",
  });
}

/** What stands in the way of running `name` here, or undefined when it runs. */
function obstacle(name: ProcessName): string | undefined {
  try {
    const probe = spawnSync(name, [name === "xz" ? "--version" : "-h"], {
      timeout: processTimeoutMs,
    });
    if (probe.error !== undefined) {
      return "code" in probe.error && probe.error.code === "ENOENT"
        ? "no such program on the PATH"
        : probe.error.message;
    }
    return probe.status === 0 ? undefined : `it ended with status ${probe.status}`;
  } catch (error) {
    // The worker's guard throws when the agent lacks the permission to run programs.
    return error instanceof Error ? error.message : String(error);
  }
}

/** @throws {AgentError} `CODEC_UNAVAILABLE` when the program cannot be run on this machine. */
export function openProcessCodec(name: ProcessName, level: number): Codec {
  const reason = obstacle(name);
  if (reason !== undefined) {
    throw new AgentError("CODEC_UNAVAILABLE", `Cannot use the codec ${name}: ${reason}`);
  }
  const id = `${name}:${level}`;
  return {
    name,
    level,
    takesDictionary: false,
    external: true,
    compress(raw) {
      const limit = raw.byteLength * 2 + 65_536;
      const done = runProcess(name, argumentsOf(name, level, "c"), raw, limit);
      if (done.status === 0) return done.stdout;
      throw new AgentError(
        "CODEC_FAILED",
        `Cannot compress with ${id}: status ${done.status}, ${done.error?.message ?? String(done.stderr).trim()}`,
        { cause: done.error },
      );
    },
    decompress(data, rawBytes) {
      const done = runProcess(name, argumentsOf(name, level, "d"), data, rawBytes + 65_536);
      if (done.status === 0) return ofLength(done.stdout, rawBytes, id);
      throw corruptBody(id, `status ${done.status}, ${String(done.stderr).trim()}`, done.error);
    },
  };
}
