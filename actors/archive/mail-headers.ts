/**
 * Reads the few header fields of an RFC 5322 message that an archive needs; the body is never touched.
 *
 * @module
 */

import { addressParser, decodeWords } from "postal-mime";
import type { SourceUser } from "./source-contract.ts";
import { decodeStrict, inRange, storable } from "./source-values.ts";

/** Headers beyond this are not read; the message itself is kept whole. */
const maxHeaderBytes = 256 * 1024;

/** Lower-case field name to its values, in order, unfolded. */
export type MailHeaders = ReadonlyMap<string, readonly string[]>;

/** Reads the header block of a message; a leading mbox line (`From …`) is skipped. */
export function parseMailHeaders(message: Uint8Array): MailHeaders {
  const bytes = Buffer.from(
    message.buffer,
    message.byteOffset,
    Math.min(message.length, maxHeaderBytes),
  );
  const end = headerEnd(bytes);
  const block = bytes.subarray(0, end);
  const text = decodeStrict(block) ?? block.toString("latin1");
  const fields = new Map<string, string[]>();
  let values: string[] | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^[ \t]/.test(line)) {
      const last = values?.at(-1);
      if (values !== undefined && last !== undefined) {
        values[values.length - 1] = `${last} ${line.trim()}`;
      }
      continue;
    }
    const colon = line.indexOf(":");
    if (colon <= 0) continue;
    const name = line.slice(0, colon).trim().toLowerCase();
    values = fields.get(name) ?? [];
    values.push(line.slice(colon + 1).trim());
    fields.set(name, values);
  }
  return fields;
}

function headerEnd(bytes: Buffer): number {
  const unix = bytes.indexOf("\n\n");
  const windows = bytes.indexOf("\n\r\n");
  const ends = [unix, windows].filter((at) => at >= 0);
  return ends.length === 0 ? bytes.length : Math.min(...ends);
}

/** The message's own id without angle brackets, or null. */
export function messageId(headers: MailHeaders): string | null {
  return firstId(headers.get("message-id")?.[0]);
}

/** The id of the message that this one answers: In-Reply-To, else the last of References. */
export function inReplyTo(headers: MailHeaders): string | null {
  const direct = firstId(headers.get("in-reply-to")?.[0]?.match(/<[^<>\s]+>/)?.[0]);
  if (direct !== null) return direct;
  return firstId(
    headers
      .get("references")?.[0]
      ?.match(/<[^<>\s]+>/g)
      ?.at(-1),
  );
}

function firstId(value: string | undefined): string | null {
  const text = /<([^<>]+)>/.exec(value ?? "")?.[1] ?? value?.split(/\s/)[0] ?? "";
  return text.trim() === "" ? null : storable(text.trim().slice(0, 998));
}

/** Name and address of the sender, decoded (RFC 2047); null when there is no From. */
export function sender(headers: MailHeaders): SourceUser | null {
  const from = headers.get("from")?.[0] ?? headers.get("sender")?.[0];
  if (from === undefined) return null;
  const mailbox = addressParser(from, { flatten: true })[0];
  const address = storable(mailbox?.address?.trim().toLowerCase() ?? "");
  const name = storable(mailbox?.name?.trim() ?? "");
  const sourceId = address === "" ? name : address;
  if (sourceId === "") return null;
  return {
    sourceId,
    username: address === "" ? null : address,
    firstName: name === "" ? null : name,
    lastName: null,
    tags: null,
  };
}

/** Mailing list that carried the message (RFC 2919), or null. */
export function listId(headers: MailHeaders): string | null {
  const value = headers.get("list-id")?.[0];
  if (value === undefined) return null;
  const id = (/<([^<>]+)>/.exec(value)?.[1] ?? decodeWords(value)).trim();
  return id === "" ? null : storable(id);
}

/**
 * When the message was sent: Date, else the time that the newest Received line carries.
 * `NO_DATE`: neither is there. `BAD_DATE`: none can be read.
 */
export function mailDate(headers: MailHeaders): Date | "NO_DATE" | "BAD_DATE" {
  const given = [
    ...(headers.get("date") ?? []),
    ...(headers.get("received") ?? []).map((line) => line.slice(line.lastIndexOf(";") + 1)),
  ].filter((value) => value !== "");
  for (const value of given) {
    const date = parseMailDate(value);
    if (date !== undefined) return date;
  }
  return given.length === 0 ? "NO_DATE" : "BAD_DATE";
}

const months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
/** Minutes east of UTC for the zone names of RFC 5322, section 4.3. */
const zones: Readonly<Record<string, number>> = {
  ut: 0,
  utc: 0,
  gmt: 0,
  z: 0,
  est: -300,
  edt: -240,
  cst: -360,
  cdt: -300,
  mst: -420,
  mdt: -360,
  pst: -480,
  pdt: -420,
};
const mailDatePattern =
  /^(?:[a-z]{3,9},?\s+)?(\d{1,2})[\s-]+([a-z]{3})[a-z]*\.?[\s-]+(\d{2,4})\s+(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?\s*([+-]\d{4}|[a-z]+)?\s*$/i;

/** A date as RFC 5322 writes it, obsolete forms included; unknown or missing zone is UTC, as there. */
export function parseMailDate(value: string): Date | undefined {
  const match = mailDatePattern.exec(value.replace(/\([^()]*\)/g, " ").trim());
  if (match === null) return undefined;
  const [, day, monthName = "", yearText = "", hour, minute, second = "0", zone = "gmt"] = match;
  const month = months.indexOf(monthName.toLowerCase());
  const year = fullYear(yearText);
  if (month < 0 || year < 1_900) return undefined;
  if (Number(hour) > 23 || Number(minute) > 59 || Number(second) > 60) return undefined;
  const local = new Date(
    Date.UTC(year, month, Number(day), Number(hour), Number(minute), Number(second)),
  );
  if (local.getUTCDate() !== Number(day) && Number(second) < 60) return undefined;
  return inRange(new Date(local.getTime() - zoneMinutes(zone) * 60_000));
}

/** Two- and three-digit years as RFC 5322, section 4.3, reads them. */
function fullYear(text: string): number {
  const year = Number(text);
  if (text.length > 3) return year;
  return text.length === 3 || year > 49 ? year + 1_900 : year + 2_000;
}

function zoneMinutes(zone: string): number {
  if (!/^[+-]/.test(zone)) return zones[zone.toLowerCase()] ?? 0;
  const sign = zone.startsWith("-") ? -1 : 1;
  return sign * (Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3)));
}
