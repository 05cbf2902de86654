// Which queries are asked again when the server is back.
import { QueryClient } from '@tanstack/react-query';
import { expect, it } from 'vitest';
import { ApiError } from './client';
import { isLost } from './hooks';

async function failed(error: Error, times: number) {
  const client = new QueryClient();
  for (let time = 0; time < times; time++) {
    await client
      .fetchQuery({ queryKey: ['x'], queryFn: () => Promise.reject(error), retry: false })
      .catch(() => undefined);
  }
  return client.getQueryCache().find({ queryKey: ['x'] })!;
}

it('takes those that nobody answered, and none without end', async () => {
  expect(isLost(await failed(new ApiError('network', ''), 1))).toBe(true);
  expect(isLost(await failed(new ApiError('http', '502: '), 5))).toBe(true);
  expect(isLost(await failed(new ApiError('http', '502: '), 6))).toBe(false);
  expect(isLost(await failed(new ApiError('bad_data', 'parse error'), 1))).toBe(false);
  expect(isLost(await failed(new Error('a fault of the page'), 1))).toBe(false);
});
