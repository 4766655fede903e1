/**
 * A node that starts some runs, sees to it that all runs end, and then ends itself; or is killed at
 * the crash point that it is told. Without one it lives on until it is told to end.
 *
 * @module
 */

import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import type { TransactionSql } from "postgres";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { transactionOnce } from "../../../actors/transaction-once.ts";
import { openDatabase } from "../../../db/database.ts";
import { createCrashSwitch, parseCrashOrder } from "../../../runtime/engine/crash-points.ts";
import { openScheduleRepo } from "../../../runtime/node/schedules.ts";
import { createFiring } from "../../../runtime/schedules/firing.ts";
import { createScheduleService } from "../../../runtime/schedules/schedule-service.ts";
import { crashWorkflows, startedByNodes } from "../crash-workload.ts";
import { driveRuns } from "../drive-runs.ts";
import { note } from "../ledger.ts";
import { openTestHost, type RunAgent } from "../workflow-host.ts";

interface Order {
  readonly url: string;
  readonly redis: string | null;
  readonly migrations: string;
  readonly ledger: string;
  readonly nodeId: string;
  /** `turn.commit.before:2`, or null to live. */
  readonly crash: string | null;
  /** Idempotency keys of the runs that it starts: `…/workflow/…`. A line on stdin is one more. */
  readonly keys: readonly string[];
  readonly fires: boolean;
  /** It takes one job at a time, and starts with one that never ends: the others take those of its runs. */
  readonly busy: boolean;
}

const order = JSON.parse(process.argv[2] ?? "") as Order;
const crash = createCrashSwitch(order.crash === null ? undefined : parseCrashOrder(order.crash));
const database = openDatabase({ type: "url", url: order.url });
const say = (line: object): void => console.log(JSON.stringify(line));
const failed = (code: string, retryable: boolean): AgentOutcome => ({
  type: "failed",
  error: { name: "Error", code, message: code, retryable },
});

/** Every body tells the ledger first: an effect on a third party that cannot be taken back. */
const runAgent: RunAgent = async (call, hooks) => {
  const { workflowId, taskKey, attempt, action } = call;
  const kind = action === "undo" ? "undo" : "run";
  const key = `${workflowId}/${taskKey}`;
  const by = `${order.nodeId}#${process.pid}`;
  await note(order.ledger, { workflowId, task: taskKey, key, attempt, kind, by });
  // One row for each, and none when it is undone: what a transaction of the task is there for.
  const commit = (undo: boolean, work: (tx: TransactionSql) => Promise<unknown>) =>
    transactionOnce(database.sql, { task: key, undo, name: "" }, async (tx) => {
      await work(tx);
      return null;
    });
  if (action === "book") await commit(false, (tx) => tx`insert into bookings values (${key})`);
  if (action === "undo") await commit(true, (tx) => tx`delete from bookings where task = ${key}`);
  if (action === "fail") return failed("NO", false);
  if (action === "flaky" && attempt === 1) return failed("ONCE_MORE", true);
  if (action === "save") await hooks.onCheckpoint({ attempt, before: call.lastCheckpoint ?? null });
  if (action === "block") {
    return await new Promise((resolve) => {
      const stop = (): void => resolve(failed("ABORTED", true));
      if (hooks.signal.aborted) stop();
      hooks.signal.addEventListener("abort", stop, { once: true });
    });
  }
  return { type: "succeeded", output: { of: key } };
};

const node = await openTestHost({
  url: order.url,
  queue:
    order.redis === null
      ? { type: "postgres", target: { type: "url", url: order.url } }
      : { type: "redis", url: order.redis },
  nodeId: order.nodeId,
  migrations: order.migrations,
  workflows: crashWorkflows,
  agentLimit: 16,
  concurrency: order.busy ? 1 : 8,
  runAgent,
  crash,
});
const repo = openScheduleRepo(database.db, crash);
const knows = (id: string): boolean => crashWorkflows.some((workflow) => workflow.id === id);
const log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const firing = createFiring({ repo, workflows: () => node.workflows, knows, log });
if (order.fires) {
  const clock = { now: () => new Date() };
  const schedules = createScheduleService({ repo, firing, knows, clock });
  const spec = { workflow: "part", everyMs: 1_000, overlap: "allowAll" } as const;
  await schedules.create("often", spec, {});
  firing.wake();
}

const actor = { actor: "test" };
let isTold = false;
async function start(key: string): Promise<string> {
  const workflow = startedByNodes.find((name) => key.includes(`/${name}`));
  if (workflow === undefined) throw new Error(`No workflow in the key ${key}`);
  const { id } = await node.workflows.start({ workflow, idempotencyKey: key }, actor);
  say({ acknowledged: id, key });
  return id;
}

/** An operator who has another try at what is parked: the run has an owner again. */
async function retryParked(): Promise<void> {
  const parked = await database.sql<{ id: string }[]>`
    select id from spectra.workflows where status = 'parked'`;
  for (const { id } of parked) await node.workflows.retry(id, actor);
}

const told: string[] = [...order.keys];
const lines = createInterface({ input: process.stdin });
lines.on("line", (line) => {
  if (line === "end") isTold = true;
  else told.push(line);
});
// It ends with the test that started it, however that ends.
lines.on("close", () => process.exit(1));
let busy: string | undefined;
if (order.busy) {
  busy = await start(`${order.nodeId}/busy`);
  const isAtWork = async () => (await node.workflows.tasks(busy ?? ""))?.[0]?.status === "running";
  while (!(await isAtWork())) await sleep(50);
}
say({ ready: true });
for (;;) {
  for (const key of told.splice(0)) await start(key);
  if (isTold && busy !== undefined) await node.workflows.cancel(busy, actor);
  if (isTold) busy = undefined;
  const open = await driveRuns(database, node, order.crash === null);
  if (order.crash?.startsWith("run.adopt") === true) await retryParked();
  if (open.size === 0 && told.length === 0 && (order.crash !== null || isTold)) break;
  await sleep(50);
}
await firing.stop();
await node[Symbol.asyncDispose]();
await database.close();
say({ ended: true });
process.exit(0);
