/**
 * What is wrong with a supervisor's specs: every fault at once, in words for people.
 * Source: Erlang/OTP `supervisor:check_childspecs`.
 *
 * @module
 */

import type { ChildFacts } from "./child-table.ts";
import type { AutoShutdown, Intensity } from "./restart-policy.ts";

const restarts = ["permanent", "transient", "temporary"];
const types = ["worker", "supervisor"];
const strategies = ["one_for_one", "one_for_all", "rest_for_one"];
const autoShutdowns = ["never", "any_significant", "all_significant"];

export interface SpecsToCheck {
  readonly strategy: string;
  readonly intensity: Intensity;
  readonly autoShutdown: AutoShutdown;
  readonly backoff: { readonly initialMs: number; readonly maxMs: number };
  readonly children: readonly ChildToCheck[];
}

export interface ChildToCheck extends ChildFacts {
  /** False: its `start` is no function. Default true. */
  readonly canStart?: boolean;
}

/** @returns One sentence per fault; empty when all is well. Values may come from outside, so types prove nothing. */
export function faultsOfSpecs(specs: SpecsToCheck): string[] {
  const { autoShutdown, backoff, children, intensity, strategy } = specs;
  return [
    ...oneOf("strategy", strategy, strategies),
    ...oneOf("autoShutdown", autoShutdown, autoShutdowns),
    ...whole("intensity.maxRestarts", intensity.maxRestarts, 0),
    ...whole("intensity.periodMs", intensity.periodMs, 1),
    ...atLeast("backoff.initialMs", backoff.initialMs, 0),
    ...atLeast("backoff.maxMs", backoff.maxMs, 0),
    ...children.flatMap((child, index) => faultsOfChild(child, index, autoShutdown)),
    ...duplicates(children.map(({ id }) => id)),
  ];
}

function faultsOfChild(child: ChildToCheck, index: number, autoShutdown: AutoShutdown): string[] {
  const { canStart = true, id, restart, shutdown, significant, type } = child;
  const isNamed = typeof id === "string" && id !== "";
  const name = isNamed ? `child "${id}"` : `child ${index + 1}`;
  const faults = [
    ...(isNamed ? [] : ["has no id"]),
    ...(canStart ? [] : ["has no start function"]),
    ...oneOf("restart", restart, restarts),
    ...oneOf("type", type, types),
    ...(typeof significant === "boolean"
      ? []
      : [`significant is ${shown(significant)}, neither true nor false`]),
    ...(isShutdown(shutdown)
      ? []
      : [`shutdownMs is ${shown(shutdown)}, not a time of 0 ms or more, brutal_kill or infinity`]),
    ...(significant && restart === "permanent"
      ? ["is significant and permanent: a permanent child never ends by itself"]
      : []),
    ...(significant && autoShutdown === "never"
      ? ["is significant, but autoShutdown is never"]
      : []),
  ];
  return faults.map((fault) => `${name}: ${fault}`);
}

function isShutdown(value: unknown): boolean {
  if (value === "brutal_kill" || value === "infinity") return true;
  return typeof value === "number" && Number.isFinite(value) && value >= 0;
}

function oneOf(name: string, value: unknown, allowed: readonly string[]): string[] {
  if (typeof value === "string" && allowed.includes(value)) return [];
  return [`${name} is ${shown(value)}, not one of ${allowed.join(", ")}`];
}

function whole(name: string, value: unknown, least: number): string[] {
  if (typeof value === "number" && Number.isInteger(value) && value >= least) return [];
  return [`${name} is ${shown(value)}, not a whole number of at least ${least}`];
}

function atLeast(name: string, value: unknown, least: number): string[] {
  if (typeof value === "number" && Number.isFinite(value) && value >= least) return [];
  return [`${name} is ${shown(value)}, not a number of at least ${least}`];
}

function duplicates(ids: readonly string[]): string[] {
  const seen = new Set<string>();
  const twice = new Set<string>();
  for (const id of ids) (seen.has(id) ? twice : seen).add(id);
  return [...twice].map((id) => `child "${id}": there are two of that id`);
}

function shown(value: unknown): string {
  return value === undefined ? "missing" : (JSON.stringify(value) ?? typeof value);
}
