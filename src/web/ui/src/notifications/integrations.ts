// Names of the integrations of a receiver.

/**
 * The kind of an integration, with a number where the receiver has several of that kind: `webhook 2`. One that is no
 * longer there, or is another now, is of the kind that was told.
 */
export function integrationName(
  integrations: readonly { integration: string; index: number }[],
  index: number,
  told?: string,
): string {
  const one = integrations.find((other) => other.index === index);
  if (!one || (told !== undefined && told !== one.integration)) return told ?? '';
  const alike = integrations.filter((other) => other.integration === one.integration);
  return alike.length === 1 ? one.integration : `${one.integration} ${alike.indexOf(one) + 1}`;
}
