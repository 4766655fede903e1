/** @module Tests of agents of a folder on a real supervisor: they run, change, break, come and go. */

import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type {
  ActorView,
  AgentView,
  JournalEntry,
  SystemStatus,
  TaskExplanation,
  WorkflowView,
} from "../../../runtime/system.ts";
import { createTestDatabase, type TestDatabase } from "../../support/postgres.ts";
import { soon } from "../../support/soon.ts";
import {
  historyOf,
  type SupervisorProcess,
  startSupervisor,
  tasksOf,
} from "../../support/supervisor.ts";

const limitMs = 240_000;
let folder: string;
let dataDir: string;
let database: TestDatabase;
let node: SupervisorProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "spectra-folder-"));
  dataDir = join(folder, "data");
  mkdirSync(join(folder, "agents"));
  mkdirSync(join(folder, "workflows"));
  put("counter.ts", counter(1));
  put("echo.ts", echo("ECHO"));
  put("broken.ts", "export default {\n  name: ,\n};");
  put("usurper.ts", echo("DIRECTOR"));
  writeFileSync(join(folder, "workflows", "album.ts"), album);
  database = await createTestDatabase();
  node = await startNode();
}, limitMs);

function startNode(): Promise<SupervisorProcess> {
  const folders = ["--agents", join(folder, "agents"), "--workflows", join(folder, "workflows")];
  return startSupervisor([...folders, "--watch", "--data-dir", dataDir], {
    DATABASE_URL: database.url,
    FRUIT: "apple",
    SECRET: "42",
  });
}

afterAll(async () => {
  node?.kill("SIGTERM");
  await node?.exited;
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
}, limitMs);

/** As an editor saves: in a file beside it, which then takes its place. */
function put(name: string, text: string): void {
  const path = join(folder, "agents", name);
  writeFileSync(`${path}.tmp`, text);
  renameSync(`${path}.tmp`, path);
}

const head = `import { capability, defineAgent, z } from "spectra-orchestrator";\n`;

function echo(name: string): string {
  return `${head}
export default defineAgent({
  name: "${name}",
  permissions: { env: ["FRUIT"] },
  capabilities: {
    say: capability({
      input: z.object({ text: z.string() }),
      output: z.object({ text: z.string(), variables: z.record(z.string(), z.string()) }),
      connections: 0,
      run: async (_ctx, { text }) => {
        const { FRUIT = "none", SECRET = "none" } = process.env;
        return { text, variables: { FRUIT, SECRET } };
      },
    }),
    die: capability({
      input: z.object({}),
      output: z.object({}),
      connections: 0,
      run: async () => process.exit(3),
    }),
    fail: capability({
      input: z.object({}),
      output: z.object({}),
      connections: 0,
      run: async () => {
        throw new Error("as it was told");
      },
    }),
  },
});
`;
}

/** A task ends when the file \`limit\` allows so many to have ended: the test decides what is under way when. */
function counter(version: number): string {
  const shared = JSON.stringify(join(folder, "shared"));
  return `${head}
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { setTimeout as wait } from "node:timers/promises";

export default defineAgent({
  name: "COUNTER",
  concurrency: 4,
  permissions: { read: [${shared}], write: [${shared}] },
  capabilities: {
    step: capability({
      input: z.object({ n: z.number() }),
      output: z.object({ version: z.number() }),
      connections: 0,
      async run(ctx, { n }) {
        const dir = ${shared};
        for (;;) {
          const limit = Number(readFileSync(dir + "/limit", "utf8"));
          if (readdirSync(dir).length - 1 < limit) break;
          await wait(20, undefined, { signal: ctx.signal });
        }
        writeFileSync(dir + "/done-" + n, "");
        return { version: ${version} };
      },
    }),
  },
});
`;
}

const album = `import { defineWorkflow, output, param } from "spectra-orchestrator";
export default defineWorkflow({
  id: "album",
  params: ["title"],
  tasks: {
    first: { do: "ECHO.say", title: "first", with: { text: param("title") } },
    second: {
      do: "ECHO.say", title: "second", after: ["first"], with: { text: output("first", "text") },
    },
  },
});
`;

const status = () => node.get<SystemStatus>("/system/status");
const agent = (name: string) => node.get<AgentView>(`/agents/${name}`);
const logged = (text: string): number =>
  readFileSync(join(dataDir, "spectra.log"), "utf8").split(text).length - 1;

async function start(workflow: unknown, input = {}): Promise<string> {
  return (await node.post<WorkflowView>("/workflows", { workflow, input })).id;
}

