/**
 * Runs and tasks as actors: their statecharts are known, although no XState actor runs for them.
 *
 * @module
 */

import { createMachine, fromTransition } from "xstate";
import type { WorkflowDefinition } from "../actors/define-workflow.ts";
import type { Json } from "../machines/error-code.ts";
import { taskMachine } from "../machines/task.ts";
import type { OwnedRun } from "./engine/owned-run.ts";
import type { NodeWorkflows } from "./node-workflows.ts";
import type { ActorView, MachineView } from "./system.ts";
import { chartOf, definitionText, markActive } from "./worker/inspect/machine-chart.ts";
import { createRedactor } from "./worker/inspect/redact.ts";

const runsAt = "/root/workflows/";
const redactor = createRedactor();

/** `/root/workflows/RUN`, `/root/workflows/RUN/TASK`. */
function parseAddress(
  address: string,
): { readonly run: string; readonly task?: string } | undefined {
  if (!address.startsWith(runsAt)) return undefined;
  const [run = "", task, ...rest] = address.slice(runsAt.length).split("/");
  if (run === "" || rest.length > 0) return undefined;
  return task === undefined ? { run } : { run, task };
}

/** The runs that this node carries now, each with the tasks that an agent has in hand. */
export function runActors({ host }: NodeWorkflows): ActorView[] {
  return [...host.engine.owned().values()].map((run) => ({
    address: runsAt + run.id,
    id: run.id,
    kind: "workflow",
    status: run.state.status,
    restarts: 0,
    mailbox: run.ready.size,
    machineId: run.definition.id,
    children: [...run.inFlight].map((key) => taskActor(run, key)),
  }));
}

function taskActor(run: OwnedRun, key: string): ActorView {
  const task = run.state.tasks.get(key);
  return {
    address: `${runsAt}${run.id}/${key}`,
    id: key,
    kind: "task",
    status: task?.status ?? "unknown",
    restarts: task?.failures ?? 0,
    ...(task === undefined ? {} : { incarnation: task.attempt }),
    machineId: taskMachine.id,
    children: [],
  };
}

/** Also of runs that have ended, or that another node carries. Undefined where there is no such run or task. */
export async function runMachine(
  { views }: NodeWorkflows,
  address: string,
): Promise<MachineView | undefined> {
  const place = parseAddress(address);
  if (place === undefined || !isUuid(place.run)) return undefined;
  const row = await views.run(place.run);
  const definition = await views.definition(place.run);
  if (row === undefined || definition === undefined) return undefined;
  if (place.task === undefined) {
    const machine = machineOf(definition as unknown as WorkflowDefinition);
    // The row keeps the last stage, from where a retry goes on.
    const isFinal = machine.states[row.status]?.type === "final";
    return view(address, machine, isFinal ? row.status : row.place, row.status);
  }
  const task = (await views.tasks(place.run)).find(({ key }) => key === place.task);
  return task === undefined ? undefined : view(address, taskMachine, task.status, task.status);
}

function isUuid(text: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text);
}

/** The statechart of the pinned definition; its stages are graphs of tasks, which XState does not run. */
function machineOf({ id, statechart, stages }: WorkflowDefinition) {
  const stage = fromTransition((state: null) => state, null);
  return createMachine(
    { id, initial: statechart.initial, states: statechart.states as Record<string, object> },
    { actors: Object.fromEntries(Object.keys(stages).map((name) => [name, stage])) },
  );
}

function view(
  address: string,
  machine: Parameters<typeof chartOf>[0],
  value: string,
  status: string,
): MachineView {
  return {
    address,
    machineId: machine.id,
    value,
    status,
    root: markActive(chartOf(machine), value),
    definition: JSON.parse(definitionText(machine, redactor)) as Json,
    transitions: [],
  };
}
