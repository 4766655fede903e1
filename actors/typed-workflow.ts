/**
 * How the compiler checks a workflow against the agents that it is given: names of actions, inputs that
 * are missing or misspelt, paths into outputs, and the types of what one task hands to the next.
 * Types only; `checkDefinition` says the same of a definition that is data.
 *
 * @module
 */

import type { AgentDefinition, Capability } from "./define-agent.ts";
import type { StageOptions, Stages, TaskDefinition } from "./define-workflow.ts";
import type {
  ContextRef,
  EventRef,
  IndexRef,
  ItemRef,
  OutputRef,
  ParamRef,
  Ref,
} from "./workflow-values.ts";

/** By name: `{ SCANNER, THUMBNAILER }`. */
export type Agents = Readonly<Record<string, AgentDefinition>>;
export type Tasks = Readonly<Record<string, TaskDefinition>>;

/** A type that nothing has, and that says why. */
export interface Mistake<Message extends string> {
  readonly mistake: Message;
}

/** What the tasks of one graph may refer to. */
interface Scope {
  readonly agents: Agents;
  readonly params: string;
  /** All tasks of the workflow. */
  readonly tasks: Tasks;
  /** What `item()` is; `Missing` outside of a group. */
  readonly item: unknown;
  /** Keys of the tasks that work on the same item. */
  readonly group: string;
}

declare const missing: unique symbol;
interface Missing {
  readonly [missing]: true;
}

/** What fits everywhere: the engine checks it. */
type Unchecked = ReturnType<typeof JSON.parse>;
type IsAny<T> = 0 extends 1 & T ? true : false;

/** `AGENT.action` of all agents. */
type ActionName<A extends Agents> = {
  [N in keyof A & string]: `${N}.${keyof A[N]["capabilities"] & string}`;
}[keyof A & string];

type CapabilityOf<A extends Agents, D> = D extends `${infer N}.${infer K}`
  ? N extends keyof A
    ? K extends keyof A[N]["capabilities"]
      ? A[N]["capabilities"][K]
      : never
    : never
  : never;
type InputOf<C> = C extends Capability<infer I, unknown> ? I : never;
type OutputOf<C> = C extends Capability<unknown, infer O> ? O : never;

/** The value at a dotted path; any where the types do not know. */
type At<V, P extends string> =
  IsAny<V> extends true
    ? V
    : unknown extends V
      ? // What is unknown fits everywhere; the engine checks it.
        Unchecked
      : P extends `${infer Head}.${infer Rest}`
        ? At<Step<V, Head>, Rest>
        : Step<V, P>;
type Step<V, K extends string> = [StepIn<NonNullable<V>, K>] extends [never]
  ? Missing
  : StepIn<NonNullable<V>, K>;
type StepIn<V, K extends string> = V extends Missing
  ? never
  : V extends readonly (infer E)[]
    ? K extends `${number}`
      ? E
      : never
    : V extends object
      ? K extends keyof V
        ? V[K]
        : never
      : never;

type TaskOutput<S extends Scope, K> = K extends keyof S["tasks"]
  ? S["tasks"][K] extends { readonly forEach: unknown }
    ? K extends S["group"]
      ? OneOutput<S, S["tasks"][K]>
      : readonly OneOutput<S, S["tasks"][K]>[]
    : OneOutput<S, S["tasks"][K]>
  : Missing;
// Nobody knows the types of signals and of other workflows here.
type OneOutput<S extends Scope, T> = T extends { readonly do: infer D }
  ? OutputOf<CapabilityOf<S["agents"], D>>
  : Unchecked;

/** What a reference gives. */
type Resolved<R, S extends Scope> =
  R extends ParamRef<infer N>
    ? N extends S["params"]
      ? // Inputs have names only; their types come from where they go.
        Unchecked
      : Missing
    : R extends OutputRef<infer K, infer P>
      ? [P] extends [never]
        ? TaskOutput<S, K>
        : At<TaskOutput<S, K>, P>
      : R extends ItemRef<infer P>
        ? [P] extends [never]
          ? S["item"]
          : At<S["item"], P>
        : R extends IndexRef
          ? number
          : R extends ContextRef | EventRef
            ? // A chart's context is data.
              Unchecked
            : never;

type RefText<R> =
  R extends ParamRef<infer N>
    ? `the input "${N}"`
    : R extends OutputRef<infer K, infer P>
      ? [P] extends [never]
        ? `the output of "${K}"`
        : `the output of "${K}" at "${P}"`
      : R extends ItemRef<infer P>
        ? [P] extends [never]
          ? "the item"
          : `the item at "${P}"`
        : "the index";

/** The value itself when it fits what is wanted, else what should stand there. */
type Checked<Want, W, S extends Scope> = W extends Ref
  ? CheckedRef<Want, W, Resolved<W, S>>
  : IsAny<Want> extends true
    ? CheckedInside<W, S>
    : unknown extends Want
      ? CheckedInside<W, S>
      : W extends readonly unknown[]
        ? Want extends readonly (infer E)[]
          ? { readonly [I in keyof W]: Checked<E, W[I], S> }
          : Want
        : W extends object
          ? CheckedObject<Extract<Want, object>, W, S>
          : W extends Want
            ? W
            : Want | Mistake<"has another type than the action takes">;
type CheckedRef<Want, W, R> =
  IsAny<R> extends true
    ? W
    : [R] extends [Missing]
      ? Mistake<`does not exist: ${RefText<W>}`>
      : [R] extends [Loose<Want>]
        ? W
        : Mistake<`has another type than the action takes: ${RefText<W>}`>;
