/**
 * What a bench measures: a figure with its goal, and how it is shown.
 *
 * @module
 */

export interface Figure {
  readonly name: string;
  /** One value per run. */
  readonly values: readonly number[];
  readonly unit: string;
  readonly goal?: { readonly atMost: number } | { readonly atLeast: number };
  /** Why it is missed, and what would close the gap; shown when it is. */
  readonly ifMissed?: string;
  /** A limit of the machine, measured in the same run. */
  readonly raw?: { readonly name: string; readonly value: number };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

export function isMet({ goal, values }: Figure): boolean | undefined {
  if (goal === undefined) return undefined;
  const value = median(values);
  return "atMost" in goal ? value <= goal.atMost : value >= goal.atLeast;
}

function show(value: number): string {
  const digits = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2;
  return value.toLocaleString("en-US", { maximumFractionDigits: digits });
}

function goalText({ goal }: Figure): string {
  if (goal === undefined) return "–";
  return "atMost" in goal ? `≤ ${show(goal.atMost)}` : `≥ ${show(goal.atLeast)}`;
}

function metText(figure: Figure): string {
  const met = isMet(figure);
  return met === undefined ? "–" : met ? "met" : "**missed**";
}

/** A Markdown table, one row per figure. */
export function toMarkdown(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => {
    const { name, values, unit, raw } = figure;
    const spread = `${show(Math.min(...values))} … ${show(Math.max(...values))}`;
    const limit =
      raw === undefined
        ? "–"
        : `${raw.name}: ${show(raw.value)}${unit === "×" ? "" : `, ratio ${show(median(values) / raw.value)}`}`;
    return `| ${name} | ${show(median(values))} ${unit} | ${spread} | ${goalText(figure)} | ${metText(figure)} | ${limit} |`;
  });
  const missed = figures.flatMap((figure) =>
    isMet(figure) === false && figure.ifMissed !== undefined
      ? [`Missed, ${figure.name}: ${figure.ifMissed}`]
      : [],
  );
  return [
    "| figure | median | min … max | goal | | raw limit in the same run |",
    "|---|---|---|---|---|---|",
    ...rows,
    ...missed.flatMap((line) => ["", line]),
  ].join("\n");
}
