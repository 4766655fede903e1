/**
 * Checks of a workflow's statechart: everything that XState would refuse, and every state from which a
 * run could not go on.
 *
 * @module
 */

import type { WorkflowDefinition } from "../../actors/define-workflow.ts";
import {
  ancestorsOf,
  type ChartEdge,
  type ChartPlace,
  chartTree,
  edgesAt,
  enteredBy,
  initialOf,
  invokesAt,
  isInside,
  placesIn,
  resolveTarget,
} from "./chart-tree.ts";

interface Field {
  readonly pointer: string;
  readonly detail: string;
}

/** Everything that is wrong with the chart, as far as it can be told without the tasks. */
export function checkChart({ statechart, stages }: WorkflowDefinition): Field[] {
  const root = chartTree(statechart);
  const places = placesIn(root);
  const broken = [
    ...places.flatMap(checkShape),
    ...places.flatMap(edgesAt).flatMap(checkTargets),
    ...checkInvokes(places, stages),
  ];
  // What can be reached is unknown while targets are.
  if (broken.length > 0) return broken;
  const reached = reachable(root);
  return [
    ...outermost(places.filter((place) => !reached.has(place))).map(({ pointer }) => ({
      pointer,
      detail: "cannot be reached",
    })),
    ...places.filter((place) => reached.has(place)).flatMap(checkWayOut),
    ...checkLoops(places),
    ...checkEnd(root, reached),
    ...checkStages(places, stages),
  ];
}

function checkShape(place: ChartPlace): Field[] {
  const { kind, node, pointer, parent } = place;
  const fields: Field[] = [];
  const add = (path: string, detail: string) => fields.push({ pointer: pointer + path, detail });
  if (kind === "compound" && node.initial === undefined) {
    add("/initial", "is required: it names the state to begin with");
  } else if (kind === "compound" && initialOf(place) === undefined) {
    add("/initial", `names no state: "${node.initial}"`);
  }
  if (parent === undefined && kind !== "compound" && kind !== "parallel") {
    add("/states", "has no states");
  }
  if (kind === "parallel" && place.children.length === 0) add("/states", "has no regions");
  if (kind === "final" && hasWork(place)) {
    add("", "is a final state: it invokes nothing and has no transitions");
  }
  if (kind === "final" && parent?.kind === "parallel") {
    add("", "is a final state directly inside a parallel one: it must be inside a region");
  }
  if (kind === "history" && parent?.kind !== "compound") {
    add("", "is a history state: it must be inside a state with an initial one");
  }
  if (kind === "history" && node.target !== undefined && initialOf(place) === undefined) {
    add("/target", `leads to no state: "${node.target}"`);
  }
  for (const delay of Object.keys(node.after ?? {})) {
    if (!/^\d{1,12}$/.test(delay))
      add(`/after/${delay}`, "must be whole milliseconds, as in 60000");
  }
  return fields;
}

function hasWork(place: ChartPlace): boolean {
  return place.node.invoke !== undefined || edgesAt(place).length > 0 || place.children.length > 0;
}

function checkTargets({ from, pointer, targets, trigger }: ChartEdge): Field[] {
  const unknown = targets.filter((target) => resolveTarget(from, target) === undefined);
  const fields = unknown.map((target) => ({ pointer, detail: `leads to no state: "${target}"` }));
  if (trigger !== "always" || targets.length > 0) return fields;
  return [...fields, { pointer, detail: "has no target, so it would be taken forever" }];
}

function checkInvokes(
  places: readonly ChartPlace[],
  stages: WorkflowDefinition["stages"],
): Field[] {
  const ids = new Map<string, string>();
  return places.flatMap(invokesAt).flatMap(({ invoke: { id, src }, pointer }) => {
    const fields: Field[] = [];
    if (!Object.hasOwn(stages, src)) {
      fields.push({ pointer: `${pointer}/src`, detail: `names no stage: "${src}"` });
    }
    const other = ids.get(id);
    if (other !== undefined) {
      fields.push({ pointer: `${pointer}/id`, detail: `is taken by ${other}: "${id}"` });
    }
    ids.set(id, pointer);
    return fields;
  });
}

/** Every state that some run could be in, whatever its guards say. */
function reachable(root: ChartPlace): ReadonlySet<ChartPlace> {
  const reached = new Set<ChartPlace>(enteredBy(root));
  for (const place of reached) {
    const targets = edgesAt(place).flatMap((edge) =>
      edge.targets.flatMap((target) => resolveTarget(place, target) ?? []),
    );
    for (const target of targets) for (const next of enteredBy(target)) reached.add(next);
  }
  return reached;
}

/** Without the states inside of others in the list. */
function outermost(places: readonly ChartPlace[]): readonly ChartPlace[] {
  const all = new Set(places);
  return places.filter((place) => !ancestorsOf(place).some((outer) => all.has(outer)));
}

