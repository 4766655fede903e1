/**
 * A JSON value as a tree that opens and closes.
 *
 * @module
 */

import type { JSX } from "preact";
import type { Json } from "../../../machines/error-code.ts";

/** Entries of one object or list that are drawn; the rest is counted. */
const MAX_ENTRIES = 100;
const MAX_TEXT = 2_000;

export function JsonTree(props: { value: Json; name?: string; depth?: number }): JSX.Element {
  const { value, name, depth = 0 } = props;
  if (typeof value !== "object" || value === null) {
    return (
      <div class="json-leaf">
        {name !== undefined && <span class="json-key">{name}</span>}
        <Leaf value={value} />
      </div>
    );
  }
  const entries = Object.entries(value as Readonly<Record<string, Json>>);
  const size = Array.isArray(value) ? `[${entries.length}]` : `{${entries.length}}`;
  if (entries.length === 0) {
    return (
      <div class="json-leaf">
        {name !== undefined && <span class="json-key">{name}</span>}
        <span class="soft">{Array.isArray(value) ? "[]" : "{}"}</span>
      </div>
    );
  }
  const shown = entries.slice(0, MAX_ENTRIES);
  const rows = (
    <div class="json-rows">
      {shown.map(([key, item]) => (
        <JsonTree key={key} name={key} value={item} depth={depth + 1} />
      ))}
      {entries.length > shown.length && (
        <div class="json-leaf soft">and {entries.length - shown.length} more</div>
      )}
    </div>
  );
  if (name === undefined) return rows;
  return (
    <details open={depth < 2 && entries.length <= 12}>
      <summary>
        <span class="json-key">{name}</span> <span class="soft">{size}</span>
      </summary>
      {rows}
    </details>
  );
}

function Leaf(props: { value: null | boolean | number | string }): JSX.Element {
  const { value } = props;
  if (typeof value !== "string") return <span class="json-plain">{String(value)}</span>;
  const cut = value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}…` : value;
  return cut.includes("\n") ? (
    <pre class="json-text">{cut}</pre>
  ) : (
    <span class="json-string">{cut}</span>
  );
}
