/**
 * A restricted worker with a list of programs: its maker runs them, and Node's own functions behave as ever.
 *
 * @module
 */

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { Worker } from "../../../../runtime/worker/web/worker.ts";
import { ensureBuilt } from "../../../support/build.ts";
import { soon } from "../../../support/soon.ts";

const timeoutMs = 120_000;
const programs = ["/bin/cat", "/bin/sleep", "/bin/ls", "/nowhere/tool"];

beforeAll(ensureBuilt, timeoutMs);

function start(code: string, isolation: "thread" | "process"): Worker {
  const text = `import cp from "node:child_process"; import { promisify } from "node:util"; ${code}`;
  return new Worker(`data:text/javascript,${encodeURIComponent(text)}`, {
    type: "module",
    deno: { permissions: { run: programs } },
    spectra: { isolation },
  });
}

async function answerOf(worker: Worker): Promise<unknown> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => resolve(data);
    worker.onerror = (event) => {
      event.preventDefault();
      reject(new Error(event.message));
    };
  });
}

async function valueOf(code: string, isolation: "thread" | "process" = "thread"): Promise<unknown> {
  const worker = start(`self.postMessage(await (${code})());`, isolation);
  try {
    return await answerOf(worker);
  } finally {
    worker.terminate();
    await worker.exited;
  }
}

const isGone = (pid: number): boolean => {
  try {
    // A zombie that nobody has waited for runs no more.
    return /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
};

describe("programs that the maker runs", () => {
  test("20 MB go through a program and back, and it ends", { timeout: timeoutMs }, async () => {
    const code = `() => new Promise((resolve, reject) => {
      const child = cp.spawn("cat");
      let bytes = 0;
      child.stdout.on("data", (chunk) => { bytes += chunk.length; });
      child.on("error", reject);
      child.on("close", (status, signal) => resolve([bytes, status, signal, child.pid > 0]));
      child.stdin.end(Buffer.alloc(20_000_000, "abc"));
    })`;
    expect(await valueOf(code)).toEqual([20_000_000, 0, null, true]);
  });

  test("execFile and what it rejects with", { timeout: timeoutMs }, async () => {
    const code = `async () => {
      const execFile = promisify(cp.execFile);
      const { stdout } = await execFile("ls", ["/bin/cat"]);
      const { code, stderr } = await execFile("ls", ["/nowhere"]).catch((error) => error);
      return [stdout, code, stderr.length > 0];
    }`;
    expect(await valueOf(code)).toEqual(["/bin/cat\n", 2, true]);
  });

  test("the synchronous functions wait for it", { timeout: timeoutMs }, async () => {
    const code = `() => [
      String(cp.spawnSync("cat", { input: "in" }).stdout),
      cp.execFileSync("cat", [], { input: "text", encoding: "utf8" }),
      cp.spawnSync("sleep", ["60"], { timeout: 50 }).error.code,
      cp.spawnSync("cat", [], { input: "x".repeat(5000), maxBuffer: 10 }).error.code,
      cp.spawnSync("/nowhere/tool").error.code,
      cp.spawnSync("ls", ["/nowhere"]).status,
    ]`;
    expect(await valueOf(code)).toEqual(["in", "text", "ETIMEDOUT", "ENOBUFS", "ENOENT", 2]);
  });

  test("a program that is not there, a signal, and what is refused", {
    timeout: timeoutMs,
  }, async () => {
    const code = `async () => {
      const gone = await new Promise((resolve) => cp.spawn("/nowhere/tool").on("error", resolve));
      const killed = await new Promise((resolve) => {
        const child = cp.spawn("sleep", ["60"]);
        child.on("close", (status, signal) => resolve([status, signal]));
        child.kill("SIGTERM");
      });
      const codeOf = (run) => { try { run(); return "ran"; } catch (error) { return error.code; } };
      return [
        gone.code,
        killed,
        codeOf(() => cp.spawn("true")),
        codeOf(() => cp.execSync("cat")),
        codeOf(() => cp.fork("/x.js")),
        codeOf(() => cp.spawn("cat", { detached: true })),
      ];
    }`;
    const refused = ["NOT_CAPABLE", "NOT_CAPABLE", "ENOTSUP", "ENOTSUP"];
    expect(await valueOf(code)).toEqual(["ENOENT", [null, "SIGTERM"], ...refused]);
  });

  test.each(["thread", "process"] as const)(
    "they end with their worker: %s",
    async (isolation) => {
      const worker = start(`self.postMessage(cp.spawn("sleep", ["600"]).pid);`, isolation);
      const pid = (await answerOf(worker)) as number;
      expect(isGone(pid)).toBe(false);
      expect(worker.enforcement()).toMatchObject({ read: "hard", run: "brokered" });
      worker.terminate();
      await worker.exited;
      await soon(() => isGone(pid)).toBe(true);
    },
    timeoutMs,
  );
});
