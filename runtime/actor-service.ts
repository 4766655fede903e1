/**
 * What people and programs see of the actors of this node: tree, statecharts, incidents, dead letters.
 *
 * @module
 */

import type { AgentState, Log } from "../actors/ports.ts";
import type { Database } from "../db/database.ts";
import { createDeadLetterRepo } from "../db/dead-letter-repo.ts";
import { createIncidentRepo } from "../db/incident-repo.ts";
import type { Json } from "../machines/error-code.ts";
import { publicTransition } from "./inspection-feed.ts";
import type { NodeParts } from "./node/context.ts";
import { type Resent, whyNotSent } from "./replay-letter.ts";
import {
  type ActorsPort,
  type ActorView,
  type InspectionStatus,
  type MachineView,
  type Page,
  RequestError,
  type TreeView,
} from "./system.ts";
import { figuresOf } from "./views.ts";
import type { ActorRecord } from "./worker/inspect/frames.ts";
import type { InspectionHub } from "./worker/inspect/hub.ts";
import { markActive } from "./worker/inspect/machine-chart.ts";
import { createRedactor, snapshotLimits } from "./worker/inspect/redact.ts";
import type { ActorService } from "./worker/remote/actor-service.ts";
import type { RemoteSnapshot } from "./worker/remote/remote-actor.ts";
import { runActors, runMachine } from "./workflow-charts.ts";

const defaultPageSize = 50;
/** Id of the statechart in an agent's thread. */
const threadMachine = "agent-thread";

export interface ActorServiceOptions {
  readonly hub: InspectionHub;
  readonly parts: NodeParts;
  readonly tree: () => TreeView;
  readonly log: Log;
  /** Where a receiver of Stately's protocol connects. */
  readonly bridge: () => string | null;
  /** Sends a dead letter again. Absent: no actor takes any. */
  readonly resend?: (id: number) => Promise<Resent>;
}

export function createActorService(options: ActorServiceOptions): ActorsPort {
  const { hub, parts, log } = options;
  const redactor = createRedactor(hub.settings().secretNames);
  const db = (): Database => parts.database.current().db;
  const clean = (value: Json): Json => redactor.json(value, snapshotLimits);

  function tree(): ActorView {
    const states = parts.agents.isUp() ? parts.agents.current().states() : [];
    const agents = new Map(states.map((state) => [state.name, state]));
    const remotes = parts.actors.isUp() ? parts.actors.current() : undefined;
    const root = actorOf(options.tree(), "", { hub, agents, remotes });
    const withRuns = parts.workflows.isUp()
      ? addBelow(root, "/root/workflows", runActors(parts.workflows.current()))
      : root;
    return addInspected(withRuns, hub);
  }

  async function machine(address: string): Promise<MachineView | undefined> {
    const record = hub.find(address);
    if (record?.chart === undefined || record.definition === undefined) {
      return parts.workflows.isUp()
        ? await runMachine(parts.workflows.current(), address)
        : undefined;
    }
    // A thread that is busy does not say how its actor is; the chart is known all the same.
    const seen = await hub
      .look(record.session)
      .catch(() => ({ status: "unknown", value: null as Json }));
    return {
      address,
      machineId: record.machineId ?? "",
      value: seen.value,
      status: seen.status,
      root: markActive(record.chart, seen.value),
      definition: JSON.parse(record.definition) as Json,
      transitions: hub.recent(address).map(publicTransition),
    };
  }

  function inspection(): InspectionStatus {
    const { mode, actors } = hub.settings();
    return { mode, actors, ...hub.figures(), bridge: options.bridge() };
  }

  return {
    tree: async () => tree(),
    get: async (address) => findActor(tree(), address),
    machine,
    incidents: async ({ address, cursor, limit = defaultPageSize }) => {
      const page = { before: parseCursor(cursor), limit: limit + 1 };
      const rows = await createIncidentRepo(db()).list({ ...page, address });
      return pageOf(rows, limit, ({ atMs, detail, error, ...row }) => ({
        ...row,
        at: new Date(atMs).toISOString(),
        error: error === null ? null : (clean(error as unknown as Json) as unknown as typeof error),
        detail: clean(detail),
      }));
    },
    deadLetters: async ({ target, cursor, limit = defaultPageSize }) => {
      const page = { before: parseCursor(cursor), limit: limit + 1 };
      const rows = await createDeadLetterRepo(db()).list({ ...page, target });
      return pageOf(rows, limit, ({ atMs, event, ...row }) => ({
        ...row,
        at: new Date(atMs).toISOString(),
        event: clean(event),
      }));
    },
    replayDeadLetter: async (id, by) => {
      const [row] = await createDeadLetterRepo(db()).list({ before: id + 1, limit: 1 });
      if (row?.id !== id) throw new RequestError("NOT_FOUND", `Cannot find dead letter ${id}`);
      const resent = (await options.resend?.(id)) ?? "unknown-address";
      if (resent !== "sent") {
        const isSupervisor = findActor(tree(), row.target)?.kind === "supervisor";
        const why = whyNotSent(resent, isSupervisor);
        throw new RequestError(
          "CONFLICT",
          `Cannot replay dead letter ${id} to ${row.target}: ${why}`,
        );
      }
      log.info("dead letter replayed", { id, target: row.target, by: by.actor });
      const { atMs, event, ...rest } = row;
      return { ...rest, at: new Date(atMs).toISOString(), event: clean(event) };
    },
    inspection,
    inspect: (mode, address, by) => {
      if (address !== undefined && findActor(tree(), address) === undefined) {
        throw new RequestError(
          "NOT_FOUND",
          `Cannot inspect "${address}": there is no such actor, GET /api/v1/actors has all`,
        );
      }
      hub.setMode(mode, address);
      log.info("inspection changed", { mode, actor: address ?? "all", by: by.actor });
      return inspection();
    },
  };
}

