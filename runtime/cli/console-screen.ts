/**
 * Keeps a block of lines at the bottom of a terminal up to date; other lines scroll past above it.
 * Each change is one write: cursor up, overwrite, clear the rest (ECMA-48), inside a synchronised update.
 *
 * @module
 */

const CSI = "\u001b[";

export interface Terminal {
  readonly columns?: number;
  readonly rows?: number;
  write(text: string): unknown;
}

export interface ConsoleScreen {
  /** Replaces the block. */
  draw(lines: readonly string[]): void;
  /** Writes a line above the block. */
  printAbove(line: string): void;
  /** Leaves the block where it is and shows the cursor again. Safe to call twice. */
  close(): void;
}

/** Hides the cursor until `close`. The lines that are drawn must fit the terminal's width. */
export function openConsoleScreen(terminal: Terminal): ConsoleScreen {
  let shown: readonly string[] = [];
  let open = true;
  const repaint = (above: readonly string[], lines: readonly string[]): void => {
    const up = shown.length > 0 ? `${CSI}${shown.length}A` : "";
    const text = [...above, ...lines].map((line) => `${line}${CSI}K\n`).join("");
    terminal.write(`${CSI}?2026h\r${up}${text}${CSI}J${CSI}?2026l`);
    shown = lines;
  };
  terminal.write(`${CSI}?25l`);
  return {
    draw: (lines) => {
      const same = lines.length === shown.length && lines.every((line, at) => line === shown[at]);
      if (open && !same) repaint([], lines);
    },
    printAbove: (line) => {
      if (open) repaint([line], shown);
      else terminal.write(`${line}\n`);
    },
    close: () => {
      if (open) terminal.write(`${CSI}?25h`);
      open = false;
    },
  };
}
