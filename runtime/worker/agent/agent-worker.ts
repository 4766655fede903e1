/**
 * Entry of an agent's worker: an XState actor that runs the agent's attempts.
 * Knows only the scope of a Deno worker, so that it runs in each isolation tier.
 *
 * @module
 */

import { createActor, fromPromise } from "xstate";
import type { AgentDefinition } from "../../../actors/define-agent.ts";
import type { AgentOutcome } from "../../../actors/ports.ts";
import { agentThreadMachine } from "../../../machines/agent-thread.ts";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import { openCalls } from "../call/calls.ts";
import { type Inspector, installInspector } from "../inspect/inspector.ts";
import { ungrantedEnvLooksUnset } from "../permissions/guard-env.ts";
import { openEventChannel } from "../remote/event-channel.ts";
import { runAttempt } from "./attempt.ts";
import type { WorkerServices } from "./attempt-context.ts";
import { loadAgent, loadModule } from "./load-agent.ts";
import { createReporter } from "./reporter.ts";
import type {
  Adoption,
  AttemptReport,
  AttemptRequest,
  HostApi,
  WorkerApi,
  WorkerSeed,
} from "./thread-protocol.ts";

interface OpenAttempt {
  readonly request: AttemptRequest;
  readonly controller: AbortController;
  readonly answer: (report: AttemptReport) => void;
}

type ServedAgent = Omit<WorkerApi, "adopt" | "preload">;

/** The agent as an actor, and the methods that drive it. */
function serveAgent(
  definition: AgentDefinition,
  services: WorkerServices,
  inspector: Inspector | undefined,
): ServedAgent {
  const open = new Map<string, OpenAttempt>();
  const actor = createActor(
    agentThreadMachine.provide({
      actors: {
        attempt: fromPromise<void, { readonly id: string }>(async ({ input: { id } }) => {
          const attempt = open.get(id);
          if (attempt === undefined) return;
          const { request, controller, answer } = attempt;
          const outcome = await runAttempt(definition, request, controller.signal, services);
          answer({ outcome, reported: services.reporter.flush() });
          open.delete(id);
          actor.send({ type: "attempt.ended", id });
        }),
      },
    }),
    { id: definition.name, input: { concurrency: definition.concurrency } },
  );
  actor.subscribe({
    complete: () => {
      // In the next turn of the loop, so that the answers of the last attempts leave first.
      setTimeout(() => globalThis.close(), 0);
    },
  });
  inspector?.watch(actor, `/root/agents/${definition.name}/thread`);
  actor.start();
  return {
    run: (request) => {
      const event = { type: "attempt.requested", id: request.id } as const;
      const snapshot = actor.getSnapshot();
      if (!snapshot.can(event)) {
        const outcome = refuse(definition, String(snapshot.value));
        return Promise.resolve({ outcome, reported: 0 });
      }
      return new Promise((answer) => {
        open.set(request.id, { request, controller: new AbortController(), answer });
        actor.send(event);
      });
    },
    abort: (id, reason) => open.get(id)?.controller.abort(new AgentError("ABORTED", reason)),
    drain: () => actor.send({ type: "agent.drain" }),
  };
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

function begin({ control, events, incarnation, pulse, inspector: seed }: WorkerSeed): void {
  const inspector = seed === undefined ? undefined : installInspector(seed);
  let agent: ServedAgent | undefined;
  const served = (): ServedAgent => {
    if (agent !== undefined) return agent;
    throw new AgentError("NOT_ADOPTED", "Cannot run an attempt: this worker has no agent yet");
  };
  const channel = openEventChannel({ port: events, incarnation, onFrame: () => undefined });
  const reporter = createReporter(channel);
  const counter = pulse === undefined ? undefined : new Int32Array(pulse);
  const host = openCalls<HostApi>(control, {
    preload: async (moduleUrl: string): Promise<void> => {
      await loadModule(moduleUrl);
    },
    adopt: async ({ moduleUrl, agentName, database, host: facts }: Adoption): Promise<void> => {
      const definition = await loadAgent(moduleUrl, agentName);
      const services: WorkerServices = {
        host,
        facts,
        ...(database === undefined ? {} : { database }),
        reporter,
        clock: { now: () => new Date(), monotonicMs: () => performance.now() },
        beat: () => {
          if (counter !== undefined) Atomics.add(counter, 0, 1);
        },
      };
      agent = serveAgent(definition, services, inspector);
    },
    run: (request: AttemptRequest) => served().run(request),
    abort: (id: string, reason: string) => served().abort(id, reason),
    drain: () => {
      // A worker without an agent has nothing to wait for.
      if (agent === undefined) globalThis.close();
      else agent.drain();
    },
  });
}

ungrantedEnvLooksUnset();
globalThis.addEventListener("message", (event) => begin(event.data as WorkerSeed), { once: true });