/** A state without inner ones must lead on: by itself, or by a state around it. */
function checkWayOut(place: ChartPlace): Field[] {
  if (place.kind !== "atomic") return [];
  const around = [place, ...ancestorsOf(place)];
  const leads = around.some((one) => {
    const own = edgesAt(one).some(
      ({ trigger, targets }) =>
        targets.length > 0 && trigger !== "onError" && (trigger !== "onDone" || one === place),
    );
    return own || (one.kind === "parallel" && placesIn(one).some((inner) => leaves(inner, one)));
  });
  if (leads) return [];
  const detail =
    place.node.invoke === undefined
      ? "is a dead end: neither final nor invoking a stage, and nothing leads out of it"
      : "is a dead end: nothing leads out of it when what it invokes is done";
  return [{ pointer: place.pointer, detail }];
}

/** A transition of one region that leaves all of them. */
function leaves(inner: ChartPlace, parallel: ChartPlace): boolean {
  return edgesAt(inner).some(({ targets }) =>
    targets.some((target) => {
      const to = resolveTarget(inner, target);
      return to !== undefined && !isInside(to, parallel);
    }),
  );
}

/** `always` transitions are taken within one step: a circle of them would never end. */
function checkLoops(places: readonly ChartPlace[]): Field[] {
  const fields: Field[] = [];
  const done = new Set<ChartPlace>();
  const visit = (place: ChartPlace, path: readonly ChartPlace[]): void => {
    const start = path.indexOf(place);
    if (start >= 0) {
      const circle = [...path.slice(start), place].map(({ name }) => name || rootName).join(" → ");
      const detail = `goes round without any work: ${circle}`;
      fields.push({ pointer: `${place.pointer}/always`, detail });
      return;
    }
    if (done.has(place)) return;
    for (const { targets, trigger } of edgesAt(place)) {
      if (trigger !== "always") continue;
      for (const target of targets) {
        const to = resolveTarget(place, target);
        if (to === undefined) continue;
        for (const next of enteredBy(to)) if (next.node.always) visit(next, [...path, place]);
      }
    }
    done.add(place);
  };
  for (const place of places) if (place.node.always) visit(place, []);
  return fields;
}

const rootName = "the chart";

/** A run whose chart cannot end would never end. */
function checkEnd(root: ChartPlace, reached: ReadonlySet<ChartPlace>): Field[] {
  const regions = root.kind === "parallel" ? root.children : [root];
  return regions
    .filter((region) => region.kind !== "final")
    .filter(({ children }) => !children.some((one) => one.kind === "final" && reached.has(one)))
    .map(({ pointer }) => ({
      pointer: `${pointer}/states`,
      detail: "has no final state that can be reached: the run would never end",
    }));
}

function checkStages(places: readonly ChartPlace[], stages: WorkflowDefinition["stages"]): Field[] {
  const invoked = new Set(places.flatMap(invokesAt).map(({ invoke }) => invoke.src));
  return Object.keys(stages)
    .filter((name) => !invoked.has(name))
    .map((name) => ({
      pointer: `/workflow/stages/${name}`,
      detail: "is invoked by no state, so its tasks would never run",
    }));
}

/** Tells whether a stage may have ended before another begins, on some way through the chart. */
export function stageOrder({
  statechart,
}: WorkflowDefinition): (early: string, late: string) => boolean {
  const places = placesIn(chartTree(statechart));
  const after = new Map<string, ReadonlySet<string>>();
  const stagesAt = (all: Iterable<ChartPlace>) =>
    [...all].flatMap(invokesAt).map(({ invoke }) => invoke.src);
  const stagesAfter = (stage: string): ReadonlySet<string> => {
    const reached = new Set<ChartPlace>();
    const follow = (edge: ChartEdge): void => {
      for (const target of edge.targets) {
        const to = resolveTarget(edge.from, target);
        if (to === undefined) continue;
        // A transition that stays inside of a region does not enter the others again.
        const region = [to, ...ancestorsOf(to)].find(
          (one) => one.parent?.kind === "parallel" && isInside(edge.from, one),
        );
        for (const next of enteredBy(to)) {
          if (isInside(edge.from, next) && next !== to) continue;
          if (region === undefined || isInside(next, region)) reached.add(next);
        }
      }
    };
    for (const place of places) {
      if (!stagesAt([place]).includes(stage)) continue;
      for (const one of [place, ...ancestorsOf(place)]) edgesAt(one).forEach(follow);
    }
    for (const place of reached) {
      for (const one of [place, ...ancestorsOf(place)]) edgesAt(one).forEach(follow);
    }
    return new Set(stagesAt(reached));
  };
  return (early, late) => {
    const known = after.get(early) ?? stagesAfter(early);
    after.set(early, known);
    return known.has(late);
  };
}
