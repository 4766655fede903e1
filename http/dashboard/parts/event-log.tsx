/**
 * The journal of the run as it grows, newest first, with a filter.
 *
 * @module
 */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import type { JournalEntry } from "../../../runtime/system.ts";
import { formatTime } from "../format.ts";
import { matchesFilter, taskKeyOf, toneOf } from "../journal-filter.ts";
import { go, model, run } from "../store.ts";

/** Rows that are drawn; the filter looks at all that the page keeps. */
const MAX_ROWS = 200;

const filter = signal("");

export function EventLog(): JSX.Element {
  const all = model.value.journal;
  const found = all.filter((entry) => matchesFilter(entry, filter.value));
  const rows = found.slice(-MAX_ROWS).reverse();
  return (
    <section class="card log" aria-labelledby="log-title">
      <div class="log-head">
        <h2 id="log-title">Journal</h2>
        <span class="soft">
          {found.length === all.length ? all.length : `${found.length} of ${all.length}`}
        </span>
      </div>
      <input
        type="search"
        aria-label="Filter the journal"
        placeholder="Filter: words, !without"
        value={filter.value}
        onInput={(event) => {
          filter.value = event.currentTarget.value;
        }}
      />
      {rows.length === 0 ? (
        <p class="empty">
          {all.length === 0 ? "Nothing has happened yet." : "No entry matches the filter."}
        </p>
      ) : (
        <ol tabIndex={0} aria-label="Entries, newest first">
          {rows.map((entry) => (
            <Row key={entry.seq} entry={entry} />
          ))}
        </ol>
      )}
    </section>
  );
}

/** A node signs as `node#incarnation`; the incarnation says nothing to a reader. */
function actorName(actor: string): string {
  return actor.split("#")[0] ?? actor;
}

function Row(props: { entry: JournalEntry }): JSX.Element {
  const { entry } = props;
  const key = taskKeyOf(entry);
  const task = key === undefined ? undefined : run.value?.tasks.get(key);
  return (
    <li class={`tone-${toneOf(entry.type)}`}>
      <time dateTime={entry.at} title={entry.at}>
        {formatTime(entry.at)}
      </time>
      <span class="log-type">{entry.type}</span>
      <span class="log-actor">{actorName(entry.actor)}</span>
      {key !== undefined && (
        <span class="log-about">
          {task === undefined ? (
            key
          ) : (
            <button type="button" class="link" onClick={() => go({ task: task.key })}>
              {task.title}
            </button>
          )}
        </span>
      )}
    </li>
  );
}
