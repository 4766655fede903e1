/**
 * Why a ready task is not dispatched, in one sentence.
 *
 * @module
 */

import type { Hold } from "../../machines/admission.ts";
import type { TaskRef } from "../../machines/ready-tree.ts";

/** Holders that a sentence names. */
const namedHolders = 3;

export function holdSentence(hold: Hold, agent: string, holders: readonly TaskRef[]): string {
  const inUse = hold.used + hold.elsewhere;
  const figures = `${round(inUse)} of ${round(hold.limit)} in use${heldBy(holders)}`;
  switch (hold.by) {
    case "capacity":
      return `${agent} already runs as many tasks as it may: ${figures}`;
    case "agent":
      return `the limit of ${agent} over all nodes is reached: ${figures}`;
    case "global":
      return `the limit of tasks over all nodes is reached: ${figures}`;
    case "key":
      return `the key "${hold.pool.slice("key/".length)}" is in use: ${figures}`;
    case "workflow":
      return `the run already has as many tasks in flight as its definition allows (${round(hold.limit)})`;
    case "connections":
      return `other tasks use the database connections that agents share: ${figures}`;
    case "cpu":
      return `the node's budget of cores is used up: ${figures}`;
    case "memory":
      return `the node's budget of memory is used up: ${round(inUse)} of ${round(hold.limit)} MB`;
    case "rate":
      return `the rate limit of ${hold.pool.slice("rate/".length)} is reached: the next token comes soon`;
    case "turn":
      return `nothing is lacking: ${hold.ahead} of its tenant come before it, and other tenants have their turns`;
    default:
      return hold.by satisfies never;
  }
}

function heldBy(holders: readonly TaskRef[]): string {
  if (holders.length === 0) return "";
  const names = holders.slice(0, namedHolders).map((one) => `${one.workflowId}/${one.taskKey}`);
  const more = holders.length - names.length;
  return `, by ${names.join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

function round(figure: number): number {
  return Math.round(figure * 100) / 100;
}
