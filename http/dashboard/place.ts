/**
 * What the address of the page says: which run, which task, and how the tasks are shown.
 *
 * @module
 */

export interface Place {
  /** Undefined: the newest run. */
  readonly workflow: string | undefined;
  readonly task: string | undefined;
  readonly view: "graph" | "list";
}

export function readPlace(search: string): Place {
  const query = new URLSearchParams(search);
  return {
    workflow: query.get("workflow") ?? undefined,
    task: query.get("task") ?? undefined,
    view: query.get("view") === "list" ? "list" : "graph",
  };
}

export function writePlace({ workflow, task, view }: Place): string {
  const query = new URLSearchParams();
  if (workflow !== undefined) query.set("workflow", workflow);
  if (task !== undefined) query.set("task", task);
  if (view !== "graph") query.set("view", view);
  const text = query.toString();
  return text === "" ? "/" : `/?${text}`;
}