async function ended(id: string): Promise<WorkflowView["status"]> {
  let last: WorkflowView["status"] = "pending";
  const look = async () => {
    last = (await node.get<WorkflowView>(`/workflows/${id}`)).status;
    return ["completed", "failed", "cancelled", "parked"].includes(last);
  };
  await soon(look, limitMs).toBe(true);
  return last;
}

function single(action: string, text?: string) {
  const input = text === undefined ? {} : { with: { text } };
  return { id: "single", tasks: { only: { do: action, retry: { attempts: 1 }, ...input } } };
}

describe("at the start", () => {
  test("what works runs, what does not is one line each, and the node is ready", async () => {
    const { ready, warnings, agents } = await status();
    expect([ready, agents.healthy]).toEqual([true, 19]);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toMatch(/agents\/broken\.ts:2:9: Unexpected ","; its agents are left out/);
    expect(warnings[1]).toMatch(/usurper\.ts: agent "DIRECTOR" is already defined by SPECTRA/);
    expect(node.output()).toContain("2 problems with agents or workflows of the folders");
    expect(await agent("COUNTER")).toMatchObject({ status: "running", concurrency: 4 });
  });

  test("an agent gets the variables that it is granted, and no others", async () => {
    const id = await start(single("ECHO.say", "hi"));
    expect(await ended(id)).toBe("completed");
    const [task] = await tasksOf(node, id);
    expect(task?.output).toEqual({ text: "hi", variables: { FRUIT: "apple", SECRET: "none" } });
  });

  test("a workflow of a folder starts by its id", async () => {
    const id = await start("album", { title: "summer" });
    expect(await ended(id)).toBe("completed");
    const tasks = await tasksOf(node, id);
    expect(tasks.map(({ output }) => (output as { text: string }).text)).toEqual([
      "summer",
      "summer",
    ]);
  });

  test("an action that throws is reported with the line of the user's file", async () => {
    const id = await start(single("ECHO.fail"));
    expect(await ended(id)).toBe("failed");
    const [task] = await tasksOf(node, id);
    expect(task?.error?.message).toBe("as it was told");
    expect(task?.error?.stack).toContain(join(folder, "agents", "echo.ts:27:15"));
  });

  test("an unknown action of a known agent is refused", async () => {
    await expect(start(single("ECHO.sing"))).rejects.toThrow("ECHO has no action");
  });
});

test("200 tasks run while the file changes five times: each is done once, none fails", async () => {
  const shared = join(folder, "shared");
  mkdirSync(shared);
  const allow = (count: number) => writeFileSync(join(shared, "limit"), String(count));
  allow(0);
  const tasks = Object.fromEntries(
    Array.from({ length: 200 }, (_, n) => [
      `t${n}`,
      { do: "COUNTER.step", with: { n }, retry: { attempts: 1 } },
    ]),
  );
  const id = await start({ id: "many", maxParallel: 50, tasks });
  for (let version = 2; version <= 6; version += 1) {
    // Four attempts of the old code are under way whenever new code comes.
    await soon(async () => (await agent("COUNTER")).inFlight, limitMs).toBe(4);
    const reloads = logged("agent of a folder runs new code");
    put("counter.ts", counter(version));
    await soon(() => logged("agent of a folder runs new code"), limitMs).toBe(reloads + 1);
    allow((version - 1) * 30);
    const done = async () =>
      (await node.get<WorkflowView>(`/workflows/${id}`)).tasks.done >= (version - 1) * 30 - 4;
    await soon(done, limitMs).toBe(true);
  }
  allow(200);
  expect(await ended(id)).toBe("completed");
  const rows = await tasksOf(node, id);
  const versions = rows.map(({ output }) => (output as { version: number }).version);
  expect(new Set(versions)).toEqual(new Set([1, 2, 3, 4, 5, 6]));
  expect(versions.filter((version) => version === 1)).toHaveLength(4);
  expect(rows.every(({ attempt, status: at }) => attempt === 1 && at === "succeeded")).toBe(true);
  const journal = await historyOf(node, id);
  const keys = journal.filter(({ type }) => type === "task.succeeded").map(keyOf);
  expect([keys.length, new Set(keys).size]).toEqual([200, 200]);
  expect(journal.filter(({ type }) => /failed|lost|retry|refused/.test(type))).toEqual([]);
  expect(await agent("COUNTER")).toMatchObject({ status: "running", health: "healthy" });
}, 600_000);

function keyOf({ payload }: JournalEntry): string {
  return (payload as { task: string }).task;
}

