/**
 * A workflow's statechart as a tree of states, and the transitions between them as XState resolves them.
 *
 * @module
 */

import type {
  ChartInvoke,
  ChartNode,
  ChartTransition,
  ChartTransitions,
  StatechartConfig,
} from "../../actors/define-workflow.ts";

/** Id of the root, as in the target `#chart.week1`. */
const rootId = "chart";

export interface ChartPlace {
  /** Empty for the root. */
  readonly name: string;
  /** JSON pointer. */
  readonly pointer: string;
  readonly node: ChartNode;
  readonly kind: "atomic" | "compound" | "parallel" | "final" | "history";
  readonly parent: ChartPlace | undefined;
  readonly children: readonly ChartPlace[];
}

export type ChartTrigger = "on" | "after" | "always" | "onDone" | "invoked" | "onError";

export interface ChartEdge {
  readonly from: ChartPlace;
  readonly trigger: ChartTrigger;
  readonly pointer: string;
  /** As written. */
  readonly targets: readonly string[];
  readonly transition: ChartTransition;
}

export function chartTree(statechart: StatechartConfig): ChartPlace {
  const root: ChartNode = {
    ...(statechart.type === undefined ? {} : { type: statechart.type }),
    ...(statechart.initial === undefined ? {} : { initial: statechart.initial }),
    ...statechart,
  };
  return placeOf("", "/workflow/statechart", root, undefined);
}

function placeOf(
  name: string,
  pointer: string,
  node: ChartNode,
  parent: ChartPlace | undefined,
): ChartPlace {
  const children: ChartPlace[] = [];
  const place = { name, pointer, node, kind: kindOf(node), parent, children };
  for (const [key, child] of Object.entries(node.states ?? {})) {
    children.push(placeOf(key, `${pointer}/states/${key}`, child, place));
  }
  return place;
}

function kindOf({ type, states = {} }: ChartNode): ChartPlace["kind"] {
  if (type === "final" || type === "history" || type === "parallel") return type;
  return Object.keys(states).length === 0 ? "atomic" : "compound";
}

/** The place itself and all below it. */
export function placesIn(place: ChartPlace): ChartPlace[] {
  return [place, ...place.children.flatMap(placesIn)];
}

/** The place's ancestors, nearest first. */
export function ancestorsOf({ parent }: ChartPlace): ChartPlace[] {
  return parent === undefined ? [] : [parent, ...ancestorsOf(parent)];
}

export function isInside(place: ChartPlace, outer: ChartPlace): boolean {
  return place === outer || ancestorsOf(place).includes(outer);
}

export function invokesAt({ node, pointer }: ChartPlace): readonly {
  readonly invoke: ChartInvoke;
  readonly pointer: string;
}[] {
  const { invoke } = node;
  if (invoke === undefined) return [];
  return [invoke].flat().map((one, index) => ({
    invoke: one,
    pointer: Array.isArray(invoke) ? `${pointer}/invoke/${index}` : `${pointer}/invoke`,
  }));
}

/** The transitions that the place itself declares. */
export function edgesAt(place: ChartPlace): ChartEdge[] {
  const { node, pointer } = place;
  const edges = (trigger: ChartTrigger, at: string, given: ChartTransitions | undefined) =>
    transitionsIn(given).map(
      ({ transition, step }): ChartEdge => ({
        from: place,
        trigger,
        pointer: at + step,
        targets: [transition.target ?? []].flat(),
        transition,
      }),
    );
  return [
    ...Object.entries(node.on ?? {}).flatMap(([key, to]) =>
      edges("on", `${pointer}/on/${key}`, to),
    ),
    ...Object.entries(node.after ?? {}).flatMap(([key, to]) =>
      edges("after", `${pointer}/after/${key}`, to),
    ),
    ...edges("always", `${pointer}/always`, node.always),
    ...edges("onDone", `${pointer}/onDone`, node.onDone),
    ...invokesAt(place).flatMap(({ invoke, pointer: at }) => [
      ...edges("invoked", `${at}/onDone`, invoke.onDone),
      ...edges("onError", `${at}/onError`, invoke.onError),
    ]),
  ];
}

function transitionsIn(
  given: ChartTransitions | undefined,
): { readonly transition: ChartTransition; readonly step: string }[] {
  if (given === undefined) return [];
  const whole = (one: string | ChartTransition) =>
    typeof one === "string" ? { target: one } : one;
  if (!isList(given)) return [{ transition: whole(given), step: "" }];
  return given.map((one, index) => ({ transition: whole(one), step: `/${index}` }));
}

function isList(given: ChartTransitions): given is readonly (string | ChartTransition)[] {
  return Array.isArray(given);
}

/** The state that a target names, seen from the place that declares it; undefined when there is none. */
export function resolveTarget(from: ChartPlace, target: string): ChartPlace | undefined {
  const root = ancestorsOf(from).at(-1) ?? from;
  if (target.startsWith("#")) {
    const [id = "", ...path] = target.slice(1).split(".");
    const named = placesIn(root).find(({ node }) => node.id === id);
    return descend(id === rootId ? root : named, path);
  }
  if (target.startsWith(".")) return descend(from, target.slice(1).split("."));
  return descend(from.parent, target.split("."));
}

function descend(place: ChartPlace | undefined, path: readonly string[]): ChartPlace | undefined {
  let at = place;
  for (const step of path) at = at?.children.find(({ name }) => name === step);
  return at;
}

/** Where a compound state begins, or a history state without memory leads. */
export function initialOf(place: ChartPlace): ChartPlace | undefined {
  if (place.kind === "history") {
    const { target } = place.node;
    if (target !== undefined) return resolveTarget(place, target);
    return place.parent === undefined ? undefined : initialOf(place.parent);
  }
  return place.children.find(({ name }) => name === place.node.initial);
}

/** All states that are entered when `target` is: its ancestors, what they begin with, and what it begins with. */
export function enteredBy(target: ChartPlace): ReadonlySet<ChartPlace> {
  const found = new Set<ChartPlace>();
  const enter = (place: ChartPlace, through?: ChartPlace): void => {
    if (found.has(place)) return;
    found.add(place);
    if (place.parent !== undefined) enter(place.parent, place);
    if (place.kind === "parallel") {
      for (const child of place.children) if (child !== through) enter(child);
    } else if (through === undefined) {
      const initial = initialOf(place);
      if (initial !== undefined) enter(initial);
    }
  };
  enter(target);
  return found;
}
