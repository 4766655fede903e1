/**
 * A supervisor whose children come and go: all of one kind, each from its own arguments, stopped
 * all at once, and forgotten when they have ended. Source: Erlang/OTP `simple_one_for_one`.
 *
 * @module
 */

import { type ChildSpec, checkSpecs, type RunningChild } from "./child-spec.ts";
import {
  type Supervisor,
  type SupervisorOptions,
  startSupervisor,
  withDefaults,
} from "./supervisor.ts";

/** The spec of every child; `start` gets the arguments of the one. */
export interface ChildTemplate<T> extends Omit<ChildSpec, "id" | "start"> {
  start(argument: T, place: Parameters<ChildSpec["start"]>[0]): ReturnType<ChildSpec["start"]>;
}

export interface DynamicSupervisor<T> extends Omit<Supervisor, "startChild" | "changeSpecs"> {
  /** Resolves with the new child and its id, `1` for the first; undefined when its start was ignored. */
  startChild(
    argument: T,
  ): Promise<{ readonly id: string; readonly child: RunningChild } | undefined>;
  /**
   * How children are started from now on; running ones go on, and restart by their own template.
   * @throws {AgentError} `CHILD_SPECS_INVALID`; then nothing has changed.
   */
  changeTemplate(template: ChildTemplate<T>): void;
}

export type DynamicSupervisorOptions<T> = Omit<
  SupervisorOptions,
  "strategy" | "startMode" | "startFailure" | "isDynamic" | "children"
> & { readonly template: ChildTemplate<T> };

/** @throws {AgentError} `CHILD_SPECS_INVALID`. */
export async function startDynamicSupervisor<T>(
  options: DynamicSupervisorOptions<T>,
): Promise<DynamicSupervisor<T>> {
  const rules = { ...options, strategy: "one_for_one" } as const;
  const check = (template: ChildTemplate<T>): ChildTemplate<T> => {
    checkSpecs(options.id, withDefaults(rules), [{ ...template, id: "template" } as ChildSpec]);
    return template;
  };
  let template = check(options.template);
  let lastId = 0;
  const supervisor = await startSupervisor({
    ...rules,
    startMode: "parallel",
    isDynamic: true,
    children: [],
  });
  return {
    ...supervisor,
    startChild: async (argument) => {
      lastId += 1;
      const id = String(lastId);
      const { start, ...facts } = template;
      const child = await supervisor.startChild({
        ...facts,
        id,
        start: (place) => start(argument, place),
      });
      return child === undefined ? undefined : { id, child };
    },
    changeTemplate: (next) => {
      template = check(next);
    },
  };
}
