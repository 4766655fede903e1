/**
 * Everything that we use of XState beyond its documented interface, in one place:
 * scheduled events, names of invoked logic, limits of a machine, the relay of an actor to itself.
 * `test/runtime/worker/remote/xstate-adapter.test.ts` is the contract; run it on each new version.
 *
 * @module
 */

import { createHash } from "node:crypto";
import type {
  AnyActorLogic,
  AnyActorRef,
  AnyEventObject,
  AnyStateMachine,
  EventObject,
} from "xstate";
import { AgentError } from "../../../machines/error-code.ts";

/** Microsteps of one event: an `always` loop ends as an error instead of hanging the thread. */
export const maxMicrosteps = 10_000;
/** Node's timers overflow above this and fire at once. */
const longestTimeoutMs = 2 ** 31 - 1;

/** A delayed event of an actor; actors are named by their path from the root, which is "". */
export interface ScheduledEvent {
  readonly id: string;
  readonly event: EventObject;
  readonly delayMs: number;
  /** Epoch ms. */
  readonly dueMs: number;
  readonly source: string;
  readonly target: string;
}

interface Scheduled {
  readonly id: string;
  readonly event: EventObject;
  readonly startedAt: number;
  readonly delay: number;
  readonly source: AnyActorRef;
  readonly target: AnyActorRef;
}

interface SystemInside {
  getSnapshot(): { readonly _scheduledEvents: Readonly<Record<string, Scheduled>> };
  readonly scheduler: {
    schedule(
      source: AnyActorRef,
      target: AnyActorRef,
      event: EventObject,
      delayMs: number,
      id: string,
    ): void;
  };
}

/**
 * What is scheduled in the whole system of `root`.
 * @throws {AgentError} `TIMER_NOT_DURABLE` for an actor that no restart would find again.
 */
export function scheduledEvents(root: AnyActorRef): ScheduledEvent[] {
  const system = root.system as unknown as SystemInside;
  const scheduled = Object.values(system.getSnapshot()._scheduledEvents);
  if (scheduled.length === 0) return [];
  const paths = new Map([...actorsOf(root)].map(([path, actor]) => [actor, path]));
  return scheduled.map(({ id, event, startedAt, delay, source, target }) => {
    const [from, to] = [paths.get(source), paths.get(target)];
    if (from === undefined || to === undefined) {
      const message = `Cannot keep the delayed event "${event.type}": its actor is no child of ${root.id}`;
      throw new AgentError("TIMER_NOT_DURABLE", message);
    }
    return { id, event, delayMs: delay, dueMs: startedAt + delay, source: from, target: to };
  });
}

/** Schedules it again, so that leaving the state cancels it as ever. False when its actors are gone. */
export function reschedule(
  root: AnyActorRef,
  timer: Pick<ScheduledEvent, "id" | "event" | "source" | "target">,
  delayMs: number,
): boolean {
  const actors = actorsOf(root);
  const [source, target] = [actors.get(timer.source), actors.get(timer.target)];
  if (source === undefined || target === undefined) return false;
  const { scheduler } = root.system as unknown as SystemInside;
  scheduler.schedule(source, target, timer.event, delayMs, timer.id);
  return true;
}

/** The root under "", its children under their ids, theirs under `child/grandchild`. */
export function actorsOf(root: AnyActorRef): Map<string, AnyActorRef> {
  const found = new Map<string, AnyActorRef>();
  const visit = (path: string, actor: AnyActorRef): void => {
    found.set(path, actor);
    const { children } = actor.getSnapshot() as { children?: Record<string, AnyActorRef> };
    for (const [id, child] of Object.entries(children ?? {})) {
      const name = encodeURIComponent(id);
      visit(path === "" ? name : `${path}/${name}`, child);
    }
  };
  visit("", root);
  return found;
}

/** A clock for `createActor` whose timeouts may be longer than 24 days. */
export const longClock = {
  setTimeout: (run: (...args: unknown[]) => void, delayMs: number): { stop(): void } => {
    let timer: NodeJS.Timeout;
    const arm = (leftMs: number): void => {
      const nowMs = Math.min(leftMs, longestTimeoutMs);
      timer = setTimeout(() => (leftMs > nowMs ? arm(leftMs - nowMs) : run()), nowMs);
    };
    arm(delayMs);
    return { stop: () => clearTimeout(timer) };
  },
  clearTimeout: (timer: { stop(): void } | undefined): void => timer?.stop(),
};

