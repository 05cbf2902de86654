// Reading and writing matchers.
import { describe, expect, it } from 'vitest';
import { formatMatchers, matchersOf, parseMatcher, parseMatchers, silenceAddress } from './matchers';

const equal = (name: string, value: string) => ({ name, value, isRegex: false, isEqual: true });

describe('matchers', () => {
  it('are read with and without quotes', () => {
    expect(parseMatcher('a=b')).toEqual(equal('a', 'b'));
    expect(parseMatcher(' a = "b c" ')).toEqual(equal('a', 'b c'));
    expect(parseMatcher('a!=""')).toEqual({ ...equal('a', ''), isEqual: false });
    expect(parseMatcher('a=~"x|\\d+"')).toEqual({ ...equal('a', 'x|\\d+'), isRegex: true });
    expect(parseMatcher('a!~b')).toEqual({ name: 'a', value: 'b', isRegex: true, isEqual: false });
  });

  it('may have names in quotes', () => {
    expect(parseMatcher('"a b"="c"')).toEqual(equal('a b', 'c'));
    expect(parseMatcher(' "a=\\"b" =~ x')).toEqual({ ...equal('a="b', 'x'), isRegex: true });
    expect(parseMatcher('h\u00f6he="1"')).toEqual(equal('h\u00f6he', '1'));
    const labels = { 'a b': 'c', 'k8s.io/name': 'd', 'x"y\\': 'e', 'h\u00f6he': '1', plain: '"' };
    const text = formatMatchers(matchersOf(labels));
    expect(text.split('\n')[0]).toBe('"a b"="c"');
    expect(parseMatchers(text)).toEqual({ matchers: matchersOf(labels), wrong: [] });
  });

  it('that are none are told', () => {
    for (const text of ['""="b"', '"a="b"', '"a"b="c"', 'a', '=b', 'a="b', 'a=b"c', 'a b=c'])
      expect(parseMatcher(text), text).toBeNull();
    expect(parseMatchers('a=b\n\nnonsense\n')).toEqual({ matchers: [equal('a', 'b')], wrong: ['nonsense'] });
  });

  it('come back as they were written', () => {
    const labels = { alertname: 'A', path: 'C:\\n "x"\ny' };
    expect(parseMatchers(formatMatchers(matchersOf(labels))).matchers).toEqual(matchersOf(labels));
  });

  it('go into an address', () => {
    const [path, search] = silenceAddress({ a: 'b&c' }).split('?');
    expect(path).toBe('/silences');
    expect(new URLSearchParams(search).get('new')).toBe('a="b&c"');
  });
});
