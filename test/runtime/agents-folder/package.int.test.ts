/**
 * The package as a user gets it: packed, installed in an empty folder, with an agent in TypeScript.
 *
 * @module
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Page, TaskView, WorkflowView } from "../../../runtime/system.ts";
import { ensureBuilt } from "../../support/build.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";

const limitMs = 180_000;
const root = fileURLToPath(new URL("../../../", import.meta.url));
const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
const run = promisify(execFile);

let top: string;
let folder: string;
let database: TestDatabase;
let child: ChildProcess | undefined;

beforeAll(async () => {
  await ensureBuilt();
  top = mkdtempSync(join(tmpdir(), "spectra-package-"));
  folder = join(top, "app");
  mkdirSync(join(folder, "agents"), { recursive: true });
  database = await createTestDatabase();
  // What ensureBuilt has built is packed as it is: building again would race with other tests.
  await run("npm", ["pack", "--ignore-scripts", "--silent", "--pack-destination", top], {
    cwd: root,
  });
  const [tarball = ""] = readdirSync(top).filter((name) => name.endsWith(".tgz"));
  writeFileSync(join(folder, "package.json"), '{ "name": "app", "private": true }');
  const flags = ["--no-audit", "--no-fund", "--prefer-offline", "--no-progress"];
  await run("npm", ["install", ...flags, join(top, tarball)], { cwd: folder });
  for (const { path, text } of snippets()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}, limitMs);

afterAll(async () => {
  if (child?.pid !== undefined && child.exitCode === null) {
    // The whole group: npx does not pass signals on.
    process.kill(-child.pid, "SIGTERM");
    await once(child, "close");
  }
  await database?.drop();
  rmSync(top, { recursive: true, force: true });
}, limitMs);

/** The files in `docs/agents.md`: each begins with a remark that names it. */
function snippets(): { path: string; text: string }[] {
  const page = readFileSync(join(root, "docs", "agents.md"), "utf8");
  const blocks = [...page.matchAll(/^```ts\n(\/\/ (\S+)\n[^]*?)^```$/gm)];
  return blocks.map(([, text = "", path = ""]) => ({ path, text }));
}

async function typeErrors(): Promise<string> {
  const options = ["--noEmit", "--strict", "--skipLibCheck", "--module", "nodenext"];
  const types = ["--target", "es2023", "--types", "node"];
  const typeRoots = ["--typeRoots", join(root, "node_modules", "@types")];
  const files = ["agents", "workflows"].flatMap((place) =>
    readdirSync(join(folder, place)).map((name) => join(place, name)),
  );
  try {
    await run(process.execPath, [tsc, ...options, ...types, ...typeRoots, ...files], {
      cwd: folder,
    });
    return "";
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}

test(
  "its types accept a right agent and refuse a wrong one",
  async () => {
    expect(await typeErrors()).toBe("");
    const wrong = join(folder, "agents", "wrong.ts");
    writeFileSync(
      wrong,
      `import { capability, defineAgent, z } from "spectra-orchestrator";
export default defineAgent({
  name: "WRONG",
  colour: "red",
  capabilities: {
    go: capability({
      input: z.object({ file: z.string() }),
      output: z.object({ bytes: z.number() }),
      run: async (ctx, { fle }) => ({ bytes: ctx.attempts }),
    }),
  },
});
`,
    );
    const errors = await typeErrors();
    rmSync(wrong);
    expect(errors).toContain("'colour' does not exist in type 'AgentOptions<");
    expect(errors).toContain("Property 'fle' does not exist on type '{ file: string; }'");
    expect(errors).toContain("Property 'attempts' does not exist on type 'AgentContext'");
  },
  limitMs,
);

test("every code block of the page is a file that is checked and run", () => {
  expect(snippets().map(({ path }) => path)).toEqual([
    "agents/thumbnailer.ts",
    "workflows/album.ts",
    "agents/importer.ts",
  ]);
  const page = readFileSync(join(root, "docs", "agents.md"), "utf8");
  expect(page.split("\n```ts\n")).toHaveLength(snippets().length + 1);
});

test(
  "npx spectra supervisor --agents runs the agents and the workflow",
  async () => {
    mkdirSync(join(folder, "inbox"));
    mkdirSync(join(folder, "thumbs"));
    writeFileSync(join(folder, "inbox", "a.txt"), "abcdefgh");
    writeFileSync(join(folder, "inbox", "b.txt"), "abcd");
    let output = "";
    const folders = ["--agents", "./agents", "--workflows", "./workflows"];
    const flags = ["supervisor", ...folders, "--port", "0"];
    child = spawn("npx", ["spectra", ...flags], {
      cwd: folder,
      env: { ...process.env, DATABASE_URL: database.url },
      stdio: ["ignore", "pipe", "pipe"],
      detached: true,
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        output += text;
      });
    }
    const ready = /^ready (\S+)$/m;
    await soon(() => ready.test(output) || child?.exitCode !== null, limitMs).toBe(true);
    const url = ready.exec(output)?.[1];
    expect(url, output).toBeDefined();
    const spectra = async <T>(...args: readonly string[]): Promise<T> => {
      const { stdout } = await run("npx", ["spectra", ...args, "--json"], { cwd: folder });
      return JSON.parse(stdout) as T;
    };
    const input = JSON.stringify({ dir: join(folder, "inbox"), target: join(folder, "thumbs") });
    const ended = await spectra<WorkflowView>("run", "album", "--input", input, "--follow");
    expect(ended).toMatchObject({ workflow: "album", status: "completed" });
    const response = await fetch(`${url}/api/v1/workflows/${ended.id}/tasks`);
    const { items } = (await response.json()) as Page<TaskView>;
    expect(items.map(({ key, output: made }) => [key, made])).toEqual([
      ["scan", { files: ["a.txt", "b.txt"] }],
      ["render", { bytes: 6 }],
    ]);
    expect(readdirSync(join(folder, "thumbs")).sort()).toEqual(["a.txt", "b.txt"]);
    const rows = { words: ["one", "two", "three"] };
    const definition = {
      id: "import",
      tasks: { words: { do: "IMPORTER.store_words", with: rows } },
    };
    const started = await fetch(`${url}/api/v1/workflows`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ workflow: definition }),
    });
    const { id } = (await started.json()) as WorkflowView;
    const tasks = async () => {
      const answer = await fetch(`${url}/api/v1/workflows/${id}/tasks`);
      return ((await answer.json()) as Page<TaskView>).items.map(({ output: made }) => made);
    };
    await soon(tasks, limitMs).toEqual([{ stored: 3 }]);
  },
  limitMs,
);
