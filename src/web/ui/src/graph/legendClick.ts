// What a click on a legend entry hides and shows.

/** Series hidden after a click on `index`. */
export function afterClick(
  hidden: ReadonlySet<number>,
  count: number,
  index: number,
  isolate: boolean,
): ReadonlySet<number> {
  if (!isolate) {
    const next = new Set(hidden);
    if (!next.delete(index)) next.add(index);
    return next;
  }
  const isAlone = !hidden.has(index) && hidden.size === count - 1;
  if (isAlone) return new Set();
  const others = new Set(Array.from({ length: count }, (_, other) => other));
  others.delete(index);
  return others;
}
