// Which parts of a text become links.
import { expect, it } from 'vitest';
import { linkParts, webAddress } from './links';

const links = (text: string) =>
  linkParts(text)
    .filter(({ href }) => href !== undefined)
    .map(({ text }) => text);

it('finds web addresses and leaves the sentence around them', () => {
  expect(links('https://example.org/run/book?a=b#c')).toEqual(['https://example.org/run/book?a=b#c']);
  expect(links('See http://a.example/x, then (https://b.example/y).')).toEqual([
    'http://a.example/x',
    'https://b.example/y',
  ]);
  expect(links('HTTPS://A.example/Set_(theory)!')).toEqual(['HTTPS://A.example/Set_(theory)']);
  expect(links('"http://a.example/x"<br>')).toEqual(['http://a.example/x']);
});

it('links nothing else', () => {
  for (const text of [
    '',
    'plain',
    'javascript:alert(1)',
    'data:text/html,x',
    'ftp://a.example',
    'http://',
    'xhttp://a',
  ]) {
    expect(links(text), text).toEqual([]);
  }
  expect(webAddress('javascript:alert(1)')).toBeNull();
  expect(webAddress('java\nscript:alert(1)')).toBeNull();
  expect(webAddress('//a.example')).toBeNull();
});

it('keeps the text as it is', () => {
  for (const text of ['a http://x.example b', 'http://[bad https://ok.example.', '))) http://x.example)))']) {
    expect(
      linkParts(text)
        .map((part) => part.text)
        .join(''),
    ).toBe(text);
  }
});

it('is quick with hostile texts', () => {
  const started = performance.now();
  linkParts(`http://a${')'.repeat(100_000)}`);
  linkParts('http://'.repeat(20_000));
  expect(performance.now() - started).toBeLessThan(1000);
});
