/** The command line as a child process: exit codes and messages of what needs no node. */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { acquireDataDirLock } from "../../../native/data-dir-lock.ts";
import { ensureBuilt } from "../../support/build.ts";

const main = fileURLToPath(new URL("../../../dist/runtime/main.js", import.meta.url));
let folder: string;

beforeAll(async () => {
  await ensureBuilt();
  folder = await mkdtemp(join(tmpdir(), "spectra-cli-"));
});
afterAll(() => rm(folder, { recursive: true }));

interface Result {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function run(args: readonly string[], env: Record<string, string> = {}): Promise<Result> {
  const child = spawn(process.execPath, [main, ...args], {
    cwd: folder,
    env: { PATH: process.env["PATH"] ?? "", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

/** One failing command: its exit code, what stderr says, nothing on stdout, no stack. */
async function check(
  args: readonly string[],
  code: number,
  ...says: readonly string[]
): Promise<void> {
  const result = await run(args);
  for (const part of says) expect(result.stderr).toContain(part);
  expect(result.stderr).not.toMatch(/^\s+at /m);
  expect(result.stdout).toBe("");
  expect(result.code).toBe(code);
}

async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

describe("usage errors exit with 2", () => {
  test.each([
    [["--phsae", "1"], "Did you mean --phase?"],
    [["supervisor", "--phase", "5"], "The phases are 1, 2, 3 and 4."],
    [["supervisor", "--phase", "3"], "Phase 3 is not available yet"],
    [["--demo", "--phase", "1"], "cannot be used with"],
    [["--dashboard", "terminal"], "not available yet"],
    [["--host", "0.0.0.0"], "refused until authentication exists"],
    [["--archive", "mail.db"], '"sqlite:FILE"'],
    [["--config", "none.json"], "none.json cannot be read: there is no such file"],
    [["run", "phase1", "--input", "[1]"], "It must be a JSON object."],
    [["show"], "missing required argument 'run'"],
    [["agents", "--url", "nonsense"], "http://127.0.0.1:5000"],
    [["agnets"], 'there is no such verb; did you mean "agents"?'],
    [["frobnicate"], "there are supervisor, run, workflows, list, show, plan, simulate, explain"],
    [["--agents", "none"], "there is no such folder; correct --agents or create it"],
    [["--workflows", "none", "--agents", "."], "correct --workflows or create it"],
    [["--watch"], "Cannot watch: name a folder with --agents or --workflows"],
  ])("%j", async (args, says) => check(args, 2, says));

  test("of a file, the environment and a flag, all at once", async () => {
    const file = join(folder, "bad.json");
    await writeFile(file, '{ "dashboard": { "prot": 1 } }');
    const { code, stderr } = await run(["--config", file, "--port", "x"], {
      SPECTRA_LOG_LEVEL: "loud",
    });
    expect(stderr).toContain("3 problems");
    for (const part of ['"dashboard.prot" is unknown', "SPECTRA_LOG_LEVEL", "--port is"]) {
      expect(stderr).toContain(part);
    }
    expect(code).toBe(2);
  });
});

describe("what cannot be done exits with 1", () => {
  test("a status when no supervisor runs", () =>
    check(["--status", "--data-dir", "nobody"], 1, "No supervisor runs on the data folder"));

  test("a verb when nothing listens at the URL", async () => {
    const server = createTcpServer();
    const port = await listen(server);
    server.close();
    await once(server, "close");
    await check(["agents", "--url", `http://127.0.0.1:${port}`], 1, "Cannot reach the supervisor");
  });

  test("a port that is taken, before anything starts", async () => {
    const server = createTcpServer();
    const port = await listen(server);
    await check(
      ["--port", String(port), "--data-dir", "taken"],
      1,
      `Cannot listen on 127.0.0.1:${port}`,
      "--port 0 takes a free one",
    );
    server.close();
  });

  test("an archive that is not there", () =>
    check(
      ["--phase", "1", "--archive", "sqlite:none.db"],
      1,
      "Cannot read the archive",
      "none.db",
    ));

  test.each([
    ["sqlite", "the file does not start as one"],
    ["telegram", "Cannot read"],
  ])("a file that is no %s archive, before anything starts", async (format, says) => {
    await writeFile(join(folder, "letter.txt"), "Dear all,\nthis is no archive.\n");
    const args = ["--phase", "1", "--archive", `${format}:letter.txt`, "--data-dir", format];
    const { code, stderr, stdout } = await run(args);
    expect(stderr).toContain(says);
    expect(stderr).not.toContain("Starting PostgreSQL");
    expect([code, stdout]).toEqual([1, ""]);
  });

  test("a request that the supervisor refuses, with its code", async () => {
    const problem = { detail: 'Cannot find workflow "x"', code: "NOT_FOUND" };
    const server = createServer((_, response) => {
      response.writeHead(404, { "content-type": "application/problem+json" });
      response.end(JSON.stringify(problem));
    });
    const url = `http://127.0.0.1:${await listen(server)}`;
    await check(["show", "x", "--url", url], 1, 'Cannot find workflow "x" (NOT_FOUND)');
    server.close();
  });

  test("a refused start: each field once, on a line of its own", async () => {
    const errors = [
      { pointer: "/input/dir", detail: "is required" },
      { pointer: "/input/size", detail: "Invalid input: expected number, received string" },
    ];
    const detail = 'Cannot start workflow "album": 2 mistakes in its input';
    const server = createServer((_, response) => {
      response.writeHead(400, { "content-type": "application/problem+json" });
      response.end(JSON.stringify({ detail, code: "INVALID", errors }));
    });
    const url = `http://127.0.0.1:${await listen(server)}`;
    const { code, stderr } = await run(["run", "album", "--url", url]);
    server.close();
    expect(stderr).toBe(
      `${detail} (INVALID)\n  /input/dir: is required\n` +
        "  /input/size: Invalid input: expected number, received string\n",
    );
    expect(code).toBe(1);
  });

  test("a data folder that another process has; its log is left alone", async () => {
    const dataDir = join(folder, "held");
    const lock = await acquireDataDirLock(dataDir);
    await writeFile(join(dataDir, "spectra.log"), "the other's\n");
    await check(["--data-dir", "held", "--port", "0"], 1, `with pid ${process.pid} has it since`);
    expect(await readFile(join(dataDir, "spectra.log"), "utf8")).toBe("the other's\n");
    await lock.release();
  });
});

test("run phase1 --follow exits with 1 when the vote rejected the phase, and says why", async () => {
  const vote = {
    outcome: "rejected",
    required: 2,
    ballots: [{ voter: "DIRECTOR", approve: false, reason: "a criterion is missed" }],
  };
  const answers: Record<string, unknown> = {
    "/api/v1/workflows": { id: "wf-1", workflow: "phase1", status: "running" },
    "/api/v1/workflows/wf-1": { id: "wf-1", workflow: "phase1", status: "completed" },
    "/api/v1/workflows/wf-1/tasks": { items: [], nextCursor: null },
    "/api/v1/workflows/wf-1/report": { result: "rejected_by_vote", vote },
  };
  const server = createServer((request, response) => {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(answers[request.url ?? ""]));
  });
  const url = `http://127.0.0.1:${await listen(server)}`;
  const { code, stdout } = await run(["run", "phase1", "--follow", "--url", url]);
  server.close();
  expect(stdout).toContain("result: rejected by vote");
  expect(stdout).toContain("DIRECTOR is against: a criterion is missed");
  expect(code).toBe(1);
});

test("--version and --help exit with 0 and speak on stdout", async () => {
  const version = await run(["--version"]);
  expect([version.code, version.stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)]);
  const help = await run(["supervisor", "--help"]);
  expect(help.code).toBe(0);
  for (const flag of ["--phase", "--status", "--demo", "--archive", "--data-dir", "--port"]) {
    expect(help.stdout).toContain(flag);
  }
});
