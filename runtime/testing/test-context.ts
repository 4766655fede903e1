/**
 * What an action gets in a workflow test: the clock is the test's, and what needs a server says so.
 *
 * @module
 */

import type { AgentContext, Log, TaskTime } from "../../actors/ports.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";
import { checkJson } from "../../machines/json.ts";
import type { VirtualCall } from "../../machines/virtual/virtual-run.ts";
import type { TestContext } from "./test-agents.ts";

/** What only a real node has. A test that needs it passes its own. */
export type TestServices = Partial<
  Pick<AgentContext, "bus" | "coordination" | "host" | "log" | "sql">
>;

export interface ContextOptions {
  readonly call: VirtualCall;
  readonly services: TestServices;
  readonly signal: AbortSignal;
  readonly lastCheckpoint: Json | undefined;
  nowMs(): number;
  taskTimes(): readonly TaskTime[];
  checkpoint(data: Json): void;
  /** What the action spent, by unit. */
  readonly spent: Map<string, number>;
}

const silent: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

export function testContext(options: ContextOptions): TestContext {
  const { call, lastCheckpoint, nowMs, services, signal, spent } = options;
  const { action, agent, attempt, taskKey, workflowId } = call;
  const missing = (name: keyof TestServices): never => {
    throw new AgentError(
      "NO_SERVICE",
      `Cannot use ctx.${name} in ${agent}.${action}: a workflow test has none; pass services: { ${name}: … }, or stub the action`,
    );
  };
  return {
    agent,
    action,
    workflowId,
    taskKey,
    attempt,
    idempotencyKey: `${workflowId}/${taskKey}`,
    signal,
    log: services.log ?? silent,
    clock: { now: () => new Date(nowMs()), monotonicMs: nowMs },
    get bus() {
      return services.bus ?? missing("bus");
    },
    get coordination() {
      return services.coordination ?? missing("coordination");
    },
    get host() {
      return services.host ?? missing("host");
    },
    get sql() {
      return services.sql ?? missing("sql");
    },
    transaction: () => noDatabase(call),
    heartbeat: () => undefined,
    checkpoint: async (data) => {
      const checked = checkJson(data);
      if (checked.type === "json") return options.checkpoint(checked.value);
      const message = `Cannot checkpoint: "${checked.path}" is ${checked.found}, must be JSON`;
      throw new AgentError("CHECKPOINT_INVALID", message);
    },
    lastCheckpoint,
    taskTimes: async () => options.taskTimes(),
    spend: (unit, amount) => {
      if (!(amount >= 0) || amount === Number.POSITIVE_INFINITY) {
        const message = `Cannot count what was spent: ${String(amount)} ${unit} is no amount`;
        throw new AgentError("SPENDING_INVALID", message);
      }
      spent.set(unit, (spent.get(unit) ?? 0) + amount);
    },
  };
}

/** That it commits once per task is a promise of a real database. */
function noDatabase({ action, agent }: VirtualCall): never {
  throw new AgentError(
    "NO_SERVICE",
    `Cannot use ctx.transaction in ${agent}.${action}: a workflow test has no database; stub the action`,
  );
}
