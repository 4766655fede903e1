/**
 * Turns an XState machine config into a workflow's statechart: the same machine, with nothing in it
 * that is not data. Actions of agents and workflows that it invokes become stages of one task.
 *
 * @module
 */

import type { Json } from "../machines/error-code.ts";
import type { StageDefinition, StatechartConfig, TaskDefinition } from "./define-workflow.ts";

export interface MachineProblem {
  readonly path: readonly string[];
  readonly detail: string;
}

export interface NormalMachine {
  readonly statechart: StatechartConfig;
  /** Of the invoked `AGENT.action` and `workflow:ID`, by the invocation's id. */
  readonly stages: Readonly<Record<string, StageDefinition>>;
  readonly problems: readonly MachineProblem[];
}

type Data = Readonly<Record<string, unknown>>;

interface Walk {
  readonly rootId: string;
  readonly stageNames: ReadonlySet<string>;
  readonly implied: Map<string, TaskDefinition>;
  problem(path: readonly string[], detail: string): void;
}

/** For people and tools only. */
const notes = new Set(["description", "tags", "meta", "version", "types", "schemas"]);
const nodeKeys = new Set(
  "id type initial history target states invoke on after always onDone entry exit".split(" "),
);

const whenHint =
  'write { type: "when", params: CONDITION }, as when(gt(context("size"), 10)) makes it';
const setHint =
  'write { type: "set", params: { … } }, as set({ size: event("output.size") }) makes it';

/**
 * @param machine A config, or a machine, of which the `config` is taken.
 * @param stageNames Of the stages that the definition has besides.
 */
export function normalMachine(machine: unknown, stageNames: readonly string[]): NormalMachine {
  const problems: MachineProblem[] = [];
  const config = configOf(machine);
  const implied = new Map<string, TaskDefinition>();
  const walk: Walk = {
    rootId: typeof config["id"] === "string" ? config["id"] : "(machine)",
    stageNames: new Set(stageNames),
    implied,
    problem: (path, detail) => void problems.push({ path, detail }),
  };
  const { context, id: _id, ...root } = config;
  const statechart = nodeOf(root, [], [], walk);
  if (context !== undefined) {
    if (isData(context)) statechart["context"] = context;
    else {
      const detail = "must be data: what a run begins with comes from its input, as param(…)";
      problems.push({ path: ["context"], detail });
    }
  }
  const stages = [...implied].map(([key, task]): [string, StageDefinition] => [
    key,
    { title: task.title ?? key, tasks: { [key]: task } },
  ]);
  return {
    statechart: statechart as unknown as StatechartConfig,
    stages: Object.fromEntries(stages),
    problems,
  };
}

function configOf(machine: unknown): Data {
  const isMachine = isObject(machine) && isObject(machine["config"]) && "transition" in machine;
  const config = isMachine ? machine["config"] : machine;
  return isObject(config) ? config : {};
}

function nodeOf(
  node: Data,
  path: readonly string[],
  names: readonly string[],
  walk: Walk,
): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(node)) {
    const at = [...path, key];
    if (value === undefined || notes.has(key)) continue;
    if (!nodeKeys.has(key)) {
      const detail =
        key === "output"
          ? "is not possible here: say `output` beside `machine`"
          : "is not possible in a workflow";
      walk.problem(at, detail);
    } else result[key] = partOf(key, value, at, names, walk);
  }
  return result;
}

function partOf(
  key: string,
  value: unknown,
  at: readonly string[],
  names: readonly string[],
  walk: Walk,
): unknown {
  switch (key) {
    case "states":
      return mapObject(value, at, walk, (child, name) =>
        nodeOf(isObject(child) ? child : {}, [...at, name], [...names, name], walk),
      );
    case "invoke": {
      const list = [value].flat();
      const made = list.map((one, index) => {
        const place = Array.isArray(value) ? [...at, String(index)] : at;
        return invokeOf(one, place, [...names, ...(index === 0 ? [] : [String(index + 1)])], walk);
      });
      return Array.isArray(value) ? made : made[0];
    }
    case "on":
      return mapObject(value, at, walk, (one, name) =>
        transitionsOf(one ?? {}, [...at, name], walk),
      );
    case "after":
      return mapObject(value, at, walk, (one, name) => {
        if (!/^\d+$/.test(name)) {
          const detail = "is a named delay: write milliseconds, as in 60000";
          walk.problem([...at, name], detail);
        }
        return transitionsOf(one, [...at, name], walk);
      });
    case "always":
    case "onDone":
      return transitionsOf(value, at, walk);
    case "entry":
    case "exit":
      return actionsOf(value, at, walk);
    case "target":
      return targetOf(value, at, walk);
    default:
      if (isData(value)) return value;
      walk.problem(at, "must be data");
      return undefined;
  }
}

