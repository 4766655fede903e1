/**
 * Reads the state of topics from the system, for a snapshot frame.
 *
 * @module
 */

import type { JournalEntry, System } from "../../runtime/system.ts";
import type { LiveState } from "./frames.ts";

/** Workflows in a snapshot of `system`. */
const SNAPSHOT_WORKFLOWS = 50;
/** Buffered events that are looked through for the journal of a snapshot of `events`. */
const SNAPSHOT_EVENTS = 500;

/** Rejects when the system cannot be read (database away); the session tries again. */
export async function readState(system: System, topics: ReadonlySet<string>): Promise<LiveState> {
  const ids = suffixes(topics, "workflow:");
  const names = suffixes(topics, "agent:");
  return {
    ...(topics.has("system") ? { system: await readSystem(system) } : {}),
    ...(ids.length === 0
      ? {}
      : {
          workflows: Object.fromEntries(
            await Promise.all(ids.map(async (id) => [id, await readWorkflow(system, id)] as const)),
          ),
        }),
    ...(names.length === 0
      ? {}
      : {
          agents: Object.fromEntries(names.map((name) => [name, system.agents.get(name) ?? null])),
        }),
    ...(topics.has("events") ? { journal: readJournal(system) } : {}),
  };
}

function suffixes(topics: ReadonlySet<string>, prefix: string): string[] {
  return [...topics]
    .filter((topic) => topic.startsWith(prefix))
    .map((topic) => topic.slice(prefix.length));
}

async function readSystem(system: System): Promise<NonNullable<LiveState["system"]>> {
  const [status, page] = await Promise.all([
    system.status(),
    system.workflows.list({ limit: SNAPSHOT_WORKFLOWS }),
  ]);
  return {
    status,
    metrics: system.metrics(),
    agents: system.agents.list(),
    workflows: page.items,
  };
}

async function readWorkflow(
  system: System,
  id: string,
): Promise<NonNullable<LiveState["workflows"]>[string]> {
  const [workflow, tasks, graph] = await Promise.all([
    system.workflows.get(id),
    system.workflows.tasks(id),
    system.workflows.graph(id),
  ]);
  if (workflow === undefined || tasks === undefined) return null;
  // A list may have thousands of items: the task that stands for it counts them.
  const wholes = tasks.filter((task) => task.of === undefined);
  return { workflow, tasks: wholes, graph: graph ?? null };
}

function readJournal(system: System): { workflowId: string; entry: JournalEntry }[] {
  const events = system.live.since(Math.max(0, system.live.lastSeq() - SNAPSHOT_EVENTS)) ?? [];
  const entries: { workflowId: string; entry: JournalEntry }[] = [];
  for (const { topics, body } of events) {
    if (body.type === "journal" && topics.includes("events")) {
      entries.push({ workflowId: body.workflowId, entry: body.entry });
    }
  }
  return entries;
}
