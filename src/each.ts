/**
 * Does something with each of some, one after the other, also when it fails with others of them.
 * @throws the first failure, at the end
 */
export async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const failures: unknown[] = [];
  for (const item of items) await work(item).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}
