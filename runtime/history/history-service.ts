/**
 * What may be asked of the past of runs.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { Database } from "../../db/database.ts";
import { createForkRepo } from "../../db/fork-repo.ts";
import { createHistoryRepo, type RunHistory } from "../../db/history-repo.ts";
import type { RunRepo } from "../../db/run-repo.ts";
import { type Json, toErrorRecord } from "../../machines/error-code.ts";
import { compileDefinition } from "../engine/compile-definition.ts";
import type { HistoryPort, MoveCheckView } from "../system/history.ts";
import { RequestError } from "../system.ts";
import { auditRuns } from "./audit.ts";
import { diffRuns } from "./diff.ts";
import { forkRun } from "./fork.ts";
import { unfit } from "./move-check.ts";
import type { Retention } from "./retention.ts";
import { snapshotOf } from "./snapshot.ts";
import { type PastRun, stateAt } from "./state-at.ts";

/** Open runs of one workflow that a check looks at. */
const checkedRuns = 1_000;

export interface HistoryServiceOptions {
  readonly db: Database;
  readonly registered: ReadonlyMap<string, WorkflowDefinition>;
  readonly runs: Pick<RunRepo, "adopt">;
  readonly incarnation: string;
  readonly retention: Pick<Retention, "run">;
  /** Some run of this node has mail. */
  wake(): void;
}

export function createHistoryService(options: HistoryServiceOptions): HistoryPort {
  const { db, registered } = options;
  const histories = createHistoryRepo(db);
  const forks = createForkRepo(db);

  async function required(id: string): Promise<RunHistory> {
    const history = await histories.read(id);
    if (history !== undefined) return history;
    throw new RequestError("NOT_FOUND", `Cannot find workflow run "${id}"`);
  }

  async function checkOne(definition: WorkflowDefinition): Promise<MoveCheckView> {
    const { hash, plan } = compileDefinition(definition);
    const runs: MoveCheckView["runs"][number][] = [];
    for (const id of await histories.openIds(definition.id, checkedRuns)) {
      const history = await histories.read(id);
      if (history === undefined) continue;
      const version = history.loaded.definitionHash;
      if (version === hash) {
        runs.push({ id, version, verdict: "current", reasons: [] });
        continue;
      }
      const reasons = reasonsAgainst(history, (past) => unfit(past.state, past.plan, plan));
      const missing = definition.params
        .filter((name) => !Object.hasOwn((history.loaded.run.input ?? {}) as object, name))
        .map((name) => `the run has no input "${name}"`);
      const all = [...reasons, ...missing];
      runs.push({ id, version, verdict: all.length === 0 ? "movable" : "cannot", reasons: all });
    }
    return { workflow: definition.id, version: hash, runs };
  }

  /** Runs of definitions that came with their start: they go on with what they have. */
  async function unregistered(workflow: string): Promise<MoveCheckView> {
    const runs: MoveCheckView["runs"][number][] = [];
    for (const id of await histories.openIds(workflow, checkedRuns)) {
      const history = await histories.read(id);
      if (history === undefined) continue;
      const version = history.loaded.definitionHash;
      const reasons = [`no workflow "${workflow}" is registered: the run goes on as it began`];
      runs.push({ id, version, verdict: "unregistered", reasons });
    }
    return { workflow, version: null, runs };
  }

  return {
    snapshot: async (id, at) => {
      const history = await histories.read(id);
      if (history === undefined) return undefined;
      const past = refusing(() => stateAt(history, at ?? history.journal.length));
      return snapshotOf(history.loaded.workflow, past);
    },
    fork: async (id, request, by) => {
      const history = await required(id);
      // Before anything else: a number that does not exist is a mistake of the caller.
      refusing(() => stateAt(history, request.at));
      const attributes = await histories.attributes(id);
      const latest = registered.get(history.loaded.workflow);
      return await forkRun({ history, attributes, latest, repo: forks }, request, by);
    },
    diff: async (left, right) => diffRuns(await required(left), await required(right)),
    setAttributes: async (id, set, by) => {
      await options.runs.adopt(id, options.incarnation);
      const event = { type: "run.attributes", set, by: by.actor };
      const key = `attributes/${randomUUID()}`;
      const attributes = await histories.setAttributes(id, set, event as unknown as Json, key);
      options.wake();
      if (attributes === undefined && (await histories.read(id)) !== undefined) {
        const why = "it is archived; a fork goes on from any entry of its journal";
        throw new RequestError("CONFLICT", `Cannot set attributes of workflow run "${id}": ${why}`);
      }
      return attributes;
    },
    unpark: async (id, by) => {
      if (await histories.unpark(id, by.actor)) return;
      await required(id);
      throw new RequestError("CONFLICT", `Cannot unpark workflow run "${id}": it is not parked`);
    },
    audit: () => auditRuns(db),
    archive: (request) => options.retention.run(request),
    checkVersions: async (workflow) => {
      const definitions = [...registered.values()].filter(
        ({ id }) => workflow === undefined || id === workflow,
      );
      const views: MoveCheckView[] = [];
      for (const definition of definitions) views.push(await checkOne(definition));
      const open = (await histories.openWorkflows()).filter((name) => !registered.has(name));
      for (const name of open) {
        if (workflow === undefined || name === workflow) views.push(await unregistered(name));
      }
      return views;
    },
  };
}

/** A run whose past cannot be read cannot be moved either: that is a reason, not an error. */
function reasonsAgainst(history: RunHistory, check: (past: PastRun) => string[]): string[] {
  try {
    return check(stateAt(history, history.journal.length));
  } catch (error) {
    return [error instanceof Error ? error.message : String(error)];
  }
}

function refusing<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    const { code, message } = toErrorRecord(error);
    if (code === "SEQ_UNKNOWN") {
      throw new RequestError("INVALID", message, [
        { pointer: "/at", detail: "must be a number of the run's journal" },
      ]);
    }
    throw new RequestError("CONFLICT", message);
  }
}
