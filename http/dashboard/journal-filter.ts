/**
 * The filter of the event log: words that must all occur, `!word` that must not.
 *
 * @module
 */

import type { JournalEntry } from "../../runtime/system.ts";

/** What an entry is searched by, in lower case. */
export function searchTextOf(entry: JournalEntry): string {
  return `${entry.type} ${entry.actor} ${JSON.stringify(entry.payload)}`.toLowerCase();
}

export function matchesFilter(entry: JournalEntry, filter: string): boolean {
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const text = searchTextOf(entry);
  return words.every((word) => {
    if (!word.startsWith("!")) return text.includes(word);
    return word.length === 1 || !text.includes(word.slice(1));
  });
}

/** The task that an entry is about, in whichever field the journal names it. */
export function taskKeyOf(entry: JournalEntry): string | undefined {
  const { payload } = entry;
  if (typeof payload !== "object" || payload === null || Array.isArray(payload)) return undefined;
  const fields = payload as Readonly<Record<string, unknown>>;
  for (const name of ["taskKey", "task", "key"]) {
    const value = fields[name];
    if (typeof value === "string") return value;
  }
  return undefined;
}

/** Colour group of an entry: how its type ends says how it went. */
export function toneOf(type: string): "good" | "bad" | "run" | "warn" | "plain" {
  if (/(?:failed|died|lost|rejected|timed-?out)$/i.test(type)) return "bad";
  if (/(?:succeeded|completed|compensated)$/i.test(type)) return "good";
  if (/(?:started|dispatched|resumed)$/i.test(type)) return "run";
  if (/(?:retried|retrying|paused|parked|cancelled|skipped)$/i.test(type)) return "warn";
  return "plain";
}
