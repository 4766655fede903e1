/**
 * Durations as people write them: `1y`, `90d`, `2h 30m`, or milliseconds.
 *
 * @module
 */

/** Milliseconds, or numbers with units: `ms`, `s`, `m`, `h`, `d`, `w`, and `y` (365 days). */
export type Duration = number | string;

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
  y: 365 * 86_400_000,
};

/** @throws {TypeError} When it is no duration. */
export function durationMs(duration: Duration): number {
  if (typeof duration === "number" && duration >= 0) return duration;
  const text = String(duration).trim();
  if (typeof duration === "string" && /^(?:\d+(?:\.\d+)?\s*(?:ms|[smhdwy])\s*)+$/.test(text)) {
    return [...text.matchAll(/(\d+(?:\.\d+)?)\s*(ms|[smhdwy])/g)].reduce(
      (sum, [, amount, unit = ""]) => sum + Number(amount) * (units[unit] ?? 0),
      0,
    );
  }
  throw new TypeError(
    `Cannot read the duration "${text}": write milliseconds, or numbers with ms, s, m, h, d, w or y`,
  );
}
