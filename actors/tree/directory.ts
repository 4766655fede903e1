/**
 * Who lives at which address of a tree: links, monitors, and events for children that restart.
 *
 * Supervisors report what starts and ends; everybody else asks. Source: Erlang/OTP links and
 * monitors; the bounded stash during a restart is Akka's.
 *
 * @module
 */

import type { ChildExit } from "../../machines/child-table.ts";

/** Events that wait for one child's restart; one more is a dead letter. */
const defaultStashLimit = 1_000;
/** Addresses remembered as gone, so that a dead letter says `stopped` and not `unknown-address`. */
const maxGone = 10_000;

/** `noproc`: there was nobody at that address. */
export type DownReason = ChildExit | { readonly type: "noproc" };

export interface Down {
  readonly ref: number;
  readonly target: string;
  readonly reason: DownReason;
}

export type DeadLetterReason = "unknown-address" | "stopped" | "stash-full" | "no-mailbox";

export interface DeadLetter {
  readonly target: string;
  readonly event: unknown;
  readonly reason: DeadLetterReason;
}

/** What the directory may do to a child. */
export interface Resident {
  /** Ends it as its linked peer has ended. */
  end(reason: ChildExit): void;
  readonly receive: ((event: unknown) => void) | undefined;
}

export interface Directory {
  /** By the supervisor: the child starts; events for it wait. */
  awaiting(address: string): void;
  up(address: string, resident: Resident): void;
  /** By the supervisor: it has ended. `restarts`: events wait; `gone`: they are dead letters. */
  down(address: string, exit: ChildExit, next: "restarts" | "gone"): void;

  /** By the supervisor: a child that was to restart will not. */
  abandon(address: string): void;

  /**
   * From now on, when one ends in any way but `normal`, so does the other, with the same reason.
   * Both must live; linking to a dead one ends the living with `noproc`, as in OTP.
   */
  link(a: string, b: string): void;
  unlink(a: string, b: string): void;
  /**
   * Tells once that `target` has ended, also when it had ended before; always later, never inside
   * this call. Ends with the watcher. A restarted target is another one.
   */
  monitor(watcher: string, target: string, onDown: (down: Down) => void): number;
  /** @param flush Also forget a `down` that is on its way. Default true. */
  demonitor(ref: number, flush?: boolean): void;
  /** To the child at this address, now or after its restart; otherwise a dead letter. */
  send(address: string, event: unknown): "delivered" | "stashed" | "dead";
  /** Why an event to this address would be a dead letter now; undefined where it would arrive. */
  refusal(address: string): DeadLetterReason | undefined;
  isUp(address: string): boolean;
  /** For people and tests: what is held now. */
  counts(): { readonly links: number; readonly monitors: number; readonly stashed: number };
}

export interface DirectoryOptions {
  readonly stashLimit?: number;
  /** Must not throw. */
  readonly onDeadLetter?: (letter: DeadLetter) => void;
}

interface Monitor {
  readonly ref: number;
  readonly watcher: string;
  readonly target: string;
  readonly onDown: (down: Down) => void;
}

