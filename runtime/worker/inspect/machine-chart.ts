/**
 * A statechart as data: states, transitions, and the names of what they do.
 *
 * @module
 */

import type { AnyStateMachine, AnyStateNode, AnyTransitionDefinition } from "xstate";
import type { Json } from "../../../machines/error-code.ts";
import type { MachineState, MachineTransition } from "../../system.ts";
import type { Redactor } from "./redact.ts";
import { snapshotLimits } from "./redact.ts";

/** What a function without a name is called. */
const inline = "inline";

export function isStateMachine(logic: unknown): logic is AnyStateMachine {
  const { root, config } = (logic ?? {}) as { root?: { id?: unknown }; config?: unknown };
  return typeof root?.id === "string" && typeof config === "object" && config !== null;
}

/** The machine's config as JSON text; functions become `{ "type": NAME }`, as Stately writes them. */
export function definitionText(machine: AnyStateMachine, redactor: Redactor): string {
  return redactor.text(machine.config, snapshotLimits);
}

/** No state is active in it; see `markActive`. */
export function chartOf(machine: AnyStateMachine): MachineState {
  return chartNode(machine.root);
}

function chartNode(node: AnyStateNode): MachineState {
  const initial = node.type === "compound" ? node.initial?.target?.[0]?.key : undefined;
  return {
    id: node.id,
    key: node.key,
    type: node.type,
    ...(initial === undefined ? {} : { initial }),
    active: false,
    entry: node.entry.map(nameOf),
    exit: node.exit.map(nameOf),
    invokes: node.invoke.map(({ id, src }) => ({ id, src: nameOf(src) })),
    transitions: [...[...node.transitions.values()].flat(), ...(node.always ?? [])].map(
      chartTransition,
    ),
    states: Object.values(node.states).map(chartNode),
  };
}

function chartTransition({
  eventType,
  target,
  guard,
  actions,
}: AnyTransitionDefinition): MachineTransition {
  return {
    // Transitions without an event have "".
    event: eventType === "" ? "always" : eventType,
    targets: (target ?? []).map(({ id }) => id),
    ...(guard === undefined ? {} : { guard: nameOf(guard) }),
    actions: actions.map(nameOf),
  };
}

/** Name of an action, a guard or an actor source: text, object with `type`, or function. */
function nameOf(value: unknown): string {
  if (typeof value === "string") return value;
  const { type, name } = (value ?? {}) as { type?: unknown; name?: unknown };
  if (typeof type === "string" && type !== "") return type;
  return typeof name === "string" && name !== "" ? name : inline;
}

/** @param value State value as XState writes it: `"a"`, `{ "a": "b" }`. */
export function markActive(chart: MachineState, value: Json): MachineState {
  return mark(chart, value, value !== null);
}

function mark(state: MachineState, value: Json, active: boolean): MachineState {
  const states = state.states.map((child) => {
    if (!active) return mark(child, null, false);
    if (typeof value === "string") return mark(child, null, child.key === value);
    const members = (value ?? {}) as Readonly<Record<string, Json>>;
    const isMember =
      typeof value === "object" && value !== null && Object.hasOwn(members, child.key);
    return mark(child, isMember ? (members[child.key] ?? null) : null, isMember);
  });
  return { ...state, active, states };
}
