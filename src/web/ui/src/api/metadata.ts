// Help and type of a metric, found by its name.
import type { MetadataMap, MetricMetadata } from './types';

/** Metadata is per family; histogram and summary parts share it. */
export function metadataOf(metadata: MetadataMap | undefined, name: string): MetricMetadata | undefined {
  const family = name.replace(/_(bucket|count|sum|total)$/, '');
  return (metadata?.[name] ?? metadata?.[family])?.[0];
}
