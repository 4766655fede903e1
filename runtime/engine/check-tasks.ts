/**
 * Checks of a definition's tasks, each by itself and in their order.
 *
 * @module
 */

import type { AgentCard, Capability, CapabilityCard } from "../../actors/define-agent.ts";
import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import { checkCondition, checkRefShapes, type Field, placedRefs } from "./check-values.ts";
import { actionOf } from "./compile-definition.ts";
import { circleIn, type PlacedTask, type TaskGraph } from "./task-graph.ts";

/** Tasks of one definition at most. */
const maxTasks = 20_000;

export type FindAgent = (name: string) => AgentCard | undefined;
/** Registered workflows, which tasks may start as children. */
export type FindWorkflow = (id: string) => WorkflowDefinition | undefined;

export function checkTasks(
  graph: TaskGraph,
  findAgent: FindAgent,
  findWorkflow: FindWorkflow,
): Field[] {
  return [
    ...checkCount(graph),
    ...graph.all.flatMap((placed) => [
      ...checkKind(placed),
      ...checkAction(placed, findAgent),
      ...checkChild(placed, graph.definition, findWorkflow),
      ...checkOptions(placed),
      ...checkTimes(placed),
      ...checkAlternative(placed, graph),
      ...checkCompensation(placed, findAgent),
      ...checkReads(placed, graph),
    ]),
    ...checkStageItems(graph),
    ...checkCircle(graph),
    ...checkOutput(graph),
  ];
}

function checkCount({ all, byKey, definition }: TaskGraph): Field[] {
  const fields: Field[] = [];
  const pointer = "/workflow/stages";
  if (all.length === 0 || all.length > maxTasks) {
    fields.push({ pointer, detail: `has ${all.length} tasks; 1 to ${maxTasks} are possible` });
  } else {
    for (const [name, { tasks }] of Object.entries(definition.stages)) {
      if (Object.keys(tasks).length > 0) continue;
      fields.push({ pointer: `${pointer}/${name}/tasks`, detail: "has no tasks" });
    }
  }
  if (byKey.size !== all.length) {
    fields.push({ pointer, detail: "has the same task key in two stages" });
  }
  return fields;
}

const kinds = ["do", "workflow", "signal", "approval", "sleepMs"] as const;

function checkKind({ pointer, task }: PlacedTask): Field[] {
  const said = kinds.filter((kind) => task[kind] !== undefined);
  if (said.length === 1) return [];
  const what = said.length === 0 ? "does nothing" : `says ${said.join(" and ")}`;
  return [{ pointer, detail: `${what}: it must say exactly one of ${kinds.join(", ")}` }];
}

/** The action, or what is wrong with its name. */
export function findAction(
  name: string,
  findAgent: FindAgent,
): { readonly found?: CapabilityCard | Capability; readonly detail: string } {
  const { agent: agentName, action } = actionOf({ do: name });
  const agent = findAgent(agentName);
  if (agent === undefined) return { detail: `names no agent: "${agentName}"` };
  const found = Object.hasOwn(agent.capabilities, action) ? agent.capabilities[action] : undefined;
  const actions = Object.keys(agent.capabilities).join(", ");
  const detail = `${agentName} has no action "${action}"; it has ${actions}`;
  return found === undefined ? { detail } : { found, detail };
}

function checkAction({ pointer, task }: PlacedTask, findAgent: FindAgent): Field[] {
  if (task.do === undefined) return [];
  const { detail, found } = findAction(task.do, findAgent);
  return found === undefined ? [{ pointer: `${pointer}/do`, detail }] : [];
}

function checkChild(
  { pointer, task }: PlacedTask,
  definition: WorkflowDefinition,
  findWorkflow: FindWorkflow,
): Field[] {
  if (task.workflow === undefined) return [];
  const at = `${pointer}/workflow`;
  const circle = childCircle(task.workflow, [definition.id], findWorkflow);
  if (circle !== undefined) {
    return [{ pointer: at, detail: `starts itself again: ${circle.join(" → ")}` }];
  }
  const child = findWorkflow(task.workflow);
  if (child === undefined) {
    return [{ pointer: at, detail: `names no registered workflow: "${task.workflow}"` }];
  }
  const given = Object.keys(task.with ?? {});
  return [
    ...child.params
      .filter((name) => !given.includes(name))
      .map((name) => ({
        pointer: `${pointer}/with/${name}`,
        detail: `is required by workflow "${child.id}"`,
      })),
    ...given
      .filter((name) => !child.params.includes(name))
      .map((name) => ({
        pointer: `${pointer}/with/${name}`,
        detail: `is not an input of workflow "${child.id}"; inputs are ${child.params.join(", ") || "none"}`,
      })),
  ];
}

