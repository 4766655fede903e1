/**
 * A binary heap: the next of many, by an order that is given.
 *
 * @module
 */

export interface Heap<T> {
  push(item: T): void;
  pop(): T | undefined;
  peek(): T | undefined;
  size(): number;
}

/** @param isBefore A strict order; equal items come out in any order, so make ties impossible. */
export function createHeap<T>(isBefore: (a: T, b: T) => boolean): Heap<T> {
  const items: T[] = [];

  function swapIfBefore(child: number, parent: number): boolean {
    const [below, above] = [items[child], items[parent]];
    if (below === undefined || above === undefined || !isBefore(below, above)) return false;
    items[child] = above;
    items[parent] = below;
    return true;
  }

  function sink(): void {
    let parent = 0;
    for (;;) {
      const left = 2 * parent + 1;
      const [first, second] = [items[left], items[left + 1]];
      if (first === undefined) return;
      const child = second !== undefined && isBefore(second, first) ? left + 1 : left;
      if (!swapIfBefore(child, parent)) return;
      parent = child;
    }
  }

  return {
    push: (item) => {
      items.push(item);
      let child = items.length - 1;
      while (child > 0 && swapIfBefore(child, (child - 1) >> 1)) child = (child - 1) >> 1;
    },
    pop: () => {
      const top = items[0];
      const last = items.pop();
      if (items.length > 0 && last !== undefined) {
        items[0] = last;
        sink();
      }
      return top;
    },
    peek: () => items[0],
    size: () => items.length,
  };
}
