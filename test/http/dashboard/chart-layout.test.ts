import { describe, expect, test } from "vitest";
import { layoutChart } from "../../../http/dashboard/chart-layout.ts";
import type { MachineState } from "../../../runtime/system.ts";

function state(
  key: string,
  leadsTo: readonly string[] = [],
  states: readonly MachineState[] = [],
): MachineState {
  return {
    id: key,
    key,
    type: states.length > 0 ? "compound" : "atomic",
    active: key === "b",
    entry: [],
    exit: [],
    invokes: [],
    transitions: leadsTo.map((target) => ({
      event: `to ${target}`,
      targets: [target],
      actions: [],
    })),
    states,
    ...(states[0] === undefined ? {} : { initial: states[0].key }),
  };
}

/** The vertical part of each arrow: where it is, and from where to where. */
function rails(root: MachineState, width = 350) {
  return layoutChart(root, width).arrows.map(({ key, path, isActive }) => {
    const [from = 0, x = 0, to = 0] = (/ ([\d.]+)H([\d.]+)V([\d.]+)/.exec(path) ?? [])
      .slice(1)
      .map(Number);
    return {
      key,
      target: key.split(" ").at(-1),
      x,
      top: Math.min(from, to),
      end: Math.max(from, to),
      isActive,
    };
  });
}

const chart = state(
  "root",
  [],
  [state("a", ["b", "c", "d"]), state("b", ["a", "c", "b"]), state("c", ["a", "d"]), state("d")],
);

describe("layoutChart()", () => {
  test("draws one arrow for each transition to a sibling, those that can be taken now last", () => {
    const arrows = rails(chart);
    expect(arrows.map(({ key }) => key)).toEqual([
      "a 0 b",
      "a 1 c",
      "a 2 d",
      "c 0 a",
      "c 1 d",
      "b 0 a",
      "b 1 c",
    ]);
    expect(arrows.filter(({ isActive }) => isActive).map(({ key }) => key)).toEqual([
      "b 0 a",
      "b 1 c",
    ]);
  });

  test("arrows to one state share a rail; rails of two states never lie on each other", () => {
    const arrows = rails(chart);
    for (const one of arrows) {
      for (const other of arrows) {
        if (one.target === other.target) expect(one.x).toBe(other.x);
        else if (one.x === other.x) {
          expect(one.end <= other.top || other.end <= one.top, `${one.key} and ${other.key}`).toBe(
            true,
          );
        }
      }
    }
  });

  test("boxes and rails stay inside of the sheet", () => {
    const { boxes, width } = layoutChart(chart, 350);
    expect(width).toBe(350);
    for (const box of boxes) expect(box.x + box.width).toBeLessThanOrEqual(width);
    for (const { x } of rails(chart)) expect(x).toBeLessThan(width);
  });

  test("a deep chart is wider than a phone rather than too narrow to read", () => {
    const pair = (key: string, inner: readonly MachineState[] = []) => [
      state(`${key}1`, [`${key}2`], inner),
      state(`${key}2`, [`${key}1`]),
    ];
    const deep = state("root", [], pair("x", pair("y", pair("z", pair("v")))));
    const { boxes, width } = layoutChart(deep, 300);
    expect(width).toBeGreaterThan(300);
    for (const box of boxes) expect(box.width).toBeGreaterThanOrEqual(190);
  });

  test("a chart without states takes no room", () => {
    expect(layoutChart(state("root"), 300)).toMatchObject({ height: 0, boxes: [], arrows: [] });
  });
});