/** The way from a workflow over its children back to one that is on the way. */
function childCircle(
  id: string,
  way: readonly string[],
  findWorkflow: FindWorkflow,
  seen: Set<string> = new Set(),
): readonly string[] | undefined {
  if (way.includes(id)) return [...way.slice(way.indexOf(id)), id];
  if (seen.has(id)) return undefined;
  seen.add(id);
  const tasks = Object.values(findWorkflow(id)?.stages ?? {}).flatMap((stage) =>
    Object.values(stage.tasks),
  );
  for (const { workflow } of tasks) {
    if (workflow === undefined) continue;
    const circle = childCircle(workflow, [...way, id], findWorkflow, seen);
    if (circle !== undefined) return circle;
  }
  return undefined;
}

const actionOnly = ["local", "delivery", "graceMs", "concurrencyKey", "concurrencyLimit"] as const;

function checkOptions({ isPiped, pointer, task }: PlacedTask): Field[] {
  const fields: Field[] = [];
  const add = (path: string, detail: string) => fields.push({ pointer: pointer + path, detail });
  for (const option of actionOnly) {
    if (task.do === undefined && task[option] !== undefined) {
      add(`/${option}`, "is for tasks with `do` only");
    }
  }
  if (task.do === undefined && task.workflow === undefined && task.with !== undefined) {
    add("/with", "is for tasks with `do` or `workflow` only");
  }
  if (task.window !== undefined && task.forEach === undefined) {
    add("/window", "is for tasks with `forEach` only");
  }
  if (task.forEach !== undefined && isPiped) {
    add("/forEach", "is not possible in a pipeline: its tasks have the pipeline's items");
  }
  if (task.concurrencyLimit !== undefined && task.concurrencyKey === undefined) {
    add("/concurrencyLimit", "needs a `concurrencyKey`");
  }
  return fields;
}

/** Limits that contradict each other, so that one of them could never be reached. */
function checkTimes({ pointer, task }: PlacedTask): Field[] {
  const { timeouts = {}, retry = {} } = task;
  const { heartbeatMs, scheduleToCloseMs, scheduleToStartMs, startToCloseMs } = timeouts;
  const fields: Field[] = [];
  const notAbove = (at: string, value?: number, limit?: number, name?: string) => {
    if (value === undefined || limit === undefined || value <= limit) return;
    fields.push({ pointer: pointer + at, detail: `is longer than ${name}, which is ${limit}` });
  };
  const at = "/timeouts";
  if (heartbeatMs !== undefined && startToCloseMs !== undefined && heartbeatMs >= startToCloseMs) {
    const detail = `must be shorter than startToCloseMs, which is ${startToCloseMs}`;
    fields.push({ pointer: `${pointer}${at}/heartbeatMs`, detail });
  }
  notAbove(`${at}/startToCloseMs`, startToCloseMs, scheduleToCloseMs, "scheduleToCloseMs");
  notAbove(`${at}/scheduleToStartMs`, scheduleToStartMs, scheduleToCloseMs, "scheduleToCloseMs");
  notAbove("/retry/initialMs", retry.initialMs, retry.maxMs, "maxMs");
  notAbove("/retry/totalMs", retry.totalMs, scheduleToCloseMs, "scheduleToCloseMs");
  if (task.do === undefined) {
    for (const name of ["heartbeatMs", "startToCloseMs", "scheduleToStartMs"] as const) {
      if (timeouts[name] === undefined) continue;
      const detail = "is for tasks with `do` only: what waits has scheduleToCloseMs";
      fields.push({ pointer: `${pointer}${at}/${name}`, detail });
    }
  }
  return fields;
}

function checkAlternative({ key, pointer, stage, task }: PlacedTask, graph: TaskGraph): Field[] {
  if (typeof task.onFailure !== "object") return [];
  const at = `${pointer}/onFailure/run`;
  const { run } = task.onFailure;
  const other = graph.byKey.get(run);
  if (other === undefined) return [{ pointer: at, detail: `names no task: "${run}"` }];
  const details: string[] = [];
  if (run === key) details.push("names the task itself");
  if (other.stage !== stage) {
    details.push(`names "${run}" of stage "${other.stage}": it must be in the same stage`);
  }
  const first = graph.all.find(
    (one) => typeof one.task.onFailure === "object" && one.task.onFailure.run === run,
  );
  if (first !== undefined && first.key !== key) {
    details.push(`names "${run}", which stands in for "${first.key}" already`);
  }
  return details.map((detail) => ({ pointer: at, detail }));
}

