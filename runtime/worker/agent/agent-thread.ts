/**
 * Entry of an agent's worker thread: an XState actor that runs the agent's attempts.
 *
 * @module
 */

import { isMainThread, workerData } from "node:worker_threads";
import { createActor, fromPromise } from "xstate";
import type { AgentDefinition } from "../../../actors/define-agent.ts";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { agentThreadMachine } from "../../../machines/agent-thread.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import { openCalls } from "../call/calls.ts";
import { runAttempt } from "./attempt.ts";
import type { ThreadServices } from "./attempt-context.ts";
import { loadAgent } from "./load-agent.ts";
import {
  type AttemptRequest,
  type HostApi,
  type ThreadApi,
  type ThreadData,
  turnIntervalMs,
} from "./thread-protocol.ts";

interface OpenAttempt {
  readonly request: AttemptRequest;
  readonly controller: AbortController;
  readonly answer: (outcome: AgentOutcome) => void;
}

/** The agent as an actor, and the methods that drive it. */
function serveAgent(definition: AgentDefinition, services: () => ThreadServices) {
  const open = new Map<string, OpenAttempt>();
  const actor = createActor(
    agentThreadMachine.provide({
      actors: {
        attempt: fromPromise<void, { readonly id: string }>(async ({ input: { id } }) => {
          const attempt = open.get(id);
          if (attempt === undefined) return;
          const { request, controller, answer } = attempt;
          answer(await runAttempt(definition, request, controller.signal, services()));
          open.delete(id);
          actor.send({ type: "attempt.ended", id });
        }),
      },
    }),
    { id: definition.name, input: { concurrency: definition.concurrency } },
  );
  const methods: ThreadApi = {
    run: (request) => {
      const event = { type: "attempt.requested", id: request.id } as const;
      const snapshot = actor.getSnapshot();
      if (!snapshot.can(event)) return Promise.resolve(refuse(definition, String(snapshot.value)));
      return new Promise((answer) => {
        open.set(request.id, { request, controller: new AbortController(), answer });
        actor.send(event);
      });
    },
    abort: (id, reason) => open.get(id)?.controller.abort(new AgentError("ABORTED", reason)),
    drain: () => actor.send({ type: "agent.drain" }),
  };
  return { actor, methods };
}

function refuse(definition: AgentDefinition, state: string): AgentOutcome {
  const { name, concurrency } = definition;
  const error =
    state === "working"
      ? new AgentError("AGENT_BUSY", `Cannot run on ${name}: all ${concurrency} places are taken`, {
          retryable: true,
        })
      : new AgentError("AGENT_UNAVAILABLE", `Cannot run on ${name}: it is ${state}`, {
          retryable: true,
        });
  return { type: "failed", error: toErrorRecord(error) };
}

async function main(): Promise<void> {
  if (isMainThread) throw new Error("Cannot start an agent outside of a worker thread");
  const data = workerData as ThreadData;
  const turns = new Int32Array(data.turns);
  setInterval(() => Atomics.add(turns, 0, 1), turnIntervalMs);

  const definition = await loadAgent(data.moduleUrl, data.agentName);
  const { actor, methods } = serveAgent(definition, () => services);
  const host = openCalls<HostApi>(data.control, methods);
  const services: ThreadServices = {
    host,
    facts: data.host,
    database: data.database,
    clock: { now: () => new Date(), monotonicMs: () => performance.now() },
    post: (frame) => data.control.postMessage(frame),
  };
  actor.subscribe({
    complete: () => {
      // In the next turn of the loop, so that the answers of the last attempts leave first.
      setImmediate(() => process.exit(0));
    },
  });
  actor.start();
  services.post({ type: "ready" });
}

await main();
