/**
 * Where the states of a statechart stand: one below the other, each with its transitions as lines, inner
 * states inside of outer ones. Each state that siblings lead to has one rail at their right, on which the
 * lines of all its transitions meet, so that no two arrows lie on each other.
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

/** From one line of a state to the state that it leads to. */
export interface ChartArrow {
  readonly key: string;
  /** SVG path data. */
  readonly path: string;
  /** It can be taken now. */
  readonly isActive: boolean;
}

export interface ChartLayout {
  /** At least what was asked for; more where the states would be too narrow to read. */
  readonly width: number;
  readonly height: number;
  /** Outer ones first. */
  readonly boxes: readonly ChartBox[];
  /** Those that can be taken now last, so that they are painted on top. */
  readonly arrows: readonly ChartArrow[];
}

const HEAD = 34;
/** From the top of a box to its first line, and to the middle of its name. */
const LINES_TOP = 30;
const NAME_MIDDLE = 18;
const LINE = 19;
const FOOT = 8;
const GAP = 12;
const PADDING = 10;
/** Between two rails, and from a box to the first one. */
const RAIL_STEP = 9;
const RAIL_START = 14;
const MAX_LINES = 6;
/** A box without inner states is at least so wide. */
const MIN_WIDTH = 190;

/** The root itself is not drawn: its own transitions hold in every state and are told apart. */
export function layoutChart(root: MachineState, width: number): ChartLayout {
  const sheet: Sheet = { boxes: [], arrows: [] };
  const whole = Math.max(width, widthOf(root) - 2 * PADDING);
  const height = placeSiblings(root, { x: 0, y: 0, width: whole }, sheet);
  const arrows = [...sheet.arrows].sort((a, b) => Number(a.isActive) - Number(b.isActive));
  return { width: whole, height, boxes: sheet.boxes, arrows };
}

interface Sheet {
  readonly boxes: ChartBox[];
  readonly arrows: ChartArrow[];
}

interface Place {
  readonly x: number;
  readonly y: number;
  readonly width: number;
}

/** What a box needs at least. */
function widthOf(state: MachineState): number {
  if (state.states.length === 0) return MIN_WIDTH;
  const inner = Math.max(...state.states.map(widthOf));
  return inner + railRoom(railsOf(inOrder(state))) + 2 * PADDING;
}

/** @returns The height that the children of `parent` take. */
function placeSiblings(parent: MachineState, { x, y, width }: Place, sheet: Sheet): number {
  const states = inOrder(parent);
  if (states.length === 0) return 0;
  const rails = railsOf(states);
  const right = width - railRoom(rails);
  const siblings = new Map<string, ChartBox>();
  let top = y;
  for (const state of states) {
    const box = placeBox(state, { x, y: top, width: right }, sheet);
    siblings.set(state.id, box);
    top += box.height + GAP;
  }
  sheet.arrows.push(...arrowsOf(siblings, rails, x + right));
  return top - GAP - y;
}

function placeBox(state: MachineState, { x, y, width }: Place, sheet: Sheet): ChartBox {
  const lines = state.transitions.slice(0, MAX_LINES);
  const more = state.transitions.length - lines.length;
  const own = HEAD + (lines.length + (more > 0 ? 1 : 0)) * LINE + (lines.length > 0 ? FOOT : 0);
  const place = sheet.boxes.length;
  // Kept free for this box, so that outer ones come first and are painted below.
  const box: ChartBox = { state, x, y, width, height: own, lines, more };
  sheet.boxes.push(box);
  const room = { x: x + PADDING, y: y + own, width: width - 2 * PADDING };
  const inner = placeSiblings(state, room, sheet);
  const whole = { ...box, height: own + (inner === 0 ? 0 : inner + PADDING) };
  sheet.boxes[place] = whole;
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

/** By target: which track, counted from the boxes, its rail is on. Rails that pass the same state are apart. */
function railsOf(states: readonly MachineState[]): ReadonlyMap<string, number> {
  const places = new Map(states.map(({ id }, place) => [id, place]));
  const spans = new Map<string, { first: number; last: number }>();
  for (const [place, { id, transitions }] of states.entries()) {
    for (const target of transitions.flatMap(({ targets }) => targets)) {
      const end = places.get(target);
      if (end === undefined || target === id) continue;
      const { first, last } = spans.get(target) ?? { first: end, last: end };
      spans.set(target, { first: Math.min(first, place), last: Math.max(last, place) });
    }
  }
  // Short ones next to the boxes, so that fewer lines cross them.
  const sorted = [...spans].sort(([, a], [, b]) => a.last - a.first - (b.last - b.first));
  const rails = new Map<string, number>();
  const taken: { first: number; last: number }[][] = [];
  for (const [target, span] of sorted) {
    const isFree = (track: (typeof sorted)[number][1][]): boolean =>
      track.every(({ first, last }) => last < span.first || span.last < first);
    const free = taken.findIndex(isFree);
    const track = free === -1 ? taken.length : free;
    (taken[track] ??= []).push(span);
    rails.set(target, track);
  }
  return rails;
}

function railRoom(rails: ReadonlyMap<string, number>): number {
  return rails.size === 0 ? 0 : RAIL_START + (Math.max(...rails.values()) + 1) * RAIL_STEP;
}

/** @param right Where the boxes end. */
function arrowsOf(
  siblings: ReadonlyMap<string, ChartBox>,
  rails: ReadonlyMap<string, number>,
  right: number,
): ChartArrow[] {
  return [...siblings].flatMap(([id, box]) =>
    box.state.transitions.flatMap(({ targets }, index) =>
      targets.flatMap((target): ChartArrow[] => {
        const to = siblings.get(target);
        const track = rails.get(target);
        if (to === undefined || track === undefined || to === box) return [];
        const from = box.y + LINES_TOP + (Math.min(index, MAX_LINES) + 0.5) * LINE;
        const rail = right + RAIL_START + track * RAIL_STEP;
        const path = `M${right} ${from}H${rail}V${to.y + NAME_MIDDLE}H${right + 2}`;
        return [{ key: `${id} ${index} ${target}`, path, isActive: box.state.active }];
      }),
    ),
  );
}
