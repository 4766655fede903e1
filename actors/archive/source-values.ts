/**
 * Turns the dates and texts of a source into checked values, strictly.
 *
 * @module
 */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lenient = new TextDecoder("utf-8", { ignoreBOM: true });

/** The text, or undefined when the bytes are not valid UTF-8. */
export function decodeStrict(bytes: Uint8Array | ArrayBuffer): string | undefined {
  try {
    return strict.decode(bytes);
  } catch {
    return undefined;
  }
}

/** The text with U+FFFD in place of what is not UTF-8; for details of rejects only. */
export function decodeLenient(bytes: Uint8Array | ArrayBuffer): string {
  return lenient.decode(bytes);
}

/** Text for a Postgres column: without NUL, which Postgres cannot store, and without lone surrogates. */
export function storable(text: string): string {
  return text.replaceAll("\u0000", "\uFFFD").toWellFormed();
}

const isoDate =
  /^(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?\s*(Z|[+-]\d{2}(?::?\d{2})?)?)?$/i;

/**
 * An ISO 8601 date with or without time; without an offset it is UTC.
 * Undefined when it is not one, or names a day or hour that does not exist.
 */
export function parseIsoDate(text: string): Date | undefined {
  const match = isoDate.exec(text.trim());
  if (match === null) return undefined;
  const [, year, month, day, hour = "00", minute = "00", second = "00", fraction = "", zone = "Z"] =
    match;
  const local = Date.UTC(
    Number(year),
    Number(month) - 1,
    Number(day),
    Number(hour),
    Number(minute),
    Number(second),
    Number(fraction.padEnd(3, "0").slice(0, 3)),
  );
  const read = new Date(local);
  if (Number(year) < 100) read.setUTCFullYear(Number(year));
  const same =
    read.getUTCMonth() + 1 === Number(month) &&
    read.getUTCDate() === Number(day) &&
    read.getUTCHours() === Number(hour) &&
    read.getUTCMinutes() === Number(minute) &&
    read.getUTCSeconds() === Number(second);
  if (!same) return undefined;
  return inRange(new Date(read.getTime() - offsetMs(zone)));
}

function offsetMs(zone: string): number {
  if (zone.toUpperCase() === "Z") return 0;
  const sign = zone.startsWith("-") ? -1 : 1;
  const digits = zone.slice(1).replace(":", "").padEnd(4, "0");
  return sign * (Number(digits.slice(0, 2)) * 60 + Number(digits.slice(2))) * 60_000;
}

/** Seconds since 1970, as tgarchive variants and Telegram's `date_unixtime` give them. */
export function parseUnixSeconds(seconds: number): Date | undefined {
  return Number.isFinite(seconds) ? inRange(new Date(seconds * 1_000)) : undefined;
}

/** Years 1 to 9999: what ISO 8601 text and Postgres both show with four digits. */
export function inRange(date: Date): Date | undefined {
  const year = date.getUTCFullYear();
  return Number.isNaN(year) || year < 1 || year > 9_999 ? undefined : date;
}

/** A value for a message to people: quoted, at most 80 characters. */
export function shown(value: unknown): string {
  const text = String(value);
  return `"${storable(text.length > 80 ? `${text.slice(0, 80)}…` : text)}"`;
}