function checkCompensation({ pointer, task }: PlacedTask, findAgent: FindAgent): Field[] {
  const { compensate } = task;
  if (compensate === undefined || compensate === false) return [];
  // The run that it starts undoes itself.
  if (compensate === true && task.workflow !== undefined) return [];
  const at = `${pointer}/compensate`;
  if (typeof compensate === "string") {
    const { detail, found } = findAction(compensate, findAgent);
    return found === undefined ? [{ pointer: at, detail }] : [];
  }
  if (task.do === undefined) {
    return [{ pointer: at, detail: "needs the name of an action: this task has none of its own" }];
  }
  const { found } = findAction(task.do, findAgent);
  if (found === undefined || compensates(found)) return [];
  return [{ pointer: at, detail: `is not possible: ${task.do} has no \`compensate\`` }];
}

export function compensates(action: CapabilityCard | Capability): boolean {
  return "run" in action ? action.compensate !== undefined : action.compensates === true;
}

/** What a task reads must be there when it begins. */
function checkReads(placed: PlacedTask, graph: TaskGraph): Field[] {
  const { isPiped, pointer, stage, task } = placed;
  const fields: Field[] = [
    ...(task.when === undefined ? [] : checkCondition(task.when, `${pointer}/when`)),
    ...(["with", "forEach", "sleepMs", "concurrencyKey"] as const).flatMap((option) =>
      checkRefShapes(task[option], `${pointer}/${option}`),
    ),
  ];
  for (const dependency of task.after ?? []) {
    const other = graph.byKey.get(dependency);
    if (other === undefined) {
      fields.push({ pointer: `${pointer}/after`, detail: `names no task: "${dependency}"` });
    } else if (other.stage !== stage && !graph.precedes(other.stage, stage)) {
      const detail = `waits for "${dependency}", whose stage "${other.stage}" does not come before`;
      fields.push({ pointer: `${pointer}/after`, detail });
    }
  }
  const hasItem = isPiped || task.forEach !== undefined;
  for (const option of ["with", "when", "forEach", "sleepMs", "concurrencyKey"] as const) {
    const at = `${pointer}/${option}`;
    const before = (other: PlacedTask) => graph.isBefore(other, placed);
    fields.push(...checkRefs(task[option], at, graph, hasItem && option !== "forEach", before));
  }
  return fields;
}

function checkRefs(
  value: unknown,
  pointer: string,
  { byKey, definition }: TaskGraph,
  hasItem: boolean,
  isBefore: (other: PlacedTask) => boolean,
): Field[] {
  return placedRefs(value, pointer).flatMap(({ kind, name }): Field[] => {
    switch (kind) {
      case "param":
        if (definition.params.includes(name)) return [];
        return [{ pointer, detail: `reads no input of the workflow: "${name}"` }];
      case "output": {
        const other = byKey.get(name);
        if (other === undefined) {
          return [{ pointer, detail: `reads the output of no task: "${name}"` }];
        }
        if (isBefore(other)) return [];
        return [{ pointer, detail: `reads the output of "${name}" without waiting for it` }];
      }
      case "item":
      case "index":
        if (hasItem) return [];
        return [{ pointer, detail: `reads the ${kind} outside of a \`forEach\` or a pipeline` }];
      case "event":
        return [
          { pointer, detail: "reads the event, which only guards and actions of a chart have" },
        ];
      case "context":
        return [];
    }
  });
}

/** A pipeline begins when none of its tasks waits for anything outside of it. */
function checkStageItems(graph: TaskGraph): Field[] {
  return Object.entries(graph.definition.stages).flatMap(([name, { buffer, items, tasks }]) => {
    const pointer = `/workflow/stages/${name}`;
    if (items === undefined) {
      const detail = "is for pipelines only, which have `items`";
      return buffer === undefined ? [] : [{ pointer: `${pointer}/buffer`, detail }];
    }
    const waited = new Set(Object.values(tasks).flatMap(({ after = [] }) => after));
    const isBefore = (other: PlacedTask) =>
      other.stage !== name && (waited.has(other.key) || graph.precedes(other.stage, name));
    return [
      ...checkRefShapes(items, `${pointer}/items`),
      ...checkRefs(items, `${pointer}/items`, graph, false, isBefore),
    ];
  });
}

function checkCircle(graph: TaskGraph): Field[] {
  const circle = circleIn(graph);
  if (circle === undefined) return [];
  const way = circle.map(({ key }) => key).join(" → ");
  return [{ pointer: circle[0]?.pointer ?? "", detail: `waits for itself: ${way}` }];
}

function checkOutput(graph: TaskGraph): Field[] {
  const { output } = graph.definition;
  if (output === undefined) return [];
  const pointer = "/workflow/output";
  return [
    ...checkRefShapes(output, pointer),
    ...checkRefs(output, pointer, graph, false, () => true),
  ];
}
