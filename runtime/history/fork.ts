/**
 * Forks a run: a new run that continues another one from any number of its journal.
 *
 * @module
 */

import { randomUUID } from "node:crypto";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import type { ForkRepo, NewFork } from "../../db/fork-repo.ts";
import type { RunHistory } from "../../db/history-repo.ts";
import type { Json } from "../../machines/error-code.ts";
import { forkState, wholePatch } from "../../machines/run/fork.ts";
import { derive, type JournalDraft, type RunState } from "../../machines/run/state.ts";
import { beginTurn } from "../../machines/run/turn.ts";
import { isSatisfied } from "../../machines/task.ts";
import { compileDefinition } from "../engine/compile-definition.ts";
import { actionsOf, isTerminal } from "../engine/owned-run.ts";
import type { ForkRequest } from "../system/history.ts";
import { type Actor, RequestError } from "../system.ts";
import { unfit } from "./move-check.ts";
import { type PastRun, stateAt } from "./state-at.ts";
import { forkIdPrefix } from "./stub-agent.ts";

export interface ForkOptions {
  readonly history: RunHistory;
  readonly attributes: Readonly<Record<string, Json>>;
  /** What is registered under the workflow's name now; for `definition: "latest"`. */
  readonly latest: WorkflowDefinition | undefined;
  readonly repo: ForkRepo;
}

/** Stores the fork and returns its id; some node begins with it within seconds. */
export async function forkRun(
  options: ForkOptions,
  request: ForkRequest,
  by: Actor,
): Promise<string> {
  const { history, repo } = options;
  const at = endOfEvent(history, request.at);
  const past = stateAt(history, at);
  if (past.state.status === "completed" || past.atMs === null) {
    const why = past.atMs === null ? "it had not begun" : "it had completed";
    const message = `Cannot fork run "${history.loaded.run.id}" at ${request.at}: ${why}, so nothing is left to do`;
    throw new RequestError("CONFLICT", message, [
      { pointer: "/at", detail: `must be 1 to ${history.journal.length}, before the end` },
    ]);
  }
  const { definition, plan, hash } = definitionOf(options, past, request);
  const nowMs = await repo.nowMs();
  const begin = forkState(
    { ...past.state, outputs: past.outputs, ...derive(past.state.tasks.values(), plan) },
    {
      id: `${forkIdPrefix}${randomUUID()}`,
      ...(request.input === undefined ? {} : { input: request.input as Json }),
      thenMs: past.atMs,
      nowMs,
    },
  );
  const turn = beginTurn(begin, plan);
  const who = { by: by.actor, atMs: nowMs };
  const stubs = stubsOf(history, past.state, request);
  const inputChanged = request.input !== undefined;
  turn.apply({
    ...who,
    type: "run.forked",
    from: history.loaded.run.id,
    at,
    inputChanged,
    stubs,
  });
  // Forking what failed means to go on from there.
  if (isTerminal(begin.status))
    turn.apply({ ...who, type: "run.retry", taskKey: null, reason: by.reason ?? null });
  const after = turn.state();
  const fork: NewFork = {
    workflow: definition.id,
    title: definition.title,
    definitionHash: hash,
    definition: definition as unknown as Json,
    actions: actionsOf(plan),
    input: after.input,
    attributes: options.attributes,
    tenant: history.loaded.tenant,
    forkedFrom: { id: history.loaded.run.id, seq: at },
    order: [...plan.tasks.keys()],
    committed: {
      run: turn.run(),
      epoch: 1,
      journal: wholeFirst(begin, turn.journal()),
      effects: turn.effects().filter(({ type }) => type !== "abort") as unknown as Json[],
      timers: after.timers,
      actions: actionsOf(plan),
      tasks: [...after.tasks.values()].map((state) => ({
        state,
        output: past.outputs.get(state.key),
        isNew: true,
      })),
    },
  };
  await repo.insert(fork);
  return after.id;
}

/** An event may have several entries; between two of them the run is in no state that could go on. */
function endOfEvent({ journal }: RunHistory, at: number): number {
  return journal.find(({ patch, seq }) => seq >= at && patch?.whole === true)?.seq ?? at;
}

function definitionOf(options: ForkOptions, past: PastRun, request: ForkRequest) {
  if (request.definition !== "latest") {
    const { definition, definitionHash: hash, plan } = past;
    return { definition, hash, plan };
  }
  const { workflow } = options.history.loaded;
  if (options.latest === undefined) {
    const message = `Cannot fork with the latest definition: no workflow "${workflow}" is registered`;
    throw new RequestError("CONFLICT", message);
  }
  const compiled = compileDefinition(options.latest);
  const reasons = unfit(past.state, past.plan, compiled.plan);
  if (reasons.length > 0) {
    const message = `Cannot fork with the latest definition: ${reasons.join("; ")}`;
    throw new RequestError("CONFLICT", message);
  }
  return compiled;
}

/** Of what is still to do: the tasks whose output the run has recorded. */
function stubsOf(history: RunHistory, state: RunState, { stub = false }: ForkRequest): string[] {
  if (stub === false) return [];
  const recorded = new Set(
    [...history.loaded.run.tasks.values()].flatMap(({ key, status }) =>
      status === "succeeded" && history.outputs[key] !== undefined ? [key] : [],
    ),
  );
  const isToDo = (key: string): boolean => !isSatisfied(state.tasks.get(key)?.status ?? "blocked");
  if (stub === true) return [...recorded].filter(isToDo);
  const missing = stub.filter((key) => !recorded.has(key));
  if (missing.length > 0) {
    const message = `Cannot stub ${missing.join(", ")}: the run has recorded no output of it`;
    throw new RequestError("INVALID", message, [
      { pointer: "/stub", detail: "must name tasks that succeeded in the run" },
    ]);
  }
  return stub.filter(isToDo);
}

function wholeFirst(begin: RunState, journal: readonly JournalDraft[]): JournalDraft[] {
  return journal.map((entry, index) =>
    index === 0 ? { ...entry, patch: wholePatch(begin, entry.patch) } : entry,
  );
}
