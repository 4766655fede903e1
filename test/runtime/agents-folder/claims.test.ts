/** @module Tests of who provides which agent and workflow. */

import { describe, expect, test } from "vitest";
import type { AgentCard } from "../../../actors/define-agent.ts";
import { defineWorkflow } from "../../../actors/define-workflow.ts";
import { type Claims, claimNames } from "../../../runtime/agents-folder/claims.ts";
import type { LoadedModule } from "../../../runtime/agents-folder/load-module.ts";

const builtIn = { agents: new Set(["DIRECTOR"]), workflows: new Set(["phase1"]) };
const nothing: Claims = { agents: new Map(), workflows: new Map(), clashes: [] };

function moduleOf(file: string, agents: string[], workflows: string[] = []): LoadedModule {
  const card = { category: "custom", description: "", skills: [], concurrency: 1 };
  const rest = { resources: { cpu: 1, memoryMb: 64 }, permissions: {}, dependsOn: [] };
  return {
    file: `/agents/${file}`,
    url: `file:///cache/${file}`,
    agents: agents.map((name): AgentCard => ({ ...card, ...rest, name, capabilities: {} })),
    workflows: workflows.map((id) => defineWorkflow({ id, tasks: {} })),
  };
}

describe("claimNames", () => {
  test("gives every name to its module", () => {
    const claims = claimNames([moduleOf("a.ts", ["A", "B"]), moduleOf("b.ts", ["C"], ["album"])], {
      builtIn,
      current: nothing,
    });
    expect([...claims.agents.keys()]).toEqual(["A", "B", "C"]);
    expect(claims.workflows.get("album")?.file).toBe("/agents/b.ts");
    expect(claims.clashes).toEqual([]);
  });

  test("names both files when two want one name, and leaves the second's other agents", () => {
    const claims = claimNames([moduleOf("a.ts", ["A"]), moduleOf("b.ts", ["A", "B"])], {
      builtIn,
      current: nothing,
    });
    expect(claims.agents.get("A")?.file).toBe("/agents/a.ts");
    expect(claims.agents.get("B")?.file).toBe("/agents/b.ts");
    expect(claims.clashes).toEqual([
      '/agents/b.ts: agent "A" is already defined in /agents/a.ts; give one of them another name',
    ]);
  });

  test("never gives away what comes with SPECTRA", () => {
    const claims = claimNames([moduleOf("a.ts", ["DIRECTOR"], ["phase1"])], {
      builtIn,
      current: nothing,
    });
    expect([claims.agents.size, claims.workflows.size]).toEqual([0, 0]);
    expect(claims.clashes).toEqual([
      '/agents/a.ts: agent "DIRECTOR" is already defined by SPECTRA itself; give one of them another name',
      '/agents/a.ts: workflow "phase1" is already defined by SPECTRA itself; give one of them another name',
    ]);
  });

  test("lets the holder of a name keep it, also when a file comes that sorts before it", () => {
    const old = moduleOf("z.ts", ["A"], ["album"]);
    const current = claimNames([old], { builtIn, current: nothing });
    const claims = claimNames([moduleOf("a.ts", ["A"], ["album"]), old], { builtIn, current });
    expect(claims.agents.get("A")?.file).toBe("/agents/z.ts");
    expect(claims.workflows.get("album")?.file).toBe("/agents/z.ts");
    expect(claims.clashes).toHaveLength(2);
  });
});
