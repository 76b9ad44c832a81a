import { expect, it } from 'vitest';
import { compileCloudEventValidator } from '../../../src/contract/validators.js';
import { toCloudEvent } from '../../../src/log/cloudEvent.js';
import { parseEntry } from '../../../src/log/entry.js';

const SESSION = 's0123456789abcdef01234567';
const FIELDS = ['e', `session.detached ${SESSION} 3 n1-x {"reason":"closed"}`];

it('shows an event as its schema says', () => {
  const event = toCloudEvent(parseEntry(7, '1700000000123-45', FIELDS));
  expect(event).toEqual({
    specversion: '1.0',
    id: '7:1700000000123-45',
    source: 'n1-x',
    type: 'session.detached',
    subject: SESSION,
    time: '2023-11-14T22:13:20.123Z',
    subjectversion: 3,
    dataversion: 1,
    data: { reason: 'closed' },
  });
  const validate = compileCloudEventValidator();
  expect(validate(event), JSON.stringify(validate.errors)).toBe(true);
});

it('shows the version of the data', () => {
  const event = parseEntry(0, '1-0', ['e', FIELDS[1]!.replace(' ', '@2 ')]);
  expect(toCloudEvent(event)).toMatchObject({ type: 'session.detached', dataversion: 2 });
});

it.each([
  ['it has no field', [], 'it has another form'],
  ['its field has another name', ['t', FIELDS[1]!], 'it has another form'],
  ['a part is missing', ['e', FIELDS[1]!.replace(' n1-x', '')], 'it has another form'],
  ['the version is no number', ['e', FIELDS[1]!.replace(' 3 ', ' x ')], 'it has another form'],
  ['the data are no JSON', ['e', FIELDS[1]!.slice(0, -1)], 'JSON'],
])('refuses an entry when %s', (_, fields, problem) => {
  expect(() => parseEntry(3, '1-0', fields)).toThrow('Entry 3:1-0 of the log is not an event: ');
  expect(() => parseEntry(3, '1-0', fields)).toThrow(problem);
});
