/**
 * Actors as the page knows them: tree, incidents, the one that is looked at, and how closely all are watched.
 *
 * @module
 */

import { computed, effect, signal } from "@preact/signals";
import type {
  ActorView,
  IncidentView,
  InspectionMode,
  InspectionStatus,
  MachineView,
  Page,
} from "../../runtime/system.ts";
import { ApiError, getJson, postJson } from "./api.ts";
import { connection, notice, place } from "./store.ts";

/** The tree is asked for; it would change too often to be pushed. */
const TREE_EVERY_MS = 2_000;
const MACHINE_EVERY_MS = 1_000;
const INCIDENTS = 20;

/** Actors below it are runs and their tasks, whose statecharts outlive them. */
const RUNS = "/root/workflows/";

/** Of the last actor that is not in the tree, once it was asked for. */
let asked: string | undefined;

export const actorTree = signal<ActorView | null>(null);
export const incidents = signal<readonly IncidentView[]>([]);
export const inspection = signal<InspectionStatus | null>(null);
/** Undefined while it is read; null for an actor without statechart, and for one that nobody knows. */
export const machine = signal<MachineView | null | undefined>(undefined);

async function readActors(): Promise<void> {
  const [tree, page, status] = await Promise.all([
    getJson<ActorView>("/actors"),
    getJson<Page<IncidentView>>(`/incidents?limit=${INCIDENTS}`),
    getJson<InspectionStatus>("/inspection"),
  ]);
  actorTree.value = tree;
  incidents.value = page.items;
  inspection.value = status;
}

/** Asked for only where the tree says that there is one; of a run that has ended once, as it stays so. */
async function readMachine(address: string): Promise<void> {
  if (actorTree.value === null) return;
  const actor = findActor(actorTree.value, address);
  if (actor === undefined && machine.value !== undefined && asked === address) return;
  asked = actor === undefined ? address : undefined;
  const isKnown = actor?.machineId !== undefined;
  if (!isKnown && (actor !== undefined || !address.startsWith(RUNS))) {
    machine.value = null;
    return;
  }
  let read: MachineView | null;
  try {
    read = await getJson<MachineView>(`/actors/${encodeURIComponent(address)}/machine`);
  } catch (error) {
    // It has ended between the two answers.
    if (!(error instanceof ApiError) || error.code !== "NOT_FOUND") throw error;
    read = null;
  }
  if (place.value.actor === address) machine.value = read;
}

export function findActor(tree: ActorView | null, address: string): ActorView | undefined {
  if (tree === null || tree.address === address) return tree ?? undefined;
  for (const child of tree.children) {
    const found = findActor(child, address);
    if (found !== undefined) return found;
  }
  return undefined;
}

export async function setInspection(mode: InspectionMode): Promise<void> {
  try {
    inspection.value = await postJson<InspectionStatus>("/inspection", { mode });
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    notice.value = { tone: "bad", text: error.message };
  }
}

/** Runs `read` now and then, one at a time, while somebody looks. */
export function poll(read: () => Promise<void>, everyMs: number): () => void {
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const round = async (): Promise<void> => {
    try {
      if (!document.hidden && connection.peek() === "live") await read();
    } catch (error) {
      // A server that is away is told of by the connection; what else it refuses is tried again.
      if (!(error instanceof ApiError)) throw error;
    } finally {
      if (!ended) timer = setTimeout(() => void round(), everyMs);
    }
  };
  void round();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}

/** Called once. */
export function startActors(): void {
  effect(() => {
    if (connection.value === "live") return poll(readActors, TREE_EVERY_MS);
    return undefined;
  });
  const address = computed(() => place.value.actor);
  effect(() => {
    const actor = address.value;
    machine.value = undefined;
    if (actor === undefined) return undefined;
    return poll(() => readMachine(actor), MACHINE_EVERY_MS);
  });
}
