/**
 * The workflows that can be started from the page, and their start.
 *
 * @module
 */

import { computed, effect, signal } from "@preact/signals";
import type { Json } from "../../machines/error-code.ts";
import type { KnownWorkflow, Page, WorkflowView } from "../../runtime/system.ts";
import { ApiError, getJson, postJson } from "./api.ts";
import { connection, go, pending, showUnexpected } from "./store.ts";

/** The user's own first; empty before it is read. */
export const knownWorkflows = signal<readonly KnownWorkflow[]>([]);
export const hasOwnWorkflows = computed(() =>
  knownWorkflows.value.some(({ origin }) => origin === "folder"),
);

/** Read again whenever somebody is about to choose: a folder that is watched brings new ones. */
export async function readKnownWorkflows(): Promise<void> {
  const { items } = await getJson<Page<KnownWorkflow>>("/definitions");
  knownWorkflows.value = items;
}

/**
 * Starts a run and goes to it.
 * @returns Why it was refused; undefined when it runs.
 */
export async function startWorkflow(
  workflow: string,
  input: Readonly<Record<string, Json>>,
): Promise<ApiError | undefined> {
  if (pending.value !== null) return undefined;
  pending.value = "start";
  try {
    // One key for one press of the button: a repeated request starts nothing twice.
    const headers = { "idempotency-key": crypto.randomUUID() };
    const { id } = await postJson<WorkflowView>("/workflows", { workflow, input }, headers);
    go({ workflow: id, task: undefined });
    return undefined;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return error;
  } finally {
    pending.value = null;
  }
}

/** Called once. */
export function startKnownWorkflows(): void {
  effect(() => {
    if (connection.value === "live") readKnownWorkflows().catch(showUnexpected);
  });
}
