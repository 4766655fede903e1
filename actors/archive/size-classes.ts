/**
 * Classes of bodies by raw size, for figures that mean something: a mean over all sizes does not.
 *
 * @module
 */

/** Upper bounds in bytes, exclusive; what is larger falls into the last class. */
export const sizeClasses = [
  { name: "under 2 KiB", below: 2 * 1024 },
  { name: "2 to 8 KiB", below: 8 * 1024 },
  { name: "8 to 32 KiB", below: 32 * 1024 },
  { name: "32 to 128 KiB", below: 128 * 1024 },
  { name: "128 KiB and more", below: Number.POSITIVE_INFINITY },
] as const;

export type SizeClassName = (typeof sizeClasses)[number]["name"];

export function sizeClassOf(sizeBytes: number): SizeClassName {
  const found = sizeClasses.find(({ below }) => sizeBytes < below);
  return found?.name ?? "128 KiB and more";
}
