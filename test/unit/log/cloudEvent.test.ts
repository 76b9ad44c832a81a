import { expect, it } from 'vitest';
import { compileCloudEventValidator } from '../../../src/contract/validators.js';
import { toCloudEvent } from '../../../src/log/cloudEvent.js';
import { parseEvent } from '../../../src/log/read.js';

const SESSION = 's0123456789abcdef01234567';
const FIELDS = ['t', 'session.detached', 's', SESSION, 'v', '3', 'n', 'n1-x', 'd', '{"reason":"closed"}'];

it('shows an event as its schema says', () => {
  const event = toCloudEvent(parseEvent(7, '1700000000123-45', FIELDS));
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
  const event = parseEvent(0, '1-0', ['t', 'session.detached@2', ...FIELDS.slice(2)]);
  expect(toCloudEvent(event)).toMatchObject({ type: 'session.detached', dataversion: 2 });
});

it.each([
  ['a field is missing', FIELDS.slice(2), 'it has no field t'],
  ['the version is no number', [...FIELDS.slice(0, 5), 'x', ...FIELDS.slice(6)], '"x" is not a number'],
  ['the data are no JSON', [...FIELDS.slice(0, 9), '{'], 'JSON'],
])('refuses an entry when %s', (_, fields, problem) => {
  expect(() => parseEvent(3, '1-0', fields)).toThrow('Entry 3:1-0 of the log is not an event: ');
  expect(() => parseEvent(3, '1-0', fields)).toThrow(problem);
});
