/**
 * A link to another place of the page: followed without a reload, and opened in a new tab as any link.
 *
 * @module
 */

import type { ComponentChildren, JSX } from "preact";
import type { Place } from "../place.ts";
import { addressOf, go } from "../store.ts";

export function PlaceLink(props: {
  to: Partial<Place>;
  /** What a press leads to instead, where that is another place. */
  press?: Partial<Place>;
  title?: string;
  onFollow?: () => void;
  children: ComponentChildren;
}): JSX.Element {
  const { to, press = to, title, onFollow } = props;
  return (
    <a
      href={addressOf(to)}
      title={title}
      onClick={(event) => {
        if (event.ctrlKey || event.metaKey) return;
        event.preventDefault();
        go(press);
        onFollow?.();
      }}
    >
      {props.children}
    </a>
  );
}
