/**
 * Figures and times as people read them.
 *
 * @module
 */

/** `740 ms`, `3.2 s`, `4 min 05 s`, `2 h 03 min`, `5 d 01 h`. */
export function formatDuration(ms: number): string {
  const two = (value: number): string => String(value).padStart(2, "0");
  if (ms < 1_000) return `${Math.max(0, Math.round(ms))} ms`;
  if (ms < 60_000) return `${(Math.floor(ms / 100) / 10).toFixed(1)} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min ${two(seconds % 60)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 1_440) return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
  const hours = Math.floor(minutes / 60);
  return `${Math.floor(hours / 24)} d ${two(hours % 24)} h`;
}

/** Between two ISO times; to `nowMs` while the second is null; undefined before the first. */
export function durationBetween(
  from: string | null,
  to: string | null,
  nowMs: number,
): number | undefined {
  if (from === null) return undefined;
  return Math.max(0, (to === null ? nowMs : Date.parse(to)) - Date.parse(from));
}

export function formatTime(iso: string): string {
  return new Date(iso).toLocaleTimeString(undefined, { hour12: false });
}

export function formatDateTime(iso: string): string {
  return new Date(iso).toLocaleString(undefined, {
    year: "numeric",
    month: "short",
    day: "numeric",
    hour: "2-digit",
    minute: "2-digit",
    second: "2-digit",
    hour12: false,
  });
}

export function formatPercent(fraction: number): string {
  const percent = fraction * 100;
  // Never rounds up to 100: only what is finished is finished.
  return `${fraction >= 1 ? 100 : Math.min(99.9, Math.round(percent * 10) / 10)} %`;
}

/** `spaceSaved` and `read_p95_ms` as `Space saved` and `Read p95 ms`. */
export function formatKey(key: string): string {
  const words = key
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .replaceAll("_", " ")
    .toLowerCase()
    .trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export function formatNumber(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 3 : 1 });
}
