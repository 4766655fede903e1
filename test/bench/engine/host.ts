/**
 * A real engine, queue and database for a bench; the agent is a function of this process that answers
 * at once, so that what is measured is the engine.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import postgres from "postgres";
import { defineWorkflow, output } from "../../../actors/define-workflow.ts";
import type { QueueBackend } from "../../../runtime/queue/job-queue.ts";
import type { WorkflowsPort } from "../../../runtime/system.ts";
import { openTestHost } from "../../support/workflow-host.ts";

export const by = { actor: "bench" };

/** Where the migrations lie, seen from `dist/test/bench/engine`. */
const migrations = fileURLToPath(new URL("../../../../db/migrations", import.meta.url));

/** Tasks in a row, each taking the number of the one before it. */
export function chainOf(length: number, local: boolean) {
  return defineWorkflow({
    id: `chain-${length}${local ? "-local" : ""}`,
    maxParallel: 64,
    tasks: Object.fromEntries(
      Array.from({ length }, (_, index) => [
        `t${index}`,
        {
          do: "WORKER.add",
          local,
          ...(index === 0 ? {} : { after: [`t${index - 1}`] }),
          with: index === 0 ? { n: 0 } : { n: output(`t${index - 1}`, "n") },
        },
      ]),
    ),
  });
}

export interface BenchHost extends AsyncDisposable {
  readonly workflows: WorkflowsPort;
  /** Starts a run and resolves when it has ended. @throws {Error} When it did not complete. */
  complete(workflow: string): Promise<void>;
}

export async function openBenchHost(
  url: string,
  queue: QueueBackend,
  workflows: Parameters<typeof openTestHost>[0]["workflows"],
): Promise<BenchHost> {
  const ended = new Map<string, () => void>();
  const early = new Set<string>();
  const node = await openTestHost({
    url,
    queue,
    migrations,
    agentLimit: 64,
    concurrency: 32,
    ...(workflows === undefined ? {} : { workflows }),
    runAgent: ({ input }) =>
      Promise.resolve({ type: "succeeded", output: { n: (input as { n: number }).n + 1 } }),
    onFinished: (id) => {
      const settle = ended.get(id);
      if (settle === undefined) early.add(id);
      settle?.();
    },
  });
  return {
    workflows: node.workflows,
    complete: async (workflow) => {
      const { id } = await node.workflows.start({ workflow }, by);
      if (!early.delete(id)) await new Promise<void>((resolve) => ended.set(id, resolve));
      ended.delete(id);
      const view = await node.workflows.get(id);
      if (view?.status !== "completed") throw new Error(`The run ended as ${view?.status}`);
    },
    [Symbol.asyncDispose]: () => node[Symbol.asyncDispose](),
  };
}

/** Median milliseconds of one commit of one small row, over a connection as the engine's. */
export async function commitMs(url: string): Promise<number> {
  const sql = postgres(url, { max: 1, onnotice: () => undefined });
  await sql`create table if not exists bench_commit (at timestamptz)`;
  const times: number[] = [];
  for (let round = 0; round < 200; round += 1) {
    const startMs = performance.now();
    await sql.begin(async (tx) => {
      await tx`insert into bench_commit values (now())`;
    });
    times.push(performance.now() - startMs);
  }
  await sql.end();
  return times.sort((a, b) => a - b)[100] ?? Number.NaN;
}

/** Commits and statements' transactions of the server's database so far. */
export async function commits(adminUrl: string, database: string): Promise<number> {
  const sql = postgres(adminUrl, { max: 1, onnotice: () => undefined });
  const [row] = await sql<{ commits: string }[]>`
    select xact_commit as commits from pg_stat_database where datname = ${database}`;
  await sql.end();
  return Number(row?.commits ?? 0);
}
