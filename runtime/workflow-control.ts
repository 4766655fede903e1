/**
 * Commands to runs: posted, waited for, answered. The turn that takes a command decides about it;
 * here nothing is decided but what no turn can: unknown runs, parked runs, keys used twice.
 *
 * @module
 */

import { createHash, randomUUID } from "node:crypto";
import type { ApprovalRepo } from "../db/approval-repo.ts";
import { type CommandRepo, TooManyRunsError } from "../db/command-repo.ts";
import type { ViewRepo } from "../db/view-repo.ts";
import type { Json } from "../machines/error-code.ts";
import type { CommandAnswer } from "../machines/run/command.ts";
import { approvalKey } from "./approval-details.ts";
import type { Engine } from "./engine/engine.ts";
import { createRunStates } from "./run-states.ts";
import type {
  BulkPreview,
  BulkView,
  CommandedRun,
  ControlPort,
  Operator,
  Order,
  WorkflowView,
} from "./system.ts";
import { RequestError } from "./system.ts";

/** How long a command may wait to be applied by the run's owner before it is answered with 503. */
const commandLimitMs = 10_000;
/** The owner may be another node: then the table tells, looked at after these many ms, and more and more. */
const firstPollMs = 5;
const longestPollMs = 100;
const bulkLimit = 10_000;
const bulkWaitMs = 5_000;
const shownRefusals = 100;
const shownMatches = 100;

export interface WorkflowControlOptions {
  readonly incarnation: string;
  readonly commands: CommandRepo;
  readonly approvals: ApprovalRepo;
  readonly views: ViewRepo;
  readonly engine: Pick<Engine, "answered" | "wake">;
  get(id: string): Promise<WorkflowView | undefined>;
}

export function createWorkflowControl(options: WorkflowControlOptions): ControlPort {
  const { approvals, commands, engine, incarnation } = options;
  const states = createRunStates(options);

  async function required(id: string): Promise<WorkflowView> {
    const view = await options.get(id);
    if (view === undefined) throw unknownRun(id);
    return view;
  }

  /** Posts a command, unless its key is known, and resolves with the answer of its turn. */
  async function command(
    workflowId: string,
    event: Readonly<Record<string, Json>>,
    key: string,
  ): Promise<CommandAnswer> {
    const request = hashOf(event);
    const left = new AbortController();
    const answered = engine.answered(workflowId, key, left.signal);
    try {
      const posted = await commands.post({ workflowId, key, request, event, incarnation });
      if (posted.type === "no-run") {
        throw unknownRun(workflowId);
      }
      if (posted.type === "known") {
        if (posted.request !== request) throw usedKey();
        if (posted.answer !== null) return posted.answer;
      }
      engine.wake();
      return await answerOf(workflowId, key, answered);
    } finally {
      left.abort();
    }
  }

  async function answerOf(
    workflowId: string,
    key: string,
    answered: Promise<CommandAnswer>,
  ): Promise<CommandAnswer> {
    const deadline = performance.now() + commandLimitMs;
    let pollMs = firstPollMs;
    while (performance.now() < deadline) {
      let timer: NodeJS.Timeout | undefined;
      const pause = new Promise<undefined>((resolve) => {
        timer = setTimeout(resolve, pollMs, undefined);
      });
      const first = await Promise.race([answered, pause]);
      clearTimeout(timer);
      const answer = first ?? (await commands.answer(workflowId, key));
      if (answer) return answer;
      pollMs = Math.min(pollMs * 1.5, longestPollMs);
    }
    throw new RequestError(
      "UNAVAILABLE",
      "Cannot confirm the command yet: it is stored and will be applied by the run's owner; send it again with the same Idempotency-Key to hear its answer",
    );
  }

  /** The order's answer, refusals included. */
  async function ask(id: string, order: Order, by: Operator): Promise<CommandAnswer> {
    const key = by.idempotencyKey ?? randomUUID();
    const asked = order.type === "run.retry" ? await retryOf(id, order, key) : order;
    const { archivedAt, status } = await required(id);
    if (archivedAt !== undefined)
      throw new RequestError("CONFLICT", archivedMessage(id, archivedAt));
    if (status === "parked") {
      const why = "its state could not be stored; retry it to let it go on";
      throw new RequestError(
        "CONFLICT",
        `Cannot command workflow run "${id}": it is parked, ${why}`,
      );
    }
    return await command(id, eventOf(asked, by), `request/${key}`);
  }

  /** A parked run takes no mail: it is opened again first. */
  async function retryOf(
    id: string,
    order: Order,
    key: string,
  ): Promise<Order | { readonly type: "run.unpark" }> {
    const known = await commands.answer(id, `request/${key}`);
    const { status } = await required(id);
    if (status !== "parked" || known !== undefined) return order;
    await commands.unpark(id, incarnation);
    return { type: "run.unpark" };
  }

  async function control(id: string, order: Order, by: Operator): Promise<CommandedRun> {
    return await told(id, await ask(id, order, by));
  }

  /** @throws {RequestError} With what the turn refused. */
  async function told(id: string, answer: CommandAnswer): Promise<CommandedRun> {
    if (answer.refusal !== null) {
      throw new RequestError(answer.refusal.code, answer.refusal.message);
    }
    return { ...(await required(id)), command: answer };
  }

  return {
    control,
    ...states,
    update: async (workflowId, name, payload, by) => {
      const answer = await ask(workflowId, { type: "run.signal", name, payload }, by);
      const seq = answer.entry?.seq;
      const [row] = seq === undefined ? [] : await options.views.journal(workflowId, seq - 1, 1);
      const entry =
        row === undefined ? null : { seq: row.seq, type: row.type, payload: row.payload };
      return { workflowId, name, answer, entry };
    },
    decide: async (token, { approve, payload }, by) => {
      const found = await approvals.read(token);
      if (found === undefined) {
        throw new RequestError("NOT_FOUND", "Cannot decide: there is no such approval");
      }
      const { workflowId, taskKey } = found;
      const order: Order = {
        type: "task.resolve",
        taskKey,
        as: approve ? "succeeded" : "failed",
        output: { approved: approve, by: by.actor, payload: payload ?? null },
      };
      const key = approvalKey(token);
      // A token that has expired must not decide about a later attempt of the same task.
      if (found.decided && (await commands.answer(workflowId, key)) === undefined) {
        const why = found.taskStatus === "running" ? "it has expired" : `it is ${found.taskStatus}`;
        throw new RequestError("CONFLICT", `Cannot decide about "${taskKey}": ${why}`);
      }
      // A decision that was taken has its answer; what has expired meanwhile is refused by its turn.
      const answer = await command(workflowId, eventOf(order, by), key).catch((error: unknown) => {
        if (!(error instanceof RequestError) || error.code !== "INVALID") throw error;
        throw new RequestError(
          "CONFLICT",
          `Cannot decide about "${taskKey}": it was decided already`,
        );
      });
      await approvals.complete(token);
      return await told(workflowId, answer);
    },
    bulk: async (order, filter, by) => {
      const id = by.idempotencyKey ?? randomUUID();
      const body = { order, filter, by: by.actor, reason: by.reason ?? null } as unknown as Json;
      const request = hashOf(body);
      try {
        await commands.postBulk({
          id,
          request,
          body,
          event: eventOf(order, by),
          selection: filter,
          incarnation,
          limit: bulkLimit,
        });
      } catch (error) {
        throw tooMany(error);
      }
      engine.wake();
      return await bulkEnded(id, request);
    },
    bulkPreview: async (filter) => {
      const found = await commands.matching(filter, bulkLimit).catch((error: unknown) => {
        throw tooMany(error);
      });
      return previewOf(found as BulkPreview["runs"]);
    },
    bulkState: async (id) => {
      const progress = await commands.bulk(id, shownRefusals);
      return progress === undefined ? undefined : bulkView(progress);
    },
  };

  async function bulkEnded(id: string, request: string): Promise<BulkView> {
    const deadline = performance.now() + bulkWaitMs;
    for (;;) {
      const progress = await commands.bulk(id, shownRefusals);
      if (progress === undefined)
        throw new RequestError("NOT_FOUND", `Cannot find command "${id}"`);
      if (progress.request !== request) throw usedKey();
      const view = bulkView(progress);
      if (view.pending === 0 || performance.now() >= deadline) return view;
      await new Promise((resolve) => setTimeout(resolve, longestPollMs));
    }
  }
}

