/**
 * Coordination objects of agents: durable rows in Postgres, ballots over the bus.
 * Whoever dies in the middle asks again with the same id and goes on where it stopped.
 *
 * @module
 */

import { setTimeout as wait } from "node:timers/promises";
import type { Sql } from "postgres";
import type { BusPort, CoordinationPort, VoteResult } from "../../actors/ports.ts";
import { type CoordinationRepo, createCoordinationRepo } from "../../db/coordination-repo.ts";
import { decideBarrier } from "../../machines/barrier.ts";
import {
  AgentError,
  type ErrorRecord,
  type Json,
  toErrorRecord,
} from "../../machines/error-code.ts";
import { type Resources, scaleToBudget } from "../../machines/resource-budget.ts";
import { type Ballot, decideVote } from "../../machines/vote.ts";

/** Members of a group, participants of a barrier, voters of a vote: at most this many. */
export const MAX_PARTICIPANTS = 256;
/** A reservation that nobody renews or releases counts for this long. */
export const RESERVATION_LEASE_MS = 3_600_000;
/** Between two requests to a voter that could not answer: doubled each time, up to the maximum. */
const ASK_AGAIN_MIN_MS = 100;
const ASK_AGAIN_MAX_MS = 2_000;

export interface CoordinationOptions {
  readonly sql: Sql;
  readonly bus: Pick<BusPort, "request">;
  /** Whose budget the reservations share. */
  readonly nodeId: string;
  /** What the machine has for agents. */
  readonly budget: Resources;
  /** What all agents ask for together: needs are scaled by `budget / nominal` where that is below 1. */
  readonly nominal: Resources;
}

export interface Coordination extends CoordinationPort {
  groupMembers(id: string): Promise<readonly string[]>;
  /** What is reserved on this node now. */
  reserved(): Promise<Resources>;
  /** Releases all that `holder` has reserved; call it when a workflow ends, whichever way. */
  releaseHolder(holder: string): Promise<number>;
}

export function createCoordination(options: CoordinationOptions): Coordination {
  const repo = createCoordinationRepo(options.sql);
  return {
    createGroup: (id, members) => {
      checkNames(`create the group "${id}"`, members, 0);
      return repo.upsertGroup(id, members);
    },
    groupMembers: (id) => repo.groupMembers(id),
    createBarrier: (id, participants, timeoutMs) =>
      createBarrier(repo, id, participants, timeoutMs),
    arriveAtBarrier: (id, participant) => arriveAtBarrier(repo, id, participant),
    reserve: (id, holder, need) => reserve(repo, options, id, holder, need),
    reserved: () => repo.reserved(options.nodeId),
    release: (id) => repo.release(id),
    releaseHolder: (holder) => repo.releaseHolder(holder),
    vote: (id, proposal, voters, required, timeoutMs) =>
      holdVote(repo, options.bus, { id, proposal, voters, required, timeoutMs }),
  };
}

async function createBarrier(
  repo: CoordinationRepo,
  id: string,
  participants: readonly string[],
  timeoutMs: number,
): Promise<void> {
  checkNames(`create the barrier "${id}"`, participants, 1);
  checkPositive(`create the barrier "${id}"`, "timeoutMs", timeoutMs);
  await repo.insertBarrier(id, participants, timeoutMs);
  const expected = (await repo.barrier(id))?.participants.map((one) => one.participant) ?? [];
  requireSame(`create the barrier "${id}"`, expected, participants);
}

async function arriveAtBarrier(
  repo: CoordinationRepo,
  id: string,
  participant: string,
): Promise<{ missing: readonly string[] }> {
  const expected = await repo.arrive(id, participant);
  const barrier = await repo.barrier(id);
  if (barrier === undefined) {
    throw new AgentError("BARRIER_UNKNOWN", `Cannot arrive at the barrier "${id}": there is none`);
  }
  if (!expected) {
    const names = barrier.participants.map((one) => one.participant).join(", ");
    throw new AgentError(
      "BARRIER_PARTICIPANT_UNKNOWN",
      `Cannot arrive at the barrier "${id}": ${participant} is not expected, only ${names}`,
    );
  }
  const decision = decideBarrier(barrier.participants, barrier.deadlinePassed);
  if (decision.type === "open") return { missing: [] };
  if (decision.type === "waiting") return { missing: decision.missing };
  throw new AgentError(
    "BARRIER_TIMED_OUT",
    `Cannot open the barrier "${id}": ${decision.missing.join(", ")} did not arrive in time`,
  );
}

async function reserve(
  repo: CoordinationRepo,
  { nodeId, budget, nominal }: CoordinationOptions,
  id: string,
  holder: string,
  need: Resources,
): Promise<void> {
  if (!(need.cpu >= 0 && need.memoryMb >= 0)) {
    throw new AgentError(
      "RESERVATION_INVALID",
      `Cannot reserve "${id}": ${need.cpu} cores and ${need.memoryMb} MiB must both be from 0`,
    );
  }
  const share = scaleToBudget(need, nominal, budget);
  const reservation = { id, node: nodeId, holder, leaseMs: RESERVATION_LEASE_MS };
  if (await repo.reserve(reservation, share, budget)) return;
  const taken = await repo.reserved(nodeId);
  throw new AgentError(
    "RESOURCE_EXHAUSTED",
    `Cannot reserve "${id}": it needs ${figures(share)}, ${figures(taken)} of ${figures(budget)} are taken`,
    { retryable: true },
  );
}

function figures({ cpu, memoryMb }: Resources): string {
  return `${cpu.toFixed(2)} cores and ${Math.round(memoryMb)} MiB`;
}

