/**
 * Thins out a stream of values to a bounded rate: the first at once, then the newest of each interval.
 *
 * @module
 */

export interface Sampler<T> {
  push(value: T): void;
  /** Emits what is held back, then nothing more. */
  end(): void;
}

export function createSampler<T>(intervalMs: number, emit: (value: T) => void): Sampler<T> {
  let held: { readonly value: T } | undefined;
  let timer: NodeJS.Timeout | undefined;
  let ended = false;
  const flush = (): void => {
    timer = undefined;
    if (held === undefined) return;
    const { value } = held;
    held = undefined;
    emit(value);
    timer = setTimeout(flush, intervalMs);
  };
  return {
    push: (value) => {
      if (ended) return;
      held = { value };
      if (timer === undefined) flush();
    },
    end: () => {
      ended = true;
      clearTimeout(timer);
      if (held !== undefined) emit(held.value);
      held = undefined;
    },
  };
}
