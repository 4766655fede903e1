/**
 * A binary heap whose items can be moved and removed: each of its steps costs the logarithm of its
 * size. Items are compared by what they are now, so `update` must follow each change of an item.
 *
 * @module
 */

export interface IndexedHeap<T> {
  readonly size: number;
  /** The first item, or undefined when there is none. */
  peek(): T | undefined;
  /** Adds the item, or moves it to its place after it changed. */
  update(item: T): void;
  /** False when the item was not there. */
  remove(item: T): boolean;
  has(item: T): boolean;
}

/** @param before True when `a` comes before `b`; a strict total order. */
export function createIndexedHeap<T extends object>(
  before: (a: T, b: T) => boolean,
): IndexedHeap<T> {
  const items: T[] = [];
  const indexes = new Map<T, number>();

  function put(item: T, index: number): void {
    items[index] = item;
    indexes.set(item, index);
  }

  function rise(item: T, from: number): number {
    let index = from;
    while (index > 0) {
      const parentIndex = (index - 1) >> 1;
      const parent = items[parentIndex];
      if (parent === undefined || !before(item, parent)) break;
      put(parent, index);
      index = parentIndex;
    }
    put(item, index);
    return index;
  }

  function sink(item: T, from: number): void {
    let index = from;
    for (;;) {
      const left = 2 * index + 1;
      const [first, second] = [items[left], items[left + 1]];
      if (first === undefined) break;
      const isSecond = second !== undefined && before(second, first);
      const child = isSecond ? second : first;
      if (!before(child, item)) break;
      put(child, index);
      index = isSecond ? left + 1 : left;
    }
    put(item, index);
  }

  return {
    get size() {
      return items.length;
    },
    peek: () => items[0],
    has: (item) => indexes.has(item),
    update: (item) => {
      sink(item, rise(item, indexes.get(item) ?? items.length));
    },
    remove: (item) => {
      const index = indexes.get(item);
      if (index === undefined) return false;
      indexes.delete(item);
      const last = items.pop();
      if (last !== undefined && last !== item) sink(last, rise(last, index));
      return true;
    },
  };
}
