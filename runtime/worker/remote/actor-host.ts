/**
 * Entry of the worker of a remote actor: imports the actor's module and runs its machine.
 *
 * The same file runs in a thread and in a process: it uses whatever port it finds.
 *
 * @module
 */

import { parentPort } from "node:worker_threads";
import { AgentError, toErrorRecord } from "../../../machines/error-code.ts";
import { type Inspector, installInspector } from "../inspect/inspector.ts";
import type { FirstMessage, FromWorker, StartBody, ToWorker } from "./actor-protocol.ts";
import { type ActorRunner, startRunner } from "./actor-runner.ts";
import { installActorScope } from "./actor-scope.ts";
import type { ActorDefinition } from "./define-actor.ts";
import { type ChannelPort, type EventChannel, openEventChannel } from "./event-channel.ts";
import { finalCodes } from "./restore-actor.ts";

/** Questions to the registry that may wait for their answer. */
const maxQuestions = 1_000;

const port = findPort();
const questions = new Map<number, (addresses: readonly string[]) => void>();
let channel: EventChannel | undefined;
let runner: ActorRunner | undefined;
let inspector: Inspector | undefined;
let asked = 0;

// The first message says which incarnation this is; frames follow.
const waiting: unknown[] = [];
let deliver = (data: unknown): void => {
  const { incarnation, inspector: seed } = data as FirstMessage;
  if (seed !== undefined) inspector = installInspector(seed);
  const opened: ChannelPort = {
    postMessage: (frame) => port.post(frame),
    on: (_, listener) => {
      deliver = listener;
    },
  };
  channel = openEventChannel({
    port: opened,
    incarnation,
    onFrame: ({ kind, body }) => take(kind as keyof ToWorker, body as ToWorker[keyof ToWorker]),
  });
};
port.listen((data) => deliver(data));

function take(kind: keyof ToWorker, body: ToWorker[keyof ToWorker]): void {
  switch (kind) {
    case "start":
      return void start(body as StartBody);
    case "events":
      if (runner === undefined) waiting.push(body);
      else runner.apply(body as ToWorker["events"]);
      return;
    case "committed":
      return runner?.committed(body as number);
    case "answer": {
      const { id, addresses } = body as ToWorker["answer"];
      questions.get(id)?.(addresses);
      questions.delete(id);
      return;
    }
    case "stop":
      if (runner === undefined) say("stopped", null);
      else runner.stop();
  }
}

function say<K extends keyof FromWorker>(kind: K, body: FromWorker[K]): void {
  channel?.send(kind, body);
}

async function start(body: StartBody): Promise<void> {
  try {
    installActorScope({
      address: `${body.address}#${body.incarnation}`,
      tell: (target, event) => {
        if (runner === undefined) throw notRunning();
        runner.tell(target, event);
      },
      lookup: async (name) => (await ask({ type: "lookup", name }))[0],
      members: (group) => ask({ type: "members", group }),
    });
    const definition = await findDefinition(body);
    const { progress } = body;
    runner = startRunner(definition, body, {
      commit: (commit) => say("commit", commit),
      failed: (failure) => {
        say("failed", failure);
        channel?.flush();
      },
      stopped: () => say("stopped", null),
      made: (actor) => void inspector?.watch(actor, body.address),
      progress:
        progress === undefined
          ? (seq) => {
              say("at", seq);
              channel?.flush();
            }
          : (seq) => {
              progress[0] = seq;
              if (seq !== 0) progress[1] = seq;
            },
    });
    say("ready", null);
    for (const events of waiting.splice(0)) runner.apply(events as ToWorker["events"]);
  } catch (error) {
    const record = toErrorRecord(error);
    say("failed", { seq: 0, error: record, final: finalCodes.has(record.code) });
    channel?.flush();
  }
}

async function findDefinition({ module, name }: StartBody): Promise<ActorDefinition> {
  const exported: Record<string, unknown> = await import(module);
  const found = Object.values(exported).find(
    (value): value is ActorDefinition =>
      typeof value === "object" &&
      value !== null &&
      (value as Partial<ActorDefinition>).name === name &&
      "machine" in value,
  );
  if (found !== undefined) return found;
  throw new AgentError(
    "ACTOR_UNKNOWN",
    `Cannot find actor "${name}": ${module} exports ${Object.keys(exported).join(", ") || "nothing"}`,
  );
}

function ask(question: FromWorker["ask"]["question"]): Promise<readonly string[]> {
  if (questions.size >= maxQuestions) {
    const message = `Cannot ask the registry: ${maxQuestions} questions wait for their answer`;
    throw new AgentError("REGISTRY_BUSY", message, { retryable: true });
  }
  asked += 1;
  const id = asked;
  return new Promise((resolve) => {
    questions.set(id, resolve);
    say("ask", { id, question });
  });
}

function notRunning(): AgentError {
  return new AgentError("NOT_AN_ACTOR", "Cannot send: the actor has not started yet");
}

interface ParentPort {
  post(data: unknown): void;
  listen(listener: (data: unknown) => void): void;
}

function findPort(): ParentPort {
  const scope = globalThis as unknown as {
    WorkerGlobalScope?: unknown;
    postMessage(data: unknown): void;
    addEventListener(type: "message", listener: (event: { data: unknown }) => void): void;
  };
  // Deno's scope, which our own `Worker` gives to every carrier.
  if (scope.WorkerGlobalScope !== undefined) {
    return {
      post: (data) => scope.postMessage(data),
      listen: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
    };
  }
  const thread = parentPort;
  if (thread === null) throw new Error("Cannot run an actor: there is no parent to talk to");
  return {
    post: (data) => thread.postMessage(data),
    listen: (listener) => thread.on("message", listener),
  };
}
