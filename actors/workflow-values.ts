/**
 * What a workflow's values are written with: references, which are filled in while a run goes on, and
 * conditions over them. Each function returns plain JSON.
 *
 * @module
 */

import type { Json } from "../machines/error-code.ts";
import type { Condition } from "../machines/run/values.ts";

export interface ParamRef<Name extends string = string> {
  readonly $param: Name;
  readonly path?: string;
}

export interface OutputRef<Task extends string = string, Path extends string = string> {
  readonly $output: Task;
  readonly path?: Path;
}

export interface ItemRef<Path extends string = string> {
  readonly $item: true;
  readonly path?: Path;
}

export interface IndexRef {
  readonly $index: true;
}

export interface ContextRef {
  readonly $context: true;
  readonly path?: string;
}

export interface EventRef {
  readonly $event: true;
  readonly path?: string;
}

/** A value that is filled in when the task begins. */
export type Ref = ParamRef | OutputRef | ItemRef | IndexRef | ContextRef | EventRef;

export type TaskInput = Json | Ref | readonly TaskInput[] | { readonly [key: string]: TaskInput };

/** Reads a workflow input. */
export function param<const Name extends string>(name: Name): ParamRef<Name> {
  return { $param: name };
}

/**
 * Reads the output of a finished task; `path` is dotted, as in `profile.messages`. Of a task with
 * `forEach` it is the list of all outputs; of a task that was skipped, null.
 */
export function output<const Task extends string>(task: Task): OutputRef<Task, never>;
export function output<const Task extends string, const Path extends string>(
  task: Task,
  path: Path,
): OutputRef<Task, Path>;
export function output(task: string, path?: string): OutputRef {
  return path === undefined ? { $output: task } : { $output: task, path };
}

/** In a task with `forEach`, or in a pipeline: the item that this instance works on. */
export function item(): ItemRef<never>;
export function item<const Path extends string>(path: Path): ItemRef<Path>;
export function item(path?: string): ItemRef {
  return path === undefined ? { $item: true } : { $item: true, path };
}

/** The item's place in its list, from 0. */
export function index(): IndexRef {
  return { $index: true };
}

/** Reads the statechart's context. */
export function context(path?: string): ContextRef {
  return path === undefined ? { $context: true } : { $context: true, path };
}

/** In guards and `set` of a statechart: the event, as `event("output.size")` or a signal's `event("payload.size")`. */
export function event(path?: string): EventRef {
  return path === undefined ? { $event: true } : { $event: true, path };
}

type Side = TaskInput;

/** Equal as JSON. */
export function eq(left: Side, right: Side): Condition {
  return { $eq: [left, right] };
}

export function ne(left: Side, right: Side): Condition {
  return { $ne: [left, right] };
}

/** Numbers with numbers, texts with texts; of anything else it does not hold. */
export function lt(left: Side, right: Side): Condition {
  return { $lt: [left, right] };
}

export function lte(left: Side, right: Side): Condition {
  return { $lte: [left, right] };
}

export function gt(left: Side, right: Side): Condition {
  return { $gt: [left, right] };
}

export function gte(left: Side, right: Side): Condition {
  return { $gte: [left, right] };
}

/** Whether the list `right` has `left` in it. */
export function isIn(left: Side, right: Side): Condition {
  return { $in: [left, right] };
}

export function and(...conditions: readonly Condition[]): Condition {
  return { $and: conditions };
}

export function or(...conditions: readonly Condition[]): Condition {
  return { $or: conditions };
}

export function not(condition: Condition): Condition {
  return { $not: condition };
}

/** A guard of a statechart. */
export function when(condition: Condition): { readonly type: "when"; readonly params: Condition } {
  return { type: "when", params: condition };
}

/** An action of a statechart: puts values into its context. */
export function set(values: { readonly [key: string]: TaskInput }): {
  readonly type: "set";
  readonly params: { readonly [key: string]: TaskInput };
} {
  return { type: "set", params: values };
}