interface VoteRequest {
  readonly id: string;
  readonly proposal: Json;
  readonly voters: readonly string[];
  readonly required: number;
  readonly timeoutMs: number;
}

async function holdVote(
  repo: CoordinationRepo,
  bus: Pick<BusPort, "request">,
  request: VoteRequest,
): Promise<VoteResult> {
  const { id, voters, required, timeoutMs } = request;
  checkNames(`hold the vote "${id}"`, voters, 1);
  checkPositive(`hold the vote "${id}"`, "timeoutMs", timeoutMs);
  if (!Number.isInteger(required) || required < 1 || required > voters.length) {
    throw new AgentError(
      "VOTE_INVALID",
      `Cannot hold the vote "${id}": ${required} of ${voters.length} voters is no quorum`,
    );
  }
  await repo.insertVote(request);
  const stored = await requireVote(repo, id);
  requireSame(`hold the vote "${id}"`, stored.voters, voters);
  return collectBallots(repo, bus, { ...request, required: stored.required });
}

/** Asks those who have not voted, all at once, and stops listening at the ballot that decides. */
async function collectBallots(
  repo: CoordinationRepo,
  bus: Pick<BusPort, "request">,
  request: VoteRequest,
): Promise<VoteResult> {
  const pending = new Map<string, Promise<Ballot>>();
  const decided = new AbortController();
  try {
    for (;;) {
      const row = await requireVote(repo, request.id);
      const decision = decideVote(row.voters, row.required, row.ballots);
      if (decision.type !== "open") {
        const outcome = await repo.decideVote(request.id, decision.type);
        const ballots = row.ballots.map((ballot) => ({ ...ballot }));
        return { id: request.id, outcome, required: row.required, ballots };
      }
      for (const voter of decision.missing) {
        if (!pending.has(voter)) pending.set(voter, askVoter(bus, voter, request, decided.signal));
      }
      // Each promise settles by its voter's deadline at the latest, and none rejects.
      const ballot = await Promise.race(pending.values());
      await repo.insertBallot(request.id, ballot);
      pending.delete(ballot.voter);
    }
  } finally {
    decided.abort();
  }
}

/**
 * Asks until there is an answer, a refusal for good, or no time left: an agent that is busy,
 * restarting or without its database says nothing about the proposal.
 * Never rejects: no answer is a ballot against, since the vote must end and its record say why.
 */
async function askVoter(
  bus: Pick<BusPort, "request">,
  voter: string,
  { proposal, timeoutMs }: VoteRequest,
  decided: AbortSignal,
): Promise<Ballot> {
  const deadlineMs = performance.now() + timeoutMs;
  let leftMs = timeoutMs;
  for (let pauseMs = ASK_AGAIN_MIN_MS; ; pauseMs = Math.min(pauseMs * 2, ASK_AGAIN_MAX_MS)) {
    try {
      const answer = await bus.request(voter, "cast_vote", { proposal }, { timeoutMs: leftMs });
      return { voter, ...parseBallot(answer) };
    } catch (error) {
      const record = toErrorRecord(error);
      leftMs = deadlineMs - performance.now();
      if (!record.retryable || leftMs < ASK_AGAIN_MIN_MS) return noBallot(voter, record);
      // Half of what is left at most, so that the last request comes close to the deadline.
      await wait(Math.min(pauseMs, leftMs / 2));
      if (decided.aborted) return noBallot(voter, record);
      leftMs = Math.max(1, deadlineMs - performance.now());
    }
  }
}

function noBallot(voter: string, { code, message }: ErrorRecord): Ballot {
  return { voter, approve: false, reason: `no ballot (${code}): ${message}`.slice(0, 1_000) };
}

function parseBallot(answer: Json): { approve: boolean; reason: string } {
  if (typeof answer === "object" && answer !== null && !Array.isArray(answer)) {
    const { approve, reason } = answer as { approve?: unknown; reason?: unknown };
    if (typeof approve === "boolean" && typeof reason === "string") {
      return { approve, reason: reason.slice(0, 1_000) };
    }
  }
  throw new AgentError(
    "BALLOT_INVALID",
    "Cannot count the ballot: cast_vote must return { approve, reason }",
  );
}

async function requireVote(repo: CoordinationRepo, id: string) {
  const row = await repo.vote(id);
  if (row !== undefined) return row;
  throw new AgentError("VOTE_UNKNOWN", `Cannot count the vote "${id}": its row is gone`, {
    retryable: true,
  });
}

function checkNames(what: string, names: readonly string[], least: number): void {
  const valid =
    names.length >= least &&
    names.length <= MAX_PARTICIPANTS &&
    new Set(names).size === names.length &&
    names.every((name) => name !== "");
  if (valid) return;
  throw new AgentError(
    "PARTICIPANTS_INVALID",
    `Cannot ${what}: it takes ${least} to ${MAX_PARTICIPANTS} different names, got ${JSON.stringify(names.slice(0, 20))}`,
  );
}

function checkPositive(what: string, name: string, value: number): void {
  if (value > 0 && Number.isFinite(value)) return;
  throw new AgentError("ARGUMENT_INVALID", `Cannot ${what}: ${name} is ${value}, must be above 0`);
}

function requireSame(what: string, stored: readonly string[], asked: readonly string[]): void {
  if (stored.toSorted().join("\n") === asked.toSorted().join("\n")) return;
  throw new AgentError(
    "COORDINATION_CONFLICT",
    `Cannot ${what}: it exists with other participants (${stored.join(", ")})`,
  );
}