/** The machine and all that it names, each once. */
function machinesOf(
  machine: AnyStateMachine,
  found = new Set<AnyStateMachine>(),
): Set<AnyStateMachine> {
  if (found.has(machine)) return found;
  found.add(machine);
  for (const logic of Object.values(machine.implementations.actors)) {
    if (isMachine(logic)) machinesOf(logic, found);
  }
  return found;
}

function isMachine(logic: unknown): logic is AnyStateMachine {
  return (
    typeof logic === "object" && logic !== null && "root" in logic && "implementations" in logic
  );
}

/** Gives the machine, and those that it names, a bound of microsteps where it has none. */
export function limitMicrosteps(machine: AnyStateMachine): void {
  for (const each of machinesOf(machine)) {
    const { options } = each as unknown as { options: { maxIterations?: number } };
    if (!Number.isFinite(options.maxIterations)) options.maxIterations = maxMicrosteps;
  }
}

interface NodeInside {
  readonly id: string;
  readonly type: string;
  readonly states: Readonly<Record<string, NodeInside>>;
  readonly invoke: readonly { readonly id: string; readonly src: unknown }[];
}

function nodesOf(node: NodeInside): NodeInside[] {
  return [node, ...Object.values(node.states).flatMap(nodesOf)];
}

function rootOf(machine: AnyStateMachine): NodeInside {
  return machine.root as unknown as NodeInside;
}

/**
 * Every invoke must name its logic: XState names inline ones by their index, so that reordering them
 * would give one the state of another.
 * @throws {AgentError} `ACTOR_NOT_DURABLE`.
 */
export function refuseInlineInvokes(machine: AnyStateMachine): void {
  for (const each of machinesOf(machine)) {
    for (const node of nodesOf(rootOf(each))) {
      const inline = node.invoke.find(
        ({ src }) => typeof src !== "string" || src.startsWith("xstate.invoke."),
      );
      if (inline === undefined) continue;
      const message = `Cannot keep the actor "${inline.id}" of state "${node.id}": its logic has no name, list it in setup({ actors })`;
      throw new AgentError("ACTOR_NOT_DURABLE", message);
    }
  }
}

/** Changes when a state node, its type, or what it invokes changes, in the machine or in one that it names. */
export function machineHash(machine: AnyStateMachine): string {
  const facts = [...machinesOf(machine)].map((each) =>
    nodesOf(rootOf(each))
      .map(({ id, type, invoke }) => [id, type, ...invoke.map((entry) => [entry.id, entry.src])])
      .map((fact) => JSON.stringify(fact))
      .sort(),
  );
  return createHash("sha256").update(JSON.stringify(facts)).digest("hex").slice(0, 32);
}

interface PersistedChild {
  readonly src: unknown;
  readonly snapshot: unknown;
}

/** Children whose logic the machine does not know: XState would leave them out silently. */
export function unknownChildren(machine: AnyStateMachine, persisted: unknown, path = ""): string[] {
  const { children } = (persisted ?? {}) as { children?: Record<string, PersistedChild> };
  return Object.entries(children ?? {}).flatMap(([id, { src, snapshot }]) => {
    const here = path === "" ? id : `${path}/${id}`;
    const logic = typeof src === "string" ? namedLogic(machine, src) : undefined;
    if (logic === undefined) return [`${here} (src ${JSON.stringify(src)})`];
    return isMachine(logic) ? unknownChildren(logic, snapshot, here) : [];
  });
}

function namedLogic(machine: AnyStateMachine, src: string): AnyActorLogic | undefined {
  return machine.implementations.actors[src] as AnyActorLogic | undefined;
}

/**
 * The snapshot with all children. The production build of XState keeps inline children as code.
 * @throws {AgentError} `ACTOR_NOT_DURABLE`.
 */
export function persistedSnapshot(root: AnyActorRef): unknown {
  for (const [path, actor] of actorsOf(root)) {
    if (path === "" || typeof (actor as { src?: unknown }).src === "string") continue;
    const message = `Cannot keep the child "${path}": it was spawned from logic without a name, list it in setup({ actors })`;
    throw new AgentError("ACTOR_NOT_DURABLE", message);
  }
  return root.getPersistedSnapshot();
}

/** True for a live actor, which must not end in a stored value. */
export function isActorRef(value: object): boolean {
  return "sessionId" in value && "send" in value && "getSnapshot" in value;
}

/** Sends an actor's own event to it, as XState's own logics do, so that inspection sees the source. */
export function sendToSelf(self: AnyActorRef, event: AnyEventObject): void {
  const system = self.system as unknown as {
    _relay(source: AnyActorRef, target: AnyActorRef, event: EventObject): void;
  };
  system._relay(self, self, event);
}
