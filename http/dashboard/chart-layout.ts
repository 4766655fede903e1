/**
 * Where the states of a statechart stand: one below the other, each with its transitions as lines, inner
 * states inside of outer ones, and an arc from each state to the siblings that it leads to.
 *
 * @module
 */

import type { MachineState, MachineTransition } from "../../runtime/system.ts";

/** All in CSS pixels, origin at the top left. */
export interface ChartBox {
  readonly state: MachineState;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  /** At most `MAX_LINES`. */
  readonly lines: readonly MachineTransition[];
  readonly more: number;
}

export interface ChartArc {
  readonly key: string;
  /** SVG path data. */
  readonly path: string;
  /** It leads back up. */
  readonly isBack: boolean;
}

export interface ChartLayout {
  readonly width: number;
  readonly height: number;
  /** Outer ones first. */
  readonly boxes: readonly ChartBox[];
  readonly arcs: readonly ChartArc[];
}

const HEAD = 34;
const LINE = 19;
const FOOT = 8;
const GAP = 12;
const PADDING = 10;
/** Room for arcs at the right of siblings. */
const ARC_ROOM = 34;
const ARC_STEP = 6;
const MAX_LINES = 6;

/** The root itself is not drawn: its own transitions hold in every state and are told apart. */
export function layoutChart(root: MachineState, width: number): ChartLayout {
  const boxes: ChartBox[] = [];
  const arcs: ChartArc[] = [];
  const height = placeSiblings(root, 0, 0, width, boxes, arcs);
  return { width, height, boxes, arcs };
}

/** @returns The height that the children of `parent` take. */
function placeSiblings(
  parent: MachineState,
  x: number,
  y: number,
  width: number,
  boxes: ChartBox[],
  arcs: ChartArc[],
): number {
  if (parent.states.length === 0) return 0;
  const room = parent.states.some((state) => state.transitions.length > 0) ? ARC_ROOM : 0;
  const siblings = new Map<string, ChartBox>();
  let top = y;
  for (const state of inOrder(parent)) {
    const box = placeBox(state, x, top, width - room, boxes, arcs);
    siblings.set(state.id, box);
    top += box.height + GAP;
  }
  arcs.push(...arcsOf(siblings, x + width - room));
  return top - GAP - y;
}

function placeBox(
  state: MachineState,
  x: number,
  y: number,
  width: number,
  boxes: ChartBox[],
  arcs: ChartArc[],
): ChartBox {
  const lines = state.transitions.slice(0, MAX_LINES);
  const more = state.transitions.length - lines.length;
  const own = HEAD + (lines.length + (more > 0 ? 1 : 0)) * LINE + (lines.length > 0 ? FOOT : 0);
  const place = boxes.length;
  // Kept free for this box, so that outer ones come first and are painted below.
  const box: ChartBox = { state, x, y, width, height: own, lines, more };
  boxes.push(box);
  const inner = placeSiblings(state, x + PADDING, y + own, width - 2 * PADDING, boxes, arcs);
  const whole = { ...box, height: own + (inner === 0 ? 0 : inner + PADDING) };
  boxes[place] = whole;
  return whole;
}

/** The initial state, then those that can be reached from it, in that order; then the rest. */
export function inOrder(parent: MachineState): MachineState[] {
  const byId = new Map(parent.states.map((state) => [state.id, state]));
  const first = parent.states.find(({ key }) => key === parent.initial) ?? parent.states[0];
  const ordered = new Set<MachineState>(first === undefined ? [] : [first]);
  for (const state of ordered) {
    for (const { targets } of state.transitions) {
      for (const target of targets) {
        const next = byId.get(target);
        if (next !== undefined) ordered.add(next);
      }
    }
  }
  const finals = [...ordered].filter(({ type }) => type === "final");
  const others = [...ordered].filter(({ type }) => type !== "final");
  const rest = parent.states.filter((state) => !ordered.has(state));
  return [...others, ...finals, ...rest];
}

function arcsOf(siblings: ReadonlyMap<string, ChartBox>, right: number): ChartArc[] {
  const order = [...siblings.keys()];
  const pairs = new Set<string>();
  const arcs: ChartArc[] = [];
  for (const [id, box] of siblings) {
    for (const target of box.state.transitions.flatMap(({ targets }) => targets)) {
      const to = siblings.get(target);
      const key = `${id}>${target}`;
      if (to === undefined || to === box || pairs.has(key)) continue;
      pairs.add(key);
      const distance = Math.abs(order.indexOf(target) - order.indexOf(id));
      const isBack = to.y < box.y;
      const out = Math.min(ARC_ROOM - 6, 8 + distance * ARC_STEP);
      const from = box.y + (isBack ? 12 : Math.min(box.height - 8, 24));
      const end = to.y + (isBack ? 24 : 12);
      const path = `M${right} ${from}C${right + out * 1.3} ${from} ${right + out * 1.3} ${end} ${right + 3} ${end}`;
      arcs.push({ key, path, isBack });
    }
  }
  return arcs;
}
