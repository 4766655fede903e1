/**
 * Names of live topics: `system`, `events`, `inspect`, `workflow:ID`, `agent:NAME`, `actor:ADDRESS`.
 *
 * @module
 */

/** Topics that one client may hold at once. */
export const MAX_TOPICS = 64;
const MAX_TOPIC_LENGTH = 200;
const GENERAL: ReadonlySet<string> = new Set(["system", "events", "inspect"]);
/** What `isTopic` accepts, for people. */
export const TOPIC_FORMS = "system, events, inspect, workflow:ID, agent:NAME, actor:ADDRESS";

export function isTopic(value: unknown): value is string {
  if (typeof value !== "string" || value.length > MAX_TOPIC_LENGTH) return false;
  return GENERAL.has(value) || /^(?:(?:workflow|agent):[\w.:-]+|actor:\/[\w.:@/-]+)$/.test(value);
}

/** Splits `system,workflow:ID`; the second list is what names no topic. */
export function parseTopics(text: string): { topics: string[]; unknown: string[] } {
  const names = [...new Set(text.split(",").map((name) => name.trim()))].filter(
    (name) => name !== "",
  );
  return { topics: names.filter(isTopic), unknown: names.filter((name) => !isTopic(name)) };
}

/** A place in the stream of one process: sequence numbers of another epoch mean nothing. */
export interface Position {
  readonly epoch: string;
  readonly seq: number;
}

/** Reads `<epoch>:<seq>`; undefined when it is anything else. */
export function parsePosition(text: string | null | undefined): Position | undefined {
  const match = /^(.{1,100}):(\d{1,15})$/.exec(text ?? "");
  const [, epoch, seq] = match ?? [];
  return epoch === undefined || seq === undefined ? undefined : { epoch, seq: Number(seq) };
}

export function formatPosition({ epoch, seq }: Position): string {
  return `${epoch}:${seq}`;
}
