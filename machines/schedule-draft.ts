/**
 * A schedule's state while one turn changes it, with the rows of `schedule_fires` that come of it.
 *
 * @module
 */

import {
  type Backfill,
  type Fire,
  type FireKind,
  type FireOutcome,
  type NextTime,
  type OverlapPolicy,
  openLimit,
  type ScheduleChange,
  type ScheduleCounts,
  type ScheduleSpec,
  type ScheduleState,
  scheduleDefaults,
} from "./schedule-spec.ts";

const ended: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "parked"]);

export interface Draft {
  readonly spec: ScheduleSpec;
  state(): ScheduleState;
  settle(statuses: ReadonlyMap<string, string>): void;
  /** A time of the schedule itself. */
  decide(timeMs: number): void;
  /** Everything before `cutoffMs` came while nobody was there. */
  miss(timeMs: number, cutoffMs: number): void;
  offer(timeMs: number, kind: FireKind, overlap: OverlapPolicy): void;
  isFull(): boolean;
  started(timeMs: number, runId: string): void;
  startFailed(timeMs: number, reason: string): void;
  /** Lets the times up to now pass. */
  passBy(facts: { readonly nowMs: number; readonly next: NextTime }): void;
  unpause(note: string | null): void;
  addBackfill(range: Backfill): void;
  moveBackfill(fromMs: number): void;
  endBackfill(): void;
  change(more: boolean): ScheduleChange;
}