export function createDirectory(options: DirectoryOptions = {}): Directory {
  const stashLimit = options.stashLimit ?? defaultStashLimit;
  const residents = new Map<string, Resident>();
  /** A stash stands for an address that is expected to come up. */
  const stashes = new Map<string, unknown[]>();
  const gone = new Set<string>();
  const links = new Map<string, Set<string>>();
  const monitors = new Map<number, Monitor>();
  const onTheirWay = new Set<number>();
  let lastRef = 0;

  const peersOf = (address: string): Set<string> => {
    const peers = links.get(address) ?? new Set();
    links.set(address, peers);
    return peers;
  };
  const unlinkOne = (from: string, to: string): void => {
    const peers = links.get(from);
    peers?.delete(to);
    if (peers?.size === 0) links.delete(from);
  };
  const tell = ({ onDown, ref, target }: Monitor, reason: DownReason): void => {
    monitors.delete(ref);
    onTheirWay.add(ref);
    queueMicrotask(() => {
      if (onTheirWay.delete(ref)) onDown({ ref, target, reason });
    });
  };
  const bury = (target: string, event: unknown, reason: DeadLetterReason): "dead" => {
    options.onDeadLetter?.({ target, event, reason });
    return "dead";
  };

  function down(address: string, exit: ChildExit, next: "restarts" | "gone"): void {
    residents.delete(address);
    if (next === "restarts") awaiting(address);
    else leave(address);
    // Those that are deleted on the way do not disturb a Map's iteration.
    for (const monitor of monitors.values()) {
      if (monitor.watcher === address) monitors.delete(monitor.ref);
      else if (monitor.target === address) tell(monitor, exit);
    }
    const peers = [...(links.get(address) ?? [])];
    links.delete(address);
    for (const peer of peers) unlinkOne(peer, address);
    if (exit.type === "normal") return;
    for (const peer of peers) residents.get(peer)?.end(exit);
  }

  function awaiting(address: string): void {
    gone.delete(address);
    if (!stashes.has(address)) stashes.set(address, []);
  }

  function leave(address: string): void {
    const waiting = stashes.get(address) ?? [];
    stashes.delete(address);
    gone.add(address);
    if (gone.size > maxGone) gone.delete(gone.values().next().value ?? "");
    for (const event of waiting) bury(address, event, "stopped");
  }

  function refusal(address: string): DeadLetterReason | undefined {
    const resident = residents.get(address);
    if (resident !== undefined) return resident.receive === undefined ? "no-mailbox" : undefined;
    const stash = stashes.get(address);
    if (stash === undefined) return gone.has(address) ? "stopped" : "unknown-address";
    return stash.length >= stashLimit ? "stash-full" : undefined;
  }

  function send(address: string, event: unknown): "delivered" | "stashed" | "dead" {
    const why = refusal(address);
    if (why !== undefined) return bury(address, event, why);
    const receive = residents.get(address)?.receive;
    if (receive === undefined) stashes.get(address)?.push(event);
    else receive(event);
    return receive === undefined ? "stashed" : "delivered";
  }

  return {
    awaiting,
    up: (address, resident) => {
      gone.delete(address);
      residents.set(address, resident);
      const waiting = stashes.get(address) ?? [];
      stashes.delete(address);
      for (const event of waiting) send(address, event);
    },
    down,
    abandon: leave,
    link: (a, b) => {
      if (a === b) return;
      const [missing, living] = residents.has(a) ? [b, a] : [a, b];
      if (residents.has(a) && residents.has(b)) {
        peersOf(a).add(b);
        peersOf(b).add(a);
        return;
      }
      residents.get(living)?.end(noproc(missing));
    },
    unlink: (a, b) => {
      unlinkOne(a, b);
      unlinkOne(b, a);
    },
    monitor: (watcher, target, onDown) => {
      lastRef += 1;
      const monitor = { ref: lastRef, watcher, target, onDown };
      if (residents.has(target)) monitors.set(lastRef, monitor);
      else tell(monitor, { type: "noproc" });
      return lastRef;
    },
    demonitor: (ref, flush = true) => {
      monitors.delete(ref);
      if (flush) onTheirWay.delete(ref);
    },
    send,
    refusal,
    isUp: (address) => residents.has(address),
    counts: () => ({
      links: [...links.values()].reduce((sum, peers) => sum + peers.size, 0) / 2,
      monitors: monitors.size,
      stashed: [...stashes.values()].reduce((sum, stash) => sum + stash.length, 0),
    }),
  };
}

function noproc(address: string): ChildExit {
  const message = `Cannot link to ${address}: nobody lives there`;
  return {
    type: "abnormal",
    error: { name: "LinkError", code: "LINK_NOPROC", message, retryable: true },
  };
}
