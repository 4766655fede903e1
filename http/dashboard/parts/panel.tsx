/**
 * A card at the side about one thing: takes the focus when it opens, and closes by its button or Escape.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

export interface PanelProps {
  readonly title: string;
  /** `actor`, `task`. */
  readonly about: string;
  /** Which one it is about: another one takes the focus anew. */
  readonly subject: string;
  readonly onClose: () => void;
  readonly children: ComponentChildren;
}

export function Panel({ title, about, subject, onClose, children }: PanelProps): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus({ preventScroll: true });
  }, [subject]);
  return (
    <section
      class={`card panel ${about}-panel`}
      aria-labelledby={`${about}-heading`}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
    >
      <div class="panel-head">
        <h2 id={`${about}-heading`} ref={heading} tabIndex={-1}>
          {title}
        </h2>
        <button type="button" class="close" aria-label={`Close ${about} details`} onClick={onClose}>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path d="m3.5 3.5 9 9m0-9-9 9" />
          </svg>
        </button>
      </div>
      {children}
    </section>
  );
}

/** Names and values; a value that is undefined is left out. */
export function Pairs(props: {
  class: string;
  rows: readonly (readonly [string, string | number | undefined])[];
}): JSX.Element {
  return (
    <dl class={props.class}>
      {props.rows.map(([name, value]) =>
        value === undefined ? null : (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ),
      )}
    </dl>
  );
}