interface Sources {
  readonly hub: InspectionHub;
  readonly agents: ReadonlyMap<string, AgentState>;
  readonly remotes: ActorService | undefined;
}

function actorOf(node: TreeView, above: string, sources: Sources): ActorView {
  const address = node.address ?? `${above}/${node.id}`;
  const { strategy, intensity, autoShutdown, significant } = node;
  const { restart, incarnation, lastError, status, restarts } = node;
  const machineId = sources.hub.find(address)?.machineId;
  const remote = sources.remotes?.host.get(address);
  const agent = above.endsWith("/agents") ? sources.agents.get(node.id) : undefined;
  return {
    address,
    id: node.id,
    kind: kindOf(node, machineId, remote),
    ...(strategy === undefined ? {} : { strategy }),
    ...(intensity === undefined ? {} : { intensity }),
    ...(autoShutdown === undefined ? {} : { autoShutdown }),
    ...(restart === undefined ? {} : { restart }),
    ...(significant === undefined ? {} : { significant }),
    status,
    restarts,
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(agent === undefined ? {} : agentFigures(agent)),
    ...(remote === undefined ? {} : remoteFigures(remote, sources.remotes?.mailbox(address))),
    ...(machineId === undefined ? {} : { machineId }),
    ...(lastError == null ? {} : { lastError }),
    children: node.children.map((child) => actorOf(child, address, sources)),
  };
}

function kindOf(
  { kind }: TreeView,
  machineId: string | undefined,
  remote: RemoteSnapshot | undefined,
): ActorView["kind"] {
  if (remote !== undefined) return "remote";
  return machineId === threadMachine ? "thread" : kind;
}

/** An agent's supervisor shows what its agent is like. */
function agentFigures(state: AgentState): Partial<ActorView> {
  const { health, inFlight, incarnation, lastError, threadId } = state;
  return {
    health,
    mailbox: inFlight,
    ...(incarnation === 0 ? {} : { incarnation }),
    ...figuresOf(state),
    ...(threadId === null ? {} : { threadId }),
    ...(lastError === null ? {} : { lastError }),
  };
}

function remoteFigures(remote: RemoteSnapshot, mailbox: number | undefined): Partial<ActorView> {
  const { incarnation, timers, workerId } = remote;
  return {
    timers,
    ...(mailbox === undefined ? {} : { mailbox }),
    ...(incarnation === 0 ? {} : { incarnation }),
    ...(workerId === undefined ? {} : { threadId: workerId }),
  };
}

/** Actors that no supervisor knows, below the one that is nearest to them in address. */
function addInspected(root: ActorView, hub: InspectionHub): ActorView {
  const records = [...hub.actors()].sort((a, b) => a.address.length - b.address.length);
  return records.reduce(
    (tree, record) =>
      findActor(tree, record.address) === undefined
        ? addBelow(tree, parentAddress(tree, record.address), [inspectedActor(record, hub)])
        : tree,
    root,
  );
}

function parentAddress(tree: ActorView, address: string): string {
  for (let path = address; path !== ""; path = path.slice(0, path.lastIndexOf("/"))) {
    if (path !== address && findActor(tree, path) !== undefined) return path;
  }
  return tree.address;
}

function inspectedActor({ address, name, machineId }: ActorRecord, hub: InspectionHub): ActorView {
  return {
    address,
    id: name,
    kind: machineId === "agent" ? "agent" : machineId === threadMachine ? "thread" : "actor",
    // What is not heard of is as it was made; one that ended has said so.
    status: hub.recent(address).at(-1)?.status ?? "active",
    // Nobody restarts it on its own.
    restarts: 0,
    ...(machineId === undefined ? {} : { machineId }),
    children: [],
  };
}

function addBelow(tree: ActorView, address: string, children: readonly ActorView[]): ActorView {
  if (children.length === 0) return tree;
  if (tree.address === address) return { ...tree, children: [...tree.children, ...children] };
  if (!address.startsWith(`${tree.address}/`)) return tree;
  return { ...tree, children: tree.children.map((child) => addBelow(child, address, children)) };
}

function findActor(tree: ActorView, address: string): ActorView | undefined {
  if (tree.address === address) return tree;
  if (!address.startsWith(`${tree.address}/`)) return undefined;
  for (const child of tree.children) {
    const found = findActor(child, address);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** @throws {RequestError} `INVALID`. */
function parseCursor(cursor: string | undefined): number | undefined {
  if (cursor === undefined) return undefined;
  if (/^\d{1,15}$/.test(cursor)) return Number(cursor);
  throw new RequestError("INVALID", "Cannot page: check /cursor", [
    { pointer: "/cursor", detail: "must be a nextCursor of an earlier page" },
  ]);
}

/** @param rows One more than fits on the page, where there are more. */
function pageOf<Row extends { readonly id: number }, View>(
  rows: readonly Row[],
  limit: number,
  view: (row: Row) => View,
): Page<View> {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const nextCursor = rows.length > limit && last !== undefined ? String(last.id) : null;
  return { items: shown.map(view), nextCursor };
}
