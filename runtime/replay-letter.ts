/**
 * Sends a dead letter to its address again: to a durable actor, or to a child of the tree.
 *
 * @module
 */

import type { DeadLetterReason, Directory } from "../actors/tree/directory.ts";
import { readAddress } from "../machines/address.ts";
import type { ActorService } from "./worker/remote/actor-service.ts";
import type { DeadLetters } from "./worker/remote/dead-letters.ts";
import { decodeValue } from "./worker/remote/snapshot-codec.ts";

/** `sent`, or why not; the letter then stays as it is, but for `refused`: it is another one now. */
export type Resent = "sent" | "gone" | "not-kept" | "refused" | DeadLetterReason;

export interface ReplayOptions {
  readonly deadLetters: DeadLetters;
  readonly directory?: Directory | undefined;
  /** Durable actors, where there are any now. */
  readonly actors: () => ActorService | undefined;
}

export function createReplay({ actors, deadLetters, directory }: ReplayOptions) {
  return async (id: number): Promise<Resent> => {
    const letter = await deadLetters.find(id);
    if (letter === undefined) return "gone";
    // Not the incarnation that it missed: who lives there now.
    const path = readAddress(letter.target)?.path ?? letter.target;
    const remote = actors();
    if (remote?.system.registry.get(path) !== undefined) {
      return (await remote.replay(id)) ? "sent" : "refused";
    }
    const why = directory === undefined ? "unknown-address" : directory.refusal(path);
    if (why !== undefined) return why;
    if (!isKept(letter.event)) return "not-kept";
    const taken = await deadLetters.take(id);
    if (taken === undefined) return "gone";
    return directory?.send(path, decodeValue(taken.event)) === "dead" ? "refused" : "sent";
  };
}

/** An event that could not be stored left only its type. */
function isKept(event: unknown): boolean {
  return !(typeof event === "object" && event !== null && "notKept" in event);
}

const reasons: Readonly<Record<Exclude<Resent, "sent">, string>> = {
  gone: "somebody else has sent it meanwhile",
  "not-kept": "its event could not be stored, only its type is known",
  refused: "its receiver has refused it again; the newest dead letters say why",
  "unknown-address": "nobody lives there; start that actor first",
  stopped: "who lived there has ended; start it again first",
  "no-mailbox": "it is a worker that takes no mail",
  "stash-full": "it restarts, and as many events as may wait for it do; try again when it runs",
};

/** @param isSupervisor Who lives at the address is one. */
export function whyNotSent(resent: Exclude<Resent, "sent">, isSupervisor: boolean): string {
  if (isSupervisor && (resent === "no-mailbox" || resent === "unknown-address")) {
    return "it is a supervisor, which takes no mail; send to one of its children";
  }
  return reasons[resent];
}
