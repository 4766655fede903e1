/**
 * The store of actors that live as long as their node: same contract as `db/actor-repo.ts`.
 *
 * @module
 */

import type {
  ActorCommit,
  ActorRepo,
  Mail,
  NewMail,
  OutgoingMail,
  SavedActor,
  SavedTimer,
} from "../../../db/actor-repo.ts";
import { readAddress } from "../../../machines/address.ts";
import type { Json } from "../../../machines/error-code.ts";

interface Row {
  incarnation: number;
  saved: SavedActor;
  updatedMs: number;
  mail: Mail[];
  /** Newest `senderSeq` of each sender, the latest sender last. */
  readonly senders: Map<string, number>;
  timers: Map<string, SavedTimer & { dueMs: number }>;
}

/** Senders whose repeated events an actor recognises; those not heard of for longest are forgotten. */
export const rememberedSenders = 1_000;

const empty: SavedActor = {
  machineId: "",
  machineVersion: "",
  machineHash: "",
  format: 0,
  seq: 0,
  snapshot: null,
};

export function createMemoryStore(): ActorRepo {
  const rows = new Map<string, Row>();
  return {
    claim: async (address) => {
      const row = rows.get(address) ?? newRow();
      rows.set(address, row);
      row.incarnation += 1;
      const nowMs = Date.now();
      for (const timer of row.timers.values()) timer.dueMs = dueAgain(timer, row, nowMs);
      row.updatedMs = nowMs;
      return {
        incarnation: row.incarnation,
        saved: row.saved.format === 0 ? null : row.saved,
        timers: [...row.timers.values()]
          .map(({ dueMs, ...timer }) => ({ ...timer, dueInMs: dueMs - nowMs }))
          .sort((a, b) => a.dueInMs - b.dueInMs),
      };
    },
    append: async (address, mail) => {
      const row = rows.get(address);
      return row === undefined ? undefined : mail.map((item) => add(row, item));
    },
    pending: async (address, seq, limit) =>
      (rows.get(address)?.mail ?? []).filter((mail) => mail.seq > seq).slice(0, limit),
    commit: async (address, incarnation, change) => {
      const row = rows.get(address);
      if (row?.incarnation !== incarnation || row.saved.seq > change.saved.seq) {
        return { type: "fenced" };
      }
      write(row, change);
      const unknown: OutgoingMail[] = [];
      for (const send of change.sends) {
        const { path = "", incarnation } = readAddress(send.target) ?? {};
        const target = rows.get(path);
        const isMeant = incarnation === undefined || incarnation === target?.incarnation;
        if (target === undefined || !isMeant) unknown.push(send);
        else add(target, { sender: address, senderSeq: send.senderSeq, event: send.event });
      }
      return { type: "committed", unknown };
    },
    noteDeath: async (address, seq) => {
      const row = rows.get(address);
      const at = row?.mail.findIndex((mail) => mail.seq === seq) ?? -1;
      const found = row?.mail[at];
      if (row === undefined || found === undefined) return 0;
      row.mail[at] = { ...found, deaths: found.deaths + 1 };
      return found.deaths + 1;
    },
    homes: async (node) =>
      [...rows].flatMap(([address, { saved }]) => {
        const { home, state } = (saved.snapshot ?? {}) as {
          home?: { readonly node: string };
          state?: { readonly status?: string };
        };
        if (home?.node !== node || state?.status === "done") return [];
        return [{ address, home: home as Json }];
      }),
    release: async (address) => {
      const row = rows.get(address);
      if (row === undefined) return;
      const { home: _, ...snapshot } = Object(row.saved.snapshot) as { home?: Json };
      row.saved = { ...row.saved, snapshot };
    },
    remove: async (address) => {
      rows.delete(address);
    },
  };
}

function newRow(): Row {
  return {
    incarnation: 0,
    saved: empty,
    updatedMs: Date.now(),
    mail: [],
    senders: new Map(),
    timers: new Map(),
  };
}

function dueAgain(timer: SavedTimer & { dueMs: number }, row: Row, nowMs: number): number {
  switch (timer.policy) {
    case "deadline":
      return timer.dueMs;
    case "remaining":
      return nowMs + (timer.dueMs - row.updatedMs);
    case "restart":
      return nowMs + timer.delayMs;
  }
}

function add(row: Row, mail: NewMail): number | null {
  if (mail.senderSeq <= (row.senders.get(mail.sender) ?? 0)) return null;
  row.senders.delete(mail.sender);
  row.senders.set(mail.sender, mail.senderSeq);
  const [oldest] = row.senders.keys();
  if (row.senders.size > rememberedSenders && oldest !== undefined) row.senders.delete(oldest);
  const seq = Math.max(row.saved.seq, row.mail.at(-1)?.seq ?? 0) + 1;
  row.mail.push({ ...mail, seq, deaths: 0 });
  return seq;
}

function write(row: Row, { saved, timers }: ActorCommit): void {
  const nowMs = Date.now();
  row.saved = saved;
  row.updatedMs = nowMs;
  row.mail = row.mail.filter(({ seq }) => seq > saved.seq);
  for (const id of timers.drop) row.timers.delete(id);
  for (const timer of timers.set) {
    row.timers.set(timer.id, { ...timer, dueMs: nowMs + timer.dueInMs });
  }
}