/** Where any value fits, references must still exist. */
// See above.
type CheckedInside<W, S extends Scope> = W extends object
  ? { readonly [K in keyof W]: Checked<Unchecked, W[K], S> }
  : W;
type CheckedObject<Want, W, S extends Scope> = {
  readonly [K in keyof W]: K extends keyof Want
    ? Checked<Want[K], W[K], S>
    : Mistake<"is no input of the action">;
} & { readonly [K in Exclude<RequiredKeys<Want>, keyof W>]: Want[K] | Ref };
type RequiredKeys<T> = {
  [K in keyof T]-?: undefined extends T[K] ? never : K;
}[keyof T];
/** Outputs are parsed, so that nobody changes them: read-only lists fit where lists are taken. */
type Loose<T> =
  IsAny<T> extends true
    ? T
    : T extends readonly (infer E)[]
      ? readonly Loose<E>[]
      : T extends object
        ? { readonly [K in keyof T]: Loose<T[K]> }
        : T;

type ItemOf<F, S extends Scope> = F extends Ref
  ? IsAny<Resolved<F, S>> extends true
    ? Resolved<F, S>
    : Resolved<F, S> extends readonly (infer E)[]
      ? E
      : Missing
  : F extends readonly (infer E)[]
    ? E
    : Missing;

type CheckedList<F, S extends Scope> = F extends Ref
  ? IsAny<Resolved<F, S>> extends true
    ? F
    : [Resolved<F, S>] extends [Missing]
      ? Mistake<`does not exist: ${RefText<F>}`>
      : [Resolved<F, S>] extends [readonly unknown[]]
        ? F
        : Mistake<`is no list: ${RefText<F>}`>
  : F;

type ExpectedTask<T, S extends Scope> = Omit<
  TaskDefinition,
  "do" | "with" | "after" | "forEach"
> & {
  readonly do?: ActionName<S["agents"]>;
  readonly after?: readonly (keyof S["tasks"] & string)[];
} & (T extends { readonly forEach: infer F }
    ? { readonly forEach: CheckedList<F, S> }
    : { readonly forEach?: never }) &
  ExpectedWith<T, T extends { readonly forEach: infer F } ? InGroup<S, ItemOf<F, S>> : S>;

type InGroup<S extends Scope, Item> = Omit<S, "item"> & { readonly item: Item };

type ExpectedWith<T, S extends Scope> = T extends { readonly do: infer D }
  ? [CapabilityOf<S["agents"], D>] extends [never]
    ? { readonly with?: unknown }
    : WithFor<InputOf<CapabilityOf<S["agents"], D>>, T, S>
  : // The input of a child workflow is checked when the run starts.
    WithFor<Unchecked, T, S>;
type WithFor<I, T, S extends Scope> = T extends { readonly with: infer W }
  ? { readonly with: Checked<I, W, S> }
  : IsAny<I> extends true
    ? { readonly with?: never }
    : [RequiredKeys<I>] extends [never]
      ? { readonly with?: never }
      : { readonly with: { readonly [K in RequiredKeys<I>]: I[K] | Ref } };

type ExpectedTasks<T extends Tasks, S extends Scope> = {
  readonly [K in keyof T]: ExpectedTask<T[K], S>;
};

type ScopeOf<A extends Agents, P extends readonly string[], T extends Tasks> = {
  readonly agents: A;
  readonly params: P[number];
  readonly tasks: T;
  readonly item: Missing;
  readonly group: never;
};

/** Nothing is checked without agents, or of tasks that were made by a program. */
type IsOpen<A, T> = string extends keyof A ? true : string extends keyof T ? true : false;

/** `T` itself when it is right, else what its tasks should look like. */
export type CheckedTasks<
  A extends Agents,
  P extends readonly string[],
  T extends Tasks,
  Items = undefined,
> =
  IsOpen<A, T> extends true
    ? { readonly [K in keyof T]: TaskDefinition }
    : T extends ExpectedTasks<T, GraphScope<ScopeOf<A, P, T>, T, Items>>
      ? T
      : ExpectedTasks<T, GraphScope<ScopeOf<A, P, T>, T, Items>>;

/** In a pipeline every task has the item, and reads what the others made of it. */
type GraphScope<S extends Scope, T extends Tasks, Items> = Items extends undefined
  ? S
  : {
      readonly agents: S["agents"];
      readonly params: S["params"];
      readonly tasks: S["tasks"];
      readonly item: ItemOf<Items, S>;
      readonly group: keyof T & string;
    };

/** The tasks of all stages: a union of functions takes the intersection of their arguments. */
type Merged<S extends Stages> = ({
  [K in keyof S]: (tasks: S[K]["tasks"]) => void;
}[keyof S] extends infer U
  ? (U extends unknown ? U : never) extends (tasks: infer T) => void
    ? T
    : never
  : never) &
  Tasks;

type ExpectedStages<A extends Agents, P extends readonly string[], S extends Stages> = {
  readonly [K in keyof S]: Omit<Stages[string], "tasks"> & {
    readonly tasks: ExpectedTasks<
      S[K]["tasks"],
      GraphScope<
        ScopeOf<A, P, Merged<S>>,
        S[K]["tasks"],
        S[K] extends { readonly items: infer I } ? I : undefined
      >
    >;
  };
};

export type CheckedStages<A extends Agents, P extends readonly string[], S extends Stages> =
  IsOpen<A, S> extends true
    ? { readonly [K in keyof S]: StageOptions }
    : S extends ExpectedStages<A, P, S>
      ? S
      : ExpectedStages<A, P, S>;
