/**
 * The log of a node: JSON lines (pino) in `<dataDir>/spectra.log`, and lines for people.
 *
 * @module
 */

import { closeSync, fstatSync, mkdirSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { styleText } from "node:util";
import { pino } from "pino";
import type { Log } from "../actors/ports.ts";
import { type LogLevel, logLevels } from "./settings.ts";

/** The log file is renamed to `spectra.log.1` at this size. */
export const MAX_LOG_BYTES = 10 * 1024 * 1024;
/** Older files that are kept: `spectra.log.1` is the newest. */
export const KEPT_LOG_FILES = 3;
/** Longest line for people; the file has the rest. */
const MAX_LINE_LENGTH = 2_000;

export interface LoggerOptions {
  /** Created when missing. */
  readonly dataDir: string;
  /** Threshold for people. The file has `info` and up, or `debug` and up when this is `debug`. */
  readonly level: LogLevel;
  /** Takes one line without its end. */
  readonly writeLine: (line: string) => void;
  readonly colour: boolean;
  readonly maxBytes?: number;
}

export interface Logger extends Log {
  readonly file: string;
  /** Lines that could not be written to the file, such as on a full disk. */
  readonly lost: () => number;
  /** Later lines reach people only. Safe to call twice. */
  close(): void;
}

/** Opens the log file. @throws If the folder or file cannot be created. */
export function openLogger(options: LoggerOptions): Logger {
  mkdirSync(options.dataDir, { recursive: true });
  const file = openRotatingFile(
    join(options.dataDir, "spectra.log"),
    options.maxBytes ?? MAX_LOG_BYTES,
    options.writeLine,
  );
  const json = pino(
    { level: options.level === "debug" ? "debug" : "info", base: { pid: process.pid } },
    { write: file.write },
  );
  const threshold = logLevels.indexOf(options.level);
  const at =
    (level: LogLevel) =>
    (message: string, fields: Record<string, unknown> = {}): void => {
      json[level](fields, message);
      if (logLevels.indexOf(level) >= threshold) {
        options.writeLine(humanLine(level, message, fields, new Date(), options.colour));
      }
    };
  return {
    debug: at("debug"),
    info: at("info"),
    warn: at("warn"),
    error: at("error"),
    file: file.path,
    lost: file.lost,
    close: file.close,
  };
}

const colours = { debug: "gray", info: "cyan", warn: "yellow", error: "red" } as const;

/** `12:30:59 warn  message key=value`, without an end of line; stacks stay in the file. */
export function humanLine(
  level: LogLevel,
  message: string,
  fields: Record<string, unknown>,
  at: Date,
  colour: boolean,
): string {
  const time = at.toTimeString().slice(0, 8);
  const name = level.padEnd(5);
  const shown = colour ? styleText(colours[level], name, { validateStream: false }) : name;
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${fieldText(value)}`);
  const line = `${message}${pairs.join("")}`.replaceAll(/\s*\n\s*/g, " ");
  return `${time} ${shown} ${line.slice(0, MAX_LINE_LENGTH)}`;
}

function fieldText(value: unknown): string {
  if (value instanceof Error) return JSON.stringify(value.message);
  if (typeof value === "object" && value !== null && "message" in value) {
    return JSON.stringify(value.message);
  }
  return JSON.stringify(value) ?? "undefined";
}

/** Appends synchronously, so that the last lines before a crash are there. */
function openRotatingFile(path: string, maxBytes: number, report: (line: string) => void) {
  let descriptor: number | undefined = openSync(path, "a", 0o600);
  let size = fstatSync(descriptor).size;
  let lost = 0;
  const close = (): void => {
    const open = descriptor;
    // Forgotten first: a number that was closed may soon belong to another file.
    descriptor = undefined;
    if (open !== undefined) closeSync(open);
  };
  const rotate = (): void => {
    close();
    rmSync(`${path}.${KEPT_LOG_FILES}`, { force: true });
    for (let index = KEPT_LOG_FILES - 1; index >= 0; index--) {
      renameIfThere(index === 0 ? path : `${path}.${index}`, `${path}.${index + 1}`);
    }
    descriptor = openSync(path, "a", 0o600);
    size = 0;
  };
  const write = (line: string): void => {
    try {
      if (size > 0 && size + Buffer.byteLength(line) > maxBytes) rotate();
      if (descriptor === undefined) lost += 1;
      else size += writeSync(descriptor, line);
    } catch (error) {
      // The work goes on without its log; people hear of it once, and the count is kept.
      lost += 1;
      if (lost === 1) report(`Cannot write the log file "${path}": ${String(error)}`);
    }
  };
  return { path, write, close, lost: () => lost };
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}
