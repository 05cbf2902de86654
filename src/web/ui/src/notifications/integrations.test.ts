// Names of the integrations of a receiver.
import { expect, it } from 'vitest';
import { integrationName } from './integrations';

it('numbers integrations of one kind', () => {
  const all = ['webhook', 'slack', 'webhook'].map((integration, index) => ({ integration, index }));
  expect([0, 1, 2].map((index) => integrationName(all, index))).toEqual(['webhook 1', 'slack', 'webhook 2']);
  // A delivery from before a reload.
  expect(integrationName(all, 1, 'email')).toBe('email');
  expect(integrationName(all, 7, 'email')).toBe('email');
});
