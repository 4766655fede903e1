/**
 * The message bus of one node: publishes to listeners, and carries requests to agents with a deadline.
 *
 * @module
 */

import type { BusPort } from "../../actors/ports.ts";
import { AgentError, type Json } from "../../machines/error-code.ts";

/** Requests that may be unanswered at once; one more is refused. */
export const MAX_PENDING_REQUESTS = 1_024;
/** The longest that a request may wait. */
export const MAX_REQUEST_TIMEOUT_MS = 3_600_000;

export interface BusOptions {
  /**
   * Runs an action on a healthy replica. Rejects with `AGENT_UNKNOWN`, `ACTION_UNKNOWN`, or what the
   * action threw. It should stop the action after `timeoutMs`; the bus stops waiting then in any case.
   */
  callAgent(agent: string, action: string, input: Json, timeoutMs: number): Promise<Json>;
  /** Hands a message to those who listen. A throw counts as failed and reaches the publisher. */
  onPublish(topic: string, body: Json): void;
  /** Default `MAX_PENDING_REQUESTS`. */
  readonly maxPending?: number;
}

/** Since the bus was made. `sent` = `delivered` + `failed` + `pending`. */
export interface BusStats {
  readonly sent: number;
  readonly delivered: number;
  readonly failed: number;
  readonly pending: number;
}

export interface Bus extends BusPort {
  stats(): BusStats;
}

export function createBus(options: BusOptions): Bus {
  const maxPending = options.maxPending ?? MAX_PENDING_REQUESTS;
  let sent = 0;
  let delivered = 0;
  let failed = 0;
  let pending = 0;

  /** Counts one message from its start to its end. */
  async function count<T>(deliver: () => Promise<T> | T): Promise<T> {
    sent += 1;
    pending += 1;
    try {
      const result = await deliver();
      delivered += 1;
      return result;
    } catch (error) {
      failed += 1;
      throw error;
    } finally {
      pending -= 1;
    }
  }

  return {
    publish: (topic, body) => count(() => options.onPublish(topic, body)),
    request: (agent, action, input, { timeoutMs }) =>
      count(() => {
        checkTimeout(agent, action, timeoutMs);
        if (pending > maxPending) {
          throw new AgentError(
            "BUS_FULL",
            `Cannot request ${agent}.${action}: ${maxPending} requests already wait for an answer`,
            { retryable: true },
          );
        }
        return withDeadline(
          options.callAgent(agent, action, input, timeoutMs),
          timeoutMs,
          `Cannot finish the request ${agent}.${action}: no answer within ${timeoutMs} ms`,
        );
      }),
    stats: () => ({ sent, delivered, failed, pending }),
  };
}

function checkTimeout(agent: string, action: string, timeoutMs: number): void {
  if (!(timeoutMs > 0 && timeoutMs <= MAX_REQUEST_TIMEOUT_MS)) {
    throw new AgentError(
      "REQUEST_INVALID",
      `Cannot request ${agent}.${action}: timeoutMs is ${timeoutMs}, must be above 0 and at most ${MAX_REQUEST_TIMEOUT_MS}`,
    );
  }
}

async function withDeadline(answer: Promise<Json>, timeoutMs: number, late: string): Promise<Json> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new AgentError("REQUEST_TIMEOUT", late, { retryable: true }));
    }, timeoutMs);
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}
