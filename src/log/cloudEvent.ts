import type { CloudEvent } from '../contract/events.generated.js';
import type { Event } from './entry.js';

/**
 * An event as a CloudEvent 1.0 (https://github.com/cloudevents/spec, JSON format), see `schemas/events/cloudevent.json`.
 * A type that only a newer release knows is passed on as it is.
 */
export function toCloudEvent(event: Event): CloudEvent {
  return {
    specversion: '1.0',
    id: `${event.partition}:${event.id}`,
    source: event.node,
    type: event.type as CloudEvent['type'],
    subject: event.subject,
    time: new Date(event.time).toISOString(),
    subjectversion: event.version,
    dataversion: event.dataVersion,
    data: event.data as CloudEvent['data'],
  };
}
