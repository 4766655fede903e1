/**
 * Restricted workers try to get out, on every Node that SPECTRA supports, started as every worker of ours is.
 * `enforcement` must not promise more than holds, and not stay behind what Node has learned.
 *
 * @module
 */

import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { ensureBuilt } from "../../../support/build.ts";
import { nodeMajors, runNode } from "../../../support/nodes.ts";

const program = fileURLToPath(new URL("./programs/escape.mjs", import.meta.url));
const dist = fileURLToPath(new URL("../../../../dist", import.meta.url));
const timeoutMs = 120_000;
/** From here on Node's permission model knows the network. */
const netModelMajor = 25;

type Scenario = "control" | "none" | "lists" | "denials" | "programs" | "proc";

interface Outcome {
  readonly levels: Readonly<Record<string, string>>;
  readonly results: readonly (readonly [
    name: string,
    outcome: "escaped" | "refused" | "absent",
    detail: string,
  ])[];
  /** What the attempts left or took outside of the folder that they may write. */
  readonly added: readonly string[];
  readonly missing: readonly string[];
}

beforeAll(ensureBuilt, timeoutMs);

async function escapeFrom(scenario: Scenario, major: string): Promise<Outcome> {
  const env = { ...process.env, SPECTRA_SECRET: "secret" };
  const { code, stdout, stderr } = await runNode(major, [program, dist, scenario], { env });
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Outcome;
}

/** Attempts of these groups are known to succeed in places; all others never may. */
const isAttempt = (name: string): boolean => !/^(?:around|known)\./.test(name);

function escaped({ results }: Outcome, which: (name: string) => boolean): string[] {
  return results
    .filter(([name, outcome]) => outcome === "escaped" && which(name))
    .map(([name, , detail]) => `${name}: ${detail}`);
}

/** Permissions of which a way around the guards was found. */
function goneAround({ results }: Outcome): string[] {
  return results
    .filter(([name, outcome]) => outcome === "escaped" && name.startsWith("around."))
    .map(([name]) => name.slice("around.".length))
    .sort();
}

function softOf({ levels }: Outcome): string[] {
  return Object.keys(levels)
    .filter((name) => levels[name] === "soft")
    .sort();
}

describe.each(nodeMajors)("on Node %s", (major) => {
  const openNet = Number(major) < netModelMajor ? ["net"] : [];

  test.each<[Scenario, number, readonly string[]]>([
    ["none", 75, [...openNet, "sys"]],
    ["lists", 75, ["net", "sys"]],
    ["proc", 10, ["env", ...openNet, "sys"]],
    ["programs", 85, [...openNet, "sys"]],
  ])(
    "what is called hard holds, and what is called soft is: %s",
    async (scenario, least, soft) => {
      const outcome = await escapeFrom(scenario, major);
      expect(outcome.results.length).toBeGreaterThan(least);
      expect(escaped(outcome, isAttempt)).toEqual([]);
      expect(softOf(outcome)).toEqual(soft);
      expect(outcome.levels["run"]).toBe(scenario === "programs" ? "brokered" : "hard");
      expect(goneAround(outcome)).toEqual(soft);
      expect([outcome.added, outcome.missing]).toEqual([[], []]);
      // Paths are judged by name, see docs/permissions.md.
      const known = ["known.linkInGrantedFolder: secret", "known.openDescriptor: secret"];
      expect(escaped(outcome, (name) => name.startsWith("known."))).toEqual(
        scenario === "lists" ? known : [],
      );
    },
    timeoutMs,
  );

  test(
    "where nothing is forbidden, the same attempts succeed",
    async () => {
      const { results } = await escapeFrom("control", major);
      expect(results.length).toBeGreaterThan(50);
      expect(results.filter(([, outcome]) => outcome !== "escaped")).toEqual([]);
    },
    timeoutMs,
  );

  test(
    "what is denied stays denied where the rest is granted",
    async () => {
      const outcome = await escapeFrom("denials", major);
      expect(outcome.results.length).toBeGreaterThan(10);
      expect(escaped(outcome, isAttempt)).toEqual([]);
      expect(outcome.levels).toMatchObject({ read: "hard", env: "hard" });
    },
    timeoutMs,
  );
});
