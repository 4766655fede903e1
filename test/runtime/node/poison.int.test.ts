/** @module A task that threads die of, on a real node: it is given up, said, and repeated by hand. */

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { WorkflowView } from "../../../runtime/system.ts";
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
let database: TestDatabase;
let node: SupervisorProcess;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "spectra-poison-"));
  const agents = join(folder, "agents");
  mkdirSync(agents);
  mkdirSync(join(folder, "shared"));
  writeFileSync(join(folder, "shared", "armed"), "");
  writeFileSync(join(agents, "bomb.ts"), bomb(join(folder, "shared")));
  database = await createTestDatabase();
  const args = ["--agents", agents, "--data-dir", join(folder, "data")];
  node = await startSupervisor(args, { DATABASE_URL: database.url });
}, limitMs);

afterAll(async () => {
  node?.kill("SIGTERM");
  await node?.exited;
  await database?.drop();
  rmSync(folder, { recursive: true, force: true });
}, limitMs);

/** Ends its thread for as long as there is a file `armed`. */
function bomb(shared: string): string {
  return `import { capability, defineAgent, z } from "spectra-orchestrator";
import { existsSync } from "node:fs";

export default defineAgent({
  name: "BOMB",
  permissions: { read: [${JSON.stringify(shared)}] },
  capabilities: {
    work: capability({
      input: z.object({}),
      output: z.object({ done: z.boolean() }),
      connections: 0,
      run: async () => {
        if (existsSync(${JSON.stringify(join(shared, "armed"))})) process.exit(1);
        return { done: true };
      },
    }),
  },
});
`;
}

const deaths = async (id: string): Promise<number | undefined> => {
  const rows = await database.sql<{ deaths: number }[]>`
    select deaths from spectra.tasks where workflow_id = ${id}`;
  return rows[0]?.deaths;
};

test("three deaths are the end of a task, whatever its retries; an operator's retry starts anew", {
  timeout: limitMs,
}, async () => {
  const retry = { attempts: 10, backoff: "fixed", initialMs: 10, maxMs: 10 };
  const workflow = { id: "bomb", tasks: { only: { do: "BOMB.work", retry } } };
  const { id } = await node.post<WorkflowView>("/workflows", { workflow });
  const status = async () => (await node.get<WorkflowView>(`/workflows/${id}`)).status;
  await soon(status, limitMs).toBe("failed");
  const [task] = await tasksOf(node, id);
  expect(task).toMatchObject({
    status: "failed",
    error: { code: "POISONED", retryable: false, cause: { code: "AGENT_DIED" } },
  });
  expect(await deaths(id)).toBe(3);
  const journal = await historyOf(node, id);
  const codes = (type: string) =>
    journal
      .filter((entry) => entry.type === type)
      .map(({ payload }) => (payload as { code?: string }).code);
  expect(codes("task.retrying")).toEqual(["AGENT_DIED", "AGENT_DIED"]);
  expect(codes("task.failed")).toEqual(["POISONED"]);

  const incidents = () => database.sql<{ kind: string; action: string }[]>`
    select kind, action from spectra.incidents where address = '/root/agents/BOMB' order by id`;
  await soon(async () => (await incidents()).length, limitMs).toBe(4);
  expect([...(await incidents())]).toEqual(
    expect.arrayContaining([
      // Only the first death took the agent's own thread; the others had one for themselves.
      { kind: "exit", action: "restarted" },
      { kind: "exit", action: "terminated" },
      { kind: "exit", action: "terminated" },
      { kind: "poison", action: "quarantined" },
    ]),
  );

  rmSync(join(folder, "shared", "armed"));
  await node.post(`/workflows/${id}/retry`, { reason: "the file is away" });
  await soon(status, limitMs).toBe("completed");
  expect(await deaths(id)).toBe(0);
  expect((await tasksOf(node, id))[0]).toMatchObject({ output: { done: true } });
});