function invokeOf(
  value: unknown,
  at: readonly string[],
  names: readonly string[],
  walk: Walk,
): unknown {
  if (!isObject(value)) {
    walk.problem(at, "must be an object with `src`");
    return undefined;
  }
  const { src, id: given, input, onDone, onError, ...rest } = value;
  for (const key of Object.keys(rest)) {
    if (!notes.has(key) && rest[key] !== undefined)
      walk.problem([...at, key], "is not possible in a workflow");
  }
  if (typeof src !== "string") {
    const detail =
      'is code: write AGENT.action, "workflow:ID" or the name of a stage, and let an agent run the code';
    walk.problem([...at, "src"], detail);
    return undefined;
  }
  const id = typeof given === "string" ? given : names.join("_") || src;
  if (input !== undefined && !isData(input)) {
    const detail = 'is a function: write data with references, as { size: context("size") }';
    walk.problem([...at, "input"], detail);
  }
  const stage = stageOf(src, id, input, at, walk);
  return {
    src: stage,
    id,
    ...(onDone === undefined ? {} : { onDone: transitionsOf(onDone, [...at, "onDone"], walk) }),
    ...(onError === undefined ? {} : { onError: transitionsOf(onError, [...at, "onError"], walk) }),
  };
}

/** The stage that `src` names; one of a single task when it names an action or a workflow. */
function stageOf(
  src: string,
  id: string,
  input: unknown,
  at: readonly string[],
  walk: Walk,
): string {
  const isWorkflow = src.startsWith("workflow:");
  if (!isWorkflow && !src.includes(".")) {
    if (input !== undefined) {
      const detail = `is not possible for a stage: its tasks have \`with\`, and may read context(…)`;
      walk.problem([...at, "input"], detail);
    }
    return src;
  }
  if (walk.stageNames.has(id) || walk.implied.has(id)) {
    walk.problem([...at, "id"], `is taken by another stage: "${id}"`);
  }
  walk.implied.set(id, {
    ...(isWorkflow ? { workflow: src.slice("workflow:".length) } : { do: src }),
    title: id,
    ...(isObject(input) ? { with: input as NonNullable<TaskDefinition["with"]> } : {}),
  });
  return id;
}

function transitionsOf(value: unknown, at: readonly string[], walk: Walk): unknown {
  if (Array.isArray(value)) {
    return value.map((one, index) => transitionOf(one, [...at, String(index)], walk));
  }
  return transitionOf(value, at, walk);
}

function transitionOf(value: unknown, at: readonly string[], walk: Walk): unknown {
  if (typeof value === "string") return targetOf(value, at, walk);
  if (!isObject(value)) {
    walk.problem(at, "must be the name of a state, or an object with `target`");
    return undefined;
  }
  const result: Record<string, unknown> = {};
  for (const [key, part] of Object.entries(value)) {
    const path = [...at, key];
    if (part === undefined || notes.has(key)) continue;
    if (key === "target") {
      result["target"] = Array.isArray(part)
        ? part.map((one) => targetOf(one, path, walk))
        : targetOf(part, path, walk);
    } else if (key === "guard") result["guard"] = guardOf(part, path, walk);
    else if (key === "actions") result["actions"] = actionsOf(part, path, walk);
    else if (key === "reenter") result["reenter"] = part;
    else walk.problem(path, "is not possible in a workflow");
  }
  return result;
}

function guardOf(guard: unknown, at: readonly string[], walk: Walk): unknown {
  if (isObject(guard) && guard["type"] === "when" && isData(guard["params"])) return guard;
  walk.problem(at, `is ${codeName(guard)}: ${whenHint}`);
  return undefined;
}

function actionsOf(value: unknown, at: readonly string[], walk: Walk): unknown {
  const check = (one: unknown, path: readonly string[]) => {
    if (isObject(one) && one["type"] === "set" && isData(one["params"])) return one;
    walk.problem(path, `is ${codeName(one)}: ${setHint}`);
    return undefined;
  };
  if (!Array.isArray(value)) return check(value, at);
  return value.map((one, index) => check(one, [...at, String(index)]));
}

/** What stands where data should. */
function codeName(value: unknown): string {
  if (typeof value === "function") return "a function";
  const type = isObject(value) ? value["type"] : value;
  return typeof type === "string" ? `the name of code, "${type}"` : "no data";
}

/** The machine's own id is not the workflow's: its root is `#chart`. */
function targetOf(value: unknown, at: readonly string[], walk: Walk): unknown {
  if (typeof value !== "string") {
    walk.problem(at, "must be the name of a state");
    return undefined;
  }
  const [first = "", ...rest] = value.split(".");
  return first === `#${walk.rootId}` ? ["#chart", ...rest].join(".") : value;
}

function mapObject(
  value: unknown,
  at: readonly string[],
  walk: Walk,
  map: (one: unknown, key: string) => unknown,
): Data {
  if (!isObject(value)) {
    walk.problem(at, "must be an object");
    return {};
  }
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, map(one, key)]));
}

function isObject(value: unknown): value is Data {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Whether it stays what it is as JSON. */
function isData(value: unknown): value is Json {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (Array.isArray(value)) return value.every(isData);
  if (!isObject(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  return Object.values(value).every((one) => one === undefined || isData(one));
}