function unknownRun(id: string): RequestError {
  const message = `Cannot find workflow run "${id}": GET /api/v1/workflows lists all`;
  return new RequestError("NOT_FOUND", message);
}

/** Why a run in the archive takes no command, and what to do. */
function archivedMessage(id: string, at: string): string {
  return `Cannot command workflow run "${id}": it was archived at ${at}; a fork goes on from any entry of its journal`;
}

/** What a caller is told when a filter matches more than may be commanded at once. */
function tooMany(error: unknown): unknown {
  if (!(error instanceof TooManyRunsError)) return error;
  return new RequestError("INVALID", error.message, [
    { pointer: "/filter", detail: `may match ${bulkLimit} runs at most` },
  ]);
}

function previewOf(runs: BulkPreview["runs"]): BulkPreview {
  const statuses: Partial<Record<WorkflowView["status"], number>> = {};
  for (const { status } of runs) statuses[status] = (statuses[status] ?? 0) + 1;
  return { dryRun: true, matched: runs.length, statuses, runs: runs.slice(0, shownMatches) };
}

function bulkView(progress: Omit<BulkView, "pending">): BulkView {
  const { id, matched, taken, refused, refusals } = progress;
  return { id, matched, taken, refused, pending: matched - taken - refused, refusals };
}

function eventOf(
  order: Order | { readonly type: "run.unpark" },
  by: Operator,
): Readonly<Record<string, Json>> {
  return { ...(order as object), reason: by.reason ?? null, by: by.actor };
}

function usedKey(): RequestError {
  return new RequestError(
    "INVALID",
    "Cannot take the command: its Idempotency-Key was used for another request",
    [{ pointer: "/idempotency-key", detail: "must be new for each other request" }],
  );
}

/** Of what is asked for: keys in any order, who asks counts. */
function hashOf(value: Json): string {
  return createHash("sha256").update(canonical(value)).digest("base64url");
}

function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value)
    .filter(([, entry]) => entry !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, entry]) => `${JSON.stringify(key)}:${canonical(entry)}`);
  return `{${entries.join(",")}}`;
}
