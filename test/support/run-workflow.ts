/**
 * Runs a workflow's tasks one after the other in the test's own process: real actions on a real
 * database, without engine, threads and retries. Inputs and outputs cross as JSON, as they do in a run.
 *
 * @module
 */

import type { Sql } from "postgres";
import type { AgentDefinition } from "../../actors/define-agent.ts";
import type { StageDefinition } from "../../actors/define-workflow.ts";
import type { AgentContext } from "../../actors/ports.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";
import { resolve } from "../../machines/run/values.ts";
import { type Bus, createBus } from "../../runtime/bus/bus.ts";
import { type Coordination, createCoordination } from "../../runtime/bus/coordination.ts";
import { createAgentContext } from "./agent-context.ts";

export interface Messages {
  readonly topic: string;
  readonly body: Json;
}

export interface TestSystem {
  readonly bus: Bus;
  readonly coordination: Coordination;
  /** Everything that was published. */
  readonly messages: readonly Messages[];
  /** Runs one action with parsed input and output. */
  call(
    agent: string,
    action: string,
    input: Json,
    overrides?: Partial<AgentContext>,
  ): Promise<Json>;
}

/** Needs the coordination tables in the database of `sql`. */
export function createTestSystem(sql: Sql, agents: readonly AgentDefinition[]): TestSystem {
  const messages: Messages[] = [];
  const bus = createBus({
    callAgent: (agent, action, input) => call(agent, action, input),
    onPublish: (topic, body) => messages.push({ topic, body }),
  });
  const budget = { cpu: 2, memoryMb: 4_096 };
  const nominal = { cpu: 12, memoryMb: 20_480 };
  const coordination = createCoordination({ sql, bus, nodeId: "test", budget, nominal });

  async function call(
    agent: string,
    action: string,
    input: Json,
    overrides: Partial<AgentContext> = {},
  ): Promise<Json> {
    const capability = agents.find((one) => one.name === agent)?.capabilities[action];
    if (capability === undefined) {
      throw new AgentError("ACTION_UNKNOWN", `Cannot call ${agent}.${action}: there is none`);
    }
    const ctx = createAgentContext(sql, { agent, action, bus, coordination, ...overrides });
    const result = await capability.run(ctx, capability.input.parse(input));
    return JSON.parse(JSON.stringify(capability.output.parse(result))) as Json;
  }
  return { bus, coordination, messages, call };
}

/** Outputs by task key. `outputs` holds those of earlier stages and is added to. */
export async function runStage(
  system: TestSystem,
  stage: StageDefinition,
  outputs: Map<string, Json>,
  params: Readonly<Record<string, Json>> = {},
  overrides: Partial<AgentContext> = {},
): Promise<void> {
  const open = new Map(Object.entries(stage.tasks));
  while (open.size > 0) {
    const ready = [...open].find(([, task]) => (task.after ?? []).every((key) => !open.has(key)));
    if (ready === undefined) throw new Error("Cannot run the stage: its tasks wait in a circle");
    const [key, task] = ready;
    const [agent = "", action = ""] = (task.do ?? "").split(".");
    const scope = { input: params, output: (name: string) => outputs.get(name) };
    const idempotencyKey = `${overrides.workflowId ?? "wf-test"}/${key}`;
    const of = { ...overrides, taskKey: key, idempotencyKey };
    const call = (more: { readonly item?: Json; readonly index?: number }) =>
      system.call(agent, action, resolve(task.with ?? {}, { ...scope, ...more }), of);
    if (task.forEach === undefined) outputs.set(key, await call({}));
    else {
      const results: Json[] = [];
      for (const [index, item] of (resolve(task.forEach, scope) as readonly Json[]).entries()) {
        results.push(await call({ item, index }));
      }
      outputs.set(key, results);
    }
    open.delete(key);
  }
}
