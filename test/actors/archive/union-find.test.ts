/**
 * Sets of ids.
 *
 * @module
 */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compareIds, createUnionFind } from "../../../actors/archive/union-find.ts";

const edges = fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 60 });

describe("createUnionFind()", () => {
  it("gives the same sets in every order of joining, with the smallest id as root", () => {
    fc.assert(
      fc.property(edges, (pairs) => {
        const build = (order: readonly (readonly [number, number])[]) => {
          const sets = createUnionFind();
          for (const [a, b] of order) if (a !== b) sets.join(String(a), String(b));
          return sets.sets();
        };
        const forward = build(pairs);
        // Sets are listed in the order of their smallest ids, so the maps compare as they are.
        expect([...build(pairs.toReversed())]).toEqual([...forward]);
        for (const [root, members] of forward) {
          expect(members).toEqual([...members].sort(compareIds));
          expect(members[0]).toBe(root);
          expect(members.length).toBeGreaterThan(1);
        }
      }),
    );
  });

  it("orders ids as numbers", () => {
    expect(["10", "9", "100", "1"].sort(compareIds)).toEqual(["1", "9", "10", "100"]);
  });
});
