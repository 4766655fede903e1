/**
 * What tests of the engine's semantics share: runs on a real engine, queue and database.
 *
 * @module
 */

import type { AgentCall, AgentCallHooks, AgentOutcome } from "../../../../actors/ports.ts";
import type { Json } from "../../../../machines/error-code.ts";
import type { TestDatabase } from "../../../support/postgres.ts";
import { soon } from "../../../support/soon.ts";
import type { TestHost } from "../../../support/workflow-host.ts";

export const by = { actor: "test" };
export const ok: AgentOutcome = { type: "succeeded", output: "ok" };
/** A loaded machine takes its time. */
export const limitMs = 60_000;

export function failure(code: string, retryable = false, more: object = {}): AgentOutcome {
  return { type: "failed", error: { name: "Error", message: code, code, retryable, ...more } };
}

/** Ends when it is told to, as an action that listens does. */
export function untilAborted(_: AgentCall, { signal }: AgentCallHooks): Promise<AgentOutcome> {
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(failure("ABORTED")), { once: true });
  });
}

export async function start(node: TestHost, workflow: unknown, input: Record<string, Json> = {}) {
  const { id } = await node.workflows.start({ workflow: workflow as Json, input }, by);
  return id;
}

/** Looks into the tables and the mailbox of a run. */
export function look(database: TestDatabase, id: string) {
  const { sql } = database;
  const status = async () => {
    const [row] = await sql<{ status: string }[]>`
      select status from spectra.workflows where id = ${id}`;
    return row?.status;
  };
  return {
    status,
    ended: (wanted: string) => soon(status, limitMs).toBe(wanted),
    task: async (key: string) => {
      const [row] = await sql<
        {
          status: string;
          attempt: number;
          error: { code: string } | null;
          output: Json;
          extras: Json;
        }[]
      >`select status, attempt, error, output, extras from spectra.tasks
        where workflow_id = ${id} and key = ${key}`;
      return row;
    },
    run: async () => {
      const [row] = await sql<
        { error: { code: string } | null; output: Json; extras: { spent: Json; pause: Json } }[]
      >`select error, output, extras from spectra.workflows where id = ${id}`;
      return row;
    },
    statuses: async () => {
      const rows = await sql<{ key: string; status: string }[]>`
        select key, status from spectra.tasks where workflow_id = ${id} order by position, key`;
      return Object.fromEntries(rows.map(({ key, status: of }) => [key, of]));
    },
    words: async () => {
      const rows = await sql<{ type: string }[]>`
        select type from spectra.journal where workflow_id = ${id} order by seq`;
      return rows.map(({ type }) => type);
    },
    payloads: async (type: string) => {
      const rows = await sql<{ payload: { task?: string } }[]>`
        select payload from spectra.journal where workflow_id = ${id} and type = ${type} order by seq`;
      return rows.map(({ payload }) => payload);
    },
    timers: async () => {
      const rows = await sql<{ key: string }[]>`
        select key from spectra.timers where workflow_id = ${id} and due_at is not null`;
      return rows.map(({ key }) => key);
    },
    children: async () => {
      const rows = await sql<{ id: string; status: string }[]>`
        select id, status from spectra.workflows where parent_id = ${id} order by id`;
      return rows;
    },
  };
}

let count = 0;

/** Puts an event into a run's mailbox, as the service does. */
export async function post(node: TestHost, id: string, event: object): Promise<void> {
  count += 1;
  await node.host.turns.post(id, { by: "test", reason: null, ...event } as Json, `test/${count}`);
  node.host.engine.wake();
}
