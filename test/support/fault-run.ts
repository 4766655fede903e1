/**
 * What tests of faults share: a database with its own nodes, and the promises that every run keeps.
 *
 * @module
 */

import { expect } from "vitest";
import type { AgentCall, AgentOutcome } from "../../actors/ports.ts";
import type { Json } from "../../machines/error-code.ts";
import { createTestDatabase, type TestDatabase } from "./postgres.ts";
import { soon } from "./soon.ts";
import type { RunAgent } from "./workflow-host.ts";

/** Longer than a lease, two looks of the reconciler and a takeover together. */
const endLimitMs = 40_000;

export const by = { actor: "test" };

export interface FaultDatabase extends AsyncDisposable, TestDatabase {
  /** Waits for the run's end over a connection of its own, and checks what must hold of any run. */
  completed(id: string): Promise<readonly JournalRow[]>;
}

export interface JournalRow {
  readonly seq: number;
  readonly type: string;
  readonly actor: string;
  readonly payload: { readonly task?: string; readonly attempt?: number };
}

export async function openFaultDatabase(): Promise<FaultDatabase> {
  const database = await createTestDatabase();
  const { sql } = database;
  async function status(id: string): Promise<string | undefined> {
    const [row] = await sql<{ status: string }[]>`
      select status from spectra.workflows where id = ${id}`;
    return row?.status;
  }
  return {
    ...database,
    completed: async (id) => {
      await soon(() => status(id), endLimitMs).toBe("completed");
      const journal = await sql<JournalRow[]>`select seq::int as seq, type, actor, payload
        from spectra.journal where workflow_id = ${id} order by seq`;
      expect(journal.map(({ seq }) => seq)).toEqual(journal.map((_, index) => index + 1));
      const tasks = await sql<{ key: string; status: string }[]>`
        select key, status from spectra.tasks where workflow_id = ${id} order by key`;
      expect(tasks.filter((task) => task.status !== "succeeded")).toEqual([]);
      // Each result was applied exactly once.
      const applied = journal.filter(({ type }) => type === "task.succeeded");
      expect(applied.map(({ payload }) => String(payload.task)).toSorted()).toEqual(
        tasks.map(({ key }) => key),
      );
      return journal;
    },
    [Symbol.asyncDispose]: database.drop,
  };
}

/** A promise that the test opens by hand. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const passed = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { passed, open };
}

/** `width` chains of `length` tasks each. */
export function chains(width: number, length: number): Json {
  const tasks: Record<string, Json> = {};
  for (let chain = 0; chain < width; chain += 1) {
    for (let step = 0; step < length; step += 1) {
      const after = step === 0 ? [] : [`c${chain}s${step - 1}`];
      tasks[`c${chain}s${step}`] = { do: "WORKER.add", after };
    }
  }
  return { id: "chains", maxParallel: 100, tasks };
}

/** Notes each call, and fails when a task runs twice at the same time. An abort ends a call, as in an agent. */
export function watched(run: RunAgent): {
  readonly runAgent: RunAgent;
  readonly calls: AgentCall[];
} {
  const calls: AgentCall[] = [];
  const running = new Set<string>();
  const runAgent: RunAgent = async (call, hooks) => {
    const id = `${call.workflowId}/${call.taskKey}`;
    expect(running).not.toContain(id);
    running.add(id);
    calls.push(call);
    try {
      const aborted = new Promise<AgentOutcome>((resolve) => {
        const error = { name: "Error", code: "ABORTED", message: "aborted", retryable: true };
        hooks.signal.addEventListener("abort", () => resolve({ type: "failed", error }));
      });
      return await Promise.race([run(call, hooks), aborted]);
    } finally {
      running.delete(id);
    }
  };
  return { runAgent, calls };
}
