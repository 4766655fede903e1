/**
 * The workflows of a node: engine, queue, dispatcher and task runner.
 *
 * @module
 */

import type { ChildSpec, RunningChild } from "../../actors/tree/child-spec.ts";
import { phase1 } from "../../actors/workflows/phase1/phase1.ts";
import { createNodeRepo } from "../../db/node-repo.ts";
import { createViewRepo } from "../../db/view-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import type { Config } from "../config.ts";
import type { FatalReason } from "../engine/engine.ts";
import { untilStopped } from "../node-children.ts";
import { startNodeWorkflows } from "../node-workflows.ts";
import { ensureSampleArchive } from "../sample-archive.ts";
import type { NodeContext } from "./context.ts";
import { watchNodes } from "./watch-nodes.ts";

const workflowsShutdownMs = 15_000;

export function workflowsChild(node: NodeContext): ChildSpec {
  return { id: "workflows", shutdownMs: workflowsShutdownMs, start: () => start(node) };
}

async function start(node: NodeContext): Promise<RunningChild> {
  const { budget, clock, config, definitions, live, log, nodeId, parts } = node;
  const { db, notices, target } = parts.database.current();
  // Before this process has a lease of its own.
  const watch = await watchNodes(node, createNodeRepo(db));
  const workflows = await startNodeWorkflows({
    db,
    notices,
    nodeId,
    queue: node.queue(target),
    crash: node.crash,
    clock,
    log,
    live,
    agents: parts.agents.current(),
    monitor: parts.monitor.current(),
    budget,
    flow: config.limits,
    resourceBudget: config.resourceBudget,
    retention: config.retention,
    definitions,
    registered: node.registered,
    builtIn: node.builtIn.workflows,
    filledIn,
    whyGone: (name) => (parts.folders.isUp() ? parts.folders.current().whyGone(name) : undefined),
    onFatal: (reason, cause) => node.lose(new Error(fatalMessage(reason, config), { cause })),
    incidents: node.incidents,
    onFinished: (workflowId) => {
      releaseReservations(node, workflowId);
      if (parts.schedules.isUp()) parts.schedules.current().firing.runEnded(workflowId);
    },
    defaultInput: (workflow, input) => defaultInput(node, workflow, input),
  });
  parts.workflows.set(workflows);
  return untilStopped(async () => {
    watch.stop();
    await workflows.stop();
  });
}

function releaseReservations({ log, parts }: NodeContext, workflowId: string): void {
  // A reservation that this misses ends with its lease.
  parts.bus
    .current()
    .coordination.releaseHolder(workflowId)
    .catch((error: unknown) => {
      log.warn("cannot release what a run has reserved", { workflowId, error: String(error) });
    });
}

/** What `defaultInput` knows. */
const filledIn = { [phase1.id]: ["archive"] };

async function defaultInput(
  { config, parts }: NodeContext,
  workflow: string,
  input: Readonly<Record<string, Json>>,
): Promise<Readonly<Record<string, Json>>> {
  if (workflow !== phase1.id || "archive" in input) return input;
  // Who forgets the flag means the archive of the last time, not the sample on top of it.
  const views = createViewRepo(parts.database.current().db);
  const [last] = await views.runs({ workflow, limit: 1 });
  const known = (last?.input as { archive?: string } | undefined)?.archive;
  const archive = config.archive ?? known ?? (await ensureSampleArchive(config.dataDir));
  return { ...input, archive };
}

function fatalMessage(reason: FatalReason, { dataDir, databaseUrl }: Config): string {
  const again = "start again, and the run continues where it stopped";
  switch (reason) {
    case "disk-full": {
      const where = databaseUrl === undefined ? `of ${dataDir}` : "of the database server";
      return `Cannot go on: the disk ${where} is full; free some space there and ${again}`;
    }
    case "stuck":
      return `Cannot go on: the database has not answered for two minutes; look at it and ${again}`;
  }
}
