/**
 * What the address of the page says: which run, which task, which actor, and how the tasks are shown.
 *
 * @module
 */

export interface Place {
  /** Undefined: the newest run. */
  readonly workflow: string | undefined;
  readonly task: string | undefined;
  readonly view: "graph" | "list";
  /** Address of the actor that is looked at. */
  readonly actor: string | undefined;
}

export function readPlace(search: string): Place {
  const query = new URLSearchParams(search);
  return {
    workflow: query.get("workflow") ?? undefined,
    task: query.get("task") ?? undefined,
    view: query.get("view") === "list" ? "list" : "graph",
    actor: query.get("actor") ?? undefined,
  };
}

export function writePlace({ workflow, task, view, actor }: Place): string {
  const query = new URLSearchParams();
  if (workflow !== undefined) query.set("workflow", workflow);
  if (task !== undefined) query.set("task", task);
  if (view !== "graph") query.set("view", view);
  if (actor !== undefined) query.set("actor", actor);
  const text = query.toString();
  return text === "" ? "/" : `/?${text}`;
}