export function createDraft(spec: ScheduleSpec, before: ScheduleState): Draft {
  let state = before;
  /** By time: the last word counts. */
  const fires = new Map<number, Fire>();
  const limit = spec.bufferLimit ?? scheduleDefaults.bufferLimit;

  const set = (part: Partial<ScheduleState>): void => {
    state = { ...state, ...part };
  };
  const count = (name: keyof ScheduleCounts): void =>
    set({ counts: { ...state.counts, [name]: state.counts[name] + 1 } });
  const write = (
    { timeMs, kind }: Pick<Fire, "timeMs" | "kind">,
    outcome: FireOutcome,
    rest: Partial<Pick<Fire, "runId" | "reason">> = {},
  ): void => {
    fires.set(timeMs, { timeMs, kind, outcome, runId: null, reason: null, ...rest });
  };
  const skip = (fire: Pick<Fire, "timeMs" | "kind">, reason: string): void => {
    write(fire, "skipped", { reason });
    count("skipped");
  };
  const spend = (kind: FireKind, by: 1 | -1): void => {
    if (kind === "scheduled" && state.remaining !== null) set({ remaining: state.remaining - by });
  };

  function begin(fire: Pick<Fire, "timeMs" | "kind">): void {
    set({ open: [...state.open, { ...fire, runId: null, cancel: false }] });
    write(fire, "starting");
  }

  function buffer(fire: Pick<Fire, "timeMs" | "kind">): void {
    spend(fire.kind, 1);
    set({ waiting: [...state.waiting, fire] });
    write(fire, "buffered", { reason: waitsFor(state.open[0]) });
  }

  /** Gives up what waits, and asks what runs to end. */
  function makeWay(): void {
    for (const fire of state.waiting) {
      spend(fire.kind, -1);
      skip(fire, "a later time took its place");
    }
    set({ waiting: [], open: state.open.map((fire) => ({ ...fire, cancel: true })) });
  }

  function offer(timeMs: number, kind: FireKind, overlap: OverlapPolicy): void {
    const fire = { timeMs, kind };
    if (state.open.length >= openLimit) return skip(fire, `${openLimit} runs are open`);
    if (overlap === "allowAll" || state.open.length + state.waiting.length === 0) {
      spend(kind, 1);
      return begin(fire);
    }
    if (overlap === "skip") {
      return skip(fire, `the run of ${iso((state.open[0] ?? state.waiting[0])?.timeMs)} is open`);
    }
    if (overlap === "bufferOne" && state.waiting.length > 0) {
      return skip(fire, `the time ${iso(state.waiting[0]?.timeMs)} waits already`);
    }
    if (overlap === "bufferAll" && state.waiting.length >= limit) {
      return skip(fire, `${limit} times wait already`);
    }
    if (overlap === "cancelOther") makeWay();
    buffer(fire);
  }

  /** The oldest that may start takes the place of the run that ended. */
  function promote(): void {
    while (state.open.length === 0) {
      const fire = state.waiting.find(({ kind }) => !state.paused || kind !== "scheduled");
      if (fire === undefined) return;
      set({ waiting: state.waiting.filter((other) => other !== fire) });
      begin(fire);
    }
  }

  function fail(reason: string): void {
    count("failed");
    if (spec.pauseOnFailure && !state.paused) set({ paused: true, note: reason });
  }

  function settle(statuses: ReadonlyMap<string, string>): void {
    for (const fire of state.open) {
      if (fire.runId === null) continue;
      const status = statuses.get(fire.runId);
      if (status !== undefined && !ended.has(status)) continue;
      set({ open: state.open.filter((other) => other !== fire) });
      if (status === "completed") count("completed");
      if (status === "cancelled") count("cancelled");
      if (status === "failed" || status === "parked") {
        fail(`the run of ${iso(fire.timeMs)}, ${fire.runId}, is ${status}`);
      }
    }
    promote();
  }

  return {
    spec,
    state: () => state,
    settle,
    offer,
    isFull: () => state.waiting.length >= limit || state.open.length >= openLimit,
    decide: (timeMs) => {
      set({ decidedMs: timeMs });
      offer(timeMs, "scheduled", spec.overlap ?? scheduleDefaults.overlap);
    },
    miss: (timeMs, cutoffMs) => {
      const reason = `nobody was there to start it, nor any other time before ${iso(cutoffMs)}`;
      write({ timeMs, kind: "scheduled" }, "missed", { reason });
      count("missed");
      // A schedule of seconds may have missed millions: one row stands for all of them.
      set({ decidedMs: Math.max(timeMs, cutoffMs - 1) });
    },
    started: (timeMs, runId) => {
      const fire = state.open.find((other) => other.timeMs === timeMs && other.runId === null);
      if (fire === undefined) return;
      set({ open: state.open.map((other) => (other === fire ? { ...fire, runId } : other)) });
      write(fire, "started", { runId });
      count("started");
    },
    startFailed: (timeMs, reason) => {
      const fire = state.open.find((other) => other.timeMs === timeMs && other.runId === null);
      if (fire === undefined) return;
      set({ open: state.open.filter((other) => other !== fire) });
      write(fire, "failed", { reason });
      fail(`cannot start the run of ${iso(timeMs)}: ${reason}`);
      promote();
    },
    passBy: ({ next, nowMs }) => {
      const timeMs = next(state.decidedMs);
      if (timeMs === null || timeMs > nowMs || state.remaining === 0) return;
      skip({ timeMs, kind: "scheduled" }, `paused, and so at any other time until ${iso(nowMs)}`);
      set({ decidedMs: nowMs });
    },
    unpause: (note) => {
      set({ paused: false, note });
      promote();
    },
    addBackfill: (range) => set({ backfills: [...state.backfills, range] }),
    moveBackfill: (fromMs) => {
      // The same state, when nothing moved: then nothing is written.
      if (state.backfills[0]?.fromMs === fromMs) return;
      set({
        backfills: state.backfills.map((range, at) => (at === 0 ? { ...range, fromMs } : range)),
      });
    },
    endBackfill: () => set({ backfills: state.backfills.slice(1) }),
    change: (more) => ({ state, fires: [...fires.values()], more }),
  };
}

function waitsFor(fire: Pick<Fire, "timeMs"> | undefined): string {
  return fire === undefined ? "waits for its turn" : `waits for the run of ${iso(fire.timeMs)}`;
}

function iso(timeMs: number | undefined): string {
  return timeMs === undefined ? "before" : new Date(timeMs).toISOString();
}
