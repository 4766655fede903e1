/** @module Tests that the block is redrawn in place: what a terminal shows after the escape codes. */

import { describe, expect, test } from "vitest";
import { openConsoleScreen } from "../../../runtime/cli/console-screen.ts";

/** Enough of a terminal for the codes that are used: cursor up, erase line, erase below, carriage return. */
function createTerminal() {
  const lines: string[] = [];
  let row = 0;
  let cursor = true;
  const act = (code: string, count: number): void => {
    if (code === "A") row -= count;
    if (code === "J") lines.length = row;
    if (code === "h") cursor = true;
    if (code === "l") cursor = false;
  };
  const write = (text: string): void => {
    for (const piece of text.match(/\u001b\[\??\d*[A-Za-z]|\n|[^\n\u001b]+/g) ?? []) {
      const code = /^\u001b\[(\??)(\d*)([A-Za-z])$/.exec(piece);
      if (code !== null) {
        if (code[2] !== "2026") act(code[3] ?? "", Number(code[2] || 1));
      } else if (piece === "\n") row += 1;
      else if (piece !== "\r") lines[row] = piece.replace(/^\r/, "");
    }
  };
  return { write, lines, cursor: () => cursor };
}

describe("openConsoleScreen()", () => {
  test("redraws in place, also when the block shrinks", () => {
    const terminal = createTerminal();
    const screen = openConsoleScreen(terminal);
    screen.draw(["one", "two", "three"]);
    screen.draw(["uno", "dos"]);
    expect(terminal.lines).toEqual(["uno", "dos"]);
  });

  test("keeps other lines above the block", () => {
    const terminal = createTerminal();
    const screen = openConsoleScreen(terminal);
    screen.draw(["block"]);
    screen.printAbove("first");
    screen.printAbove("second");
    expect(terminal.lines).toEqual(["first", "second", "block"]);
  });

  test("shows the cursor again and writes below the block after it is closed", () => {
    const terminal = createTerminal();
    const screen = openConsoleScreen(terminal);
    screen.draw(["block"]);
    expect(terminal.cursor()).toBe(false);
    screen.close();
    screen.printAbove("after");
    expect(terminal.lines).toEqual(["block", "after"]);
    expect(terminal.cursor()).toBe(true);
  });

  test("writes nothing when nothing changed", () => {
    const writes: string[] = [];
    const screen = openConsoleScreen({ write: (text) => writes.push(text) });
    screen.draw(["same"]);
    screen.draw(["same"]);
    expect(writes).toHaveLength(2);
  });
});