describe("while it runs", () => {
  test("a module that becomes broken leaves its last good version running, and says so once", async () => {
    put("echo.ts", echo("ECHO").replace("export default", "export default)"));
    const line = /echo\.ts:3:15: .*; its last good version goes on until the file is corrected/;
    const warned = async () => (await status()).warnings.some((warning) => line.test(warning));
    await soon(warned, limitMs).toBe(true);
    expect(await ended(await start(single("ECHO.say", "still here")))).toBe("completed");
    put("other.ts", echo("OTHER"));
    await soon(async () => (await status()).agents.total, limitMs).toBe(20);
    expect(logged("its last good version goes on")).toBe(1);
    put("echo.ts", echo("ECHO"));
    await soon(warned, limitMs).toBe(false);
  });

  test("a file that is touched, or a temporary one, changes nothing", async () => {
    const { threadId } = await agent("ECHO");
    writeFileSync(join(folder, "agents", ".echo.ts.swp"), "nonsense");
    writeFileSync(join(folder, "agents", "echo.ts~"), "nonsense");
    appendFileSync(join(folder, "agents", "echo.ts"), "\n// a remark\n");
    // A change that must be seen, so that the others have been seen before.
    put("late.ts", echo("LATE"));
    await soon(async () => (await status()).agents.total, limitMs).toBe(21);
    expect(await agent("ECHO")).toMatchObject({ threadId, restarts: 0 });
  });

  test("a helper that changes reloads the agents that use it", async () => {
    put("_words.ts", 'export const word = "one";');
    const talker = echo("TALKER").replace("{ text, variables:", "{ text: text + word, variables:");
    put("talker.ts", `import { word } from "./_words.ts";\n${talker}`);
    await soon(async () => (await agent("TALKER")).status, limitMs).toBe("running");
    put("_words.ts", 'export const word = "two";');
    const said = async () => {
      const id = await start(single("TALKER.say", "number "));
      await ended(id);
      const [task] = await tasksOf(node, id);
      return (task?.output as { text: string } | undefined)?.text;
    };
    await soon(said, limitMs).toBe("number two");
  });

  test("a file that is deleted removes its agent, and its waiting tasks say why they wait", async () => {
    await node.post("/agents/LATE/pause");
    const id = await start(single("LATE.say", "patience"));
    rmSync(join(folder, "agents", "late.ts"));
    const explain = () => node.get<TaskExplanation>(`/workflows/${id}/tasks/only/explain`);
    await soon(async () => (await explain()).reasons[0], limitMs).toEqual(
      expect.stringMatching(/^agent LATE is gone: .*late\.ts does not define it any more$/),
    );
    await soon(async () => (await status()).agents.total, limitMs).toBe(21);
    expect((await explain()).status).toBe("ready");
    put("late.ts", echo("LATE"));
    expect(await ended(id)).toBe("completed");
  });

  test("a module that hurts its node when it is loaded does not", async () => {
    const { pid } = node;
    put("loop.ts", "process.exit(7);\nexport default {};");
    const warned = async () => (await status()).warnings.some((line) => line.includes("exit(7)"));
    await soon(warned, limitMs).toBe(true);
    expect(node.pid).toBe(pid);
    expect((await status()).ready).toBe(true);
  });
});

test("restarts of an agent outlive its node, and corrected code starts with a clean record", async () => {
  const restarts = async () =>
    (await node.get<ActorView>("/actors/root/agents/ECHO/thread")).restarts;
  const remembered = async () =>
    (
      await database.sql<{ supervisor: string }[]>`
        select supervisor from spectra.restart_counters where supervisor like '/root/agents/ECHO@%'`
    ).length;
  expect([await restarts(), await remembered()]).toEqual([0, 0]);
  expect(await ended(await start(single("ECHO.die")))).toBe("failed");
  await soon(restarts, limitMs).toBe(1);
  await soon(remembered, limitMs).toBe(1);
  // It has not stopped in order: its next start knows.
  node.kill("SIGKILL");
  await node.exited;
  node = await startNode();
  await soon(restarts, limitMs).toBe(1);
  expect(await ended(await start(single("ECHO.say", "again")))).toBe("completed");
  put("echo.ts", echo("ECHO").replace("as it was told", "as it was told, politely"));
  await soon(restarts, limitMs).toBe(0);
  expect(await ended(await start(single("ECHO.say", "corrected")))).toBe("completed");
  await soon(remembered, limitMs).toBe(0);
}, 600_000);
