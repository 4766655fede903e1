/**
 * Text that fits into a terminal's cells: widths, cuts, padding, bars. Never writes anywhere.
 *
 * @module
 */

/** Control characters and escape codes: a task's message must not move the cursor. */
const unprintable = /\u001b\[[0-9;?]*[A-Za-z]|[\u0000-\u001f\u007f-\u009f]/g;
/** Characters that take two cells: East Asian wide forms and emoji (Unicode TR11, TR51). */
const wide =
  /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|\p{Emoji_Presentation}/u;
const combining = /^(?:\p{Mn}|\p{Me}|\u200d|\ufe0f)$/u;

/** The text on one line, without anything that a terminal would act on. */
export function printable(text: string): string {
  return text.replaceAll(/\s+/g, " ").replaceAll(unprintable, "");
}

/** Terminal cells that a printable text takes. */
export function cellsOf(text: string): number {
  let cells = 0;
  for (const char of text) cells += cellsOfCharacter(char);
  return cells;
}

/** The text in exactly `cells` cells: cut with an ellipsis, or filled with spaces. */
export function fit(text: string, cells: number): string {
  const cut = cutTo(text, cells);
  return cut + " ".repeat(Math.max(0, cells - cellsOf(cut)));
}

/** The text in at most `cells` cells. */
export function cutTo(text: string, cells: number): string {
  const clean = printable(text);
  if (cellsOf(clean) <= cells) return clean;
  let kept = "";
  let used = 0;
  for (const char of clean) {
    used += cellsOfCharacter(char);
    if (used > cells - 1) break;
    kept += char;
  }
  return cells < 1 ? "" : `${kept}…`;
}

/** A bar of `cells` cells, filled to `share` (0 to 1, clamped) in eighths of a cell. */
export function bar(share: number, cells: number): string {
  const eighths = Math.round(Math.min(1, Math.max(0, share)) * cells * 8);
  const full = Math.floor(eighths / 8);
  const rest = " ▏▎▍▌▋▊▉"[eighths % 8] ?? "";
  const filled = "█".repeat(full) + (eighths % 8 === 0 ? "" : rest);
  return filled.padEnd(cells, "░");
}

function cellsOfCharacter(char: string): number {
  if (combining.test(char)) return 0;
  return wide.test(char) ? 2 : 1;
}
