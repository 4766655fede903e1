/**
 * The statechart of a run as an XState machine whose guards and assignments are data.
 *
 * The engine runs what the chart invokes and keeps its timers; XState only decides where the chart
 * goes. A transition is pure: what it starts and stops comes back as a list.
 *
 * @module
 */

import {
  type AnyMachineSnapshot,
  type AnyStateMachine,
  assign,
  createMachine,
  fromTransition,
  initialTransition,
  transition,
} from "xstate";
import type { Json } from "../error-code.ts";
import { type Condition, holds, resolve, type Scope } from "./values.ts";

/** An XState config as JSON. `invoke.src` names a stage. */
export interface Statechart {
  readonly initial?: string;
  readonly type?: string;
  readonly context?: Json;
  readonly states: Readonly<Record<string, object>>;
}

/** Where the chart is: all that a restart needs. */
export interface ChartState {
  /** XState's state value. */
  readonly value: Json;
  readonly context: Json;
  /** Ids of what is invoked now, with the stage instance that carries it. */
  readonly invoked: Readonly<Record<string, string>>;
  /** How often each stage was entered. */
  readonly entered: Readonly<Record<string, number>>;
  /** XState's history values, as ids of states by id of the history state. */
  readonly history: Readonly<Record<string, readonly string[]>>;
}

/** What a transition asks for, in order. */
export type ChartEffect =
  | { readonly type: "invoke"; readonly id: string; readonly src: string; readonly input: Json }
  | { readonly type: "stop"; readonly id: string }
  | { readonly type: "timer"; readonly id: string; readonly delayMs: number; readonly event: Json }
  | { readonly type: "cancel-timer"; readonly id: string };

export interface ChartStep {
  readonly value: Json;
  readonly context: Json;
  readonly history: Readonly<Record<string, readonly string[]>>;
  /** Set once a final state at the top is reached. */
  readonly done: boolean;
  /** Nothing took the failure of something that the chart invoked. */
  readonly broken: boolean;
  /** False when no transition took the event. */
  readonly taken: boolean;
  readonly effects: readonly ChartEffect[];
}

/** Reads of the run that guards and assignments may make. */
export type ChartScope = Pick<Scope, "input" | "output">;

/** The scope of the transition that runs: XState gives its implementations no place to carry it. */
let current: ChartScope = { input: {}, output: () => undefined };

const nothing = fromTransition((state: null) => state, null);

/** Builds the machine. @throws {Error} Whatever XState says of a malformed config. */
export function buildChart(statechart: Statechart): AnyStateMachine {
  const sources = new Set<string>();
  collectSources(statechart, sources);
  return createMachine(
    { id: "chart", context: {}, ...(statechart as object) } as Parameters<typeof createMachine>[0],
    {
      actors: Object.fromEntries([...sources].map((src) => [src, nothing])),
      guards: {
        /** `params` is a `Condition`. */
        when: ({ context, event }: { context: unknown; event: unknown }, params: unknown) =>
          holds(params as Condition, scopeOf(context, event)),
      },
      actions: {
        /** `params` is an object of templates, merged into the context. */
        set: assign(({ context, event }, params) => ({
          ...(context as object),
          ...(resolve(params, scopeOf(context, event)) as object),
        })),
      },
      // XState types implementations by a `setup`, which data has none of.
    } as never,
  );
}

function scopeOf(context: unknown, event: unknown): Scope {
  return { ...current, context: context as Json, event: event as Json };
}

function collectSources(node: unknown, found: Set<string>): void {
  if (typeof node !== "object" || node === null) return;
  const { invoke, states } = node as { invoke?: unknown; states?: object };
  for (const one of [invoke].flat()) {
    const { src } = (one ?? {}) as { src?: unknown };
    if (typeof src === "string") found.add(src);
  }
  for (const child of Object.values(states ?? {})) collectSources(child, found);
}

export function chartStart(chart: AnyStateMachine, scope: ChartScope): ChartStep {
  current = scope;
  const [snapshot, actions] = initialTransition(chart);
  return stepOf(chart, snapshot, actions, true, scope);
}

/** Takes one event; guards and assignments read `scope`. */
export function chartStep(
  chart: AnyStateMachine,
  state: ChartState,
  event: Json,
  scope: ChartScope,
): ChartStep {
  current = scope;
  const from = restore(chart, state);
  const named = event as unknown as { type: string };
  const taken = from.can(named);
  const [snapshot, actions] = transition(chart, from, named);
  return stepOf(chart, snapshot, actions, taken, scope);
}

/** True when a transition would take the event now. */
export function chartTakes(
  chart: AnyStateMachine,
  state: ChartState,
  event: Json,
  scope: ChartScope,
): boolean {
  current = scope;
  return restore(chart, state).can(event as unknown as { type: string });
}

function restore(chart: AnyStateMachine, state: ChartState): AnyMachineSnapshot {
  const historyValue = Object.fromEntries(
    Object.entries(state.history).map(([id, ids]) => [
      id,
      ids.map((one) => chart.getStateNodeById(one)),
    ]),
  );
  const snapshot = chart.resolveState({
    value: state.value as string,
    context: state.context,
    historyValue: historyValue as never,
  }) as AnyMachineSnapshot;
  // Only the ids are read: XState names what a transition stops by them.
  const children = Object.fromEntries(Object.keys(state.invoked).map((id) => [id, { id }]));
  return Object.assign(snapshot, { children });
}

function stepOf(
  chart: AnyStateMachine,
  snapshot: AnyMachineSnapshot,
  actions: readonly { readonly type: string; readonly params?: unknown }[],
  taken: boolean,
  scope: ChartScope,
): ChartStep {
  const context = (snapshot.context ?? {}) as Json;
  return {
    value: snapshot.value as Json,
    context,
    history: Object.fromEntries(
      Object.entries(
        (snapshot.historyValue ?? {}) as Record<string, readonly { readonly id: string }[]>,
      ).map(([id, nodes]) => [id, nodes.map((node) => node.id)]),
    ),
    done: snapshot.status === "done",
    broken: snapshot.status === "error",
    taken,
    effects: actions.flatMap((action) => effectOf(action, { ...scope, context }, chart)),
  };
}

function effectOf(
  { type, params }: { readonly type: string; readonly params?: unknown },
  scope: Scope,
  chart: AnyStateMachine,
): ChartEffect[] {
  const { id, src, input, delay, event, sendId } = (params ?? {}) as {
    id?: string;
    src?: string;
    input?: unknown;
    delay?: number;
    event?: { type: string };
    sendId?: string;
  };
  switch (type) {
    case "xstate.spawnChild":
      return [
        {
          type: "invoke",
          id: String(id),
          src: String(src),
          input: input === undefined ? null : resolve(input, scope),
        },
      ];
    case "xstate.stopChild":
      // XState hands over the actor itself; of one that is not invoked any more, nothing.
      return id === undefined ? [] : [{ type: "stop", id }];
    case "xstate.raise":
      return delay === undefined
        ? []
        : [{ type: "timer", id: String(id), delayMs: delay, event: event as unknown as Json }];
    case "xstate.cancel":
      return [{ type: "cancel-timer", id: String(sendId) }];
    default:
      throw new Error(
        `Cannot run the chart "${chart.id}": it has the action "${type}", which is none of ours`,
      );
  }
}
