import { describe, expect, it } from 'vitest';
import { ClientAddresses } from '../../../src/gateway/address.js';

const behindProxies = new ClientAddresses(['10.0.0.0/8', '2001:db8::/32', '192.0.2.1']);

describe('the address a client is counted under', () => {
  it.each([
    ['203.0.113.7', '', '203.0.113.7'],
    ['::ffff:203.0.113.7', '', '203.0.113.7'],
    ['0000:0000:0000:0000:0000:ffff:cb00:7107', '', '203.0.113.7'],
    ['2a00:1:2:3:4:5:6:7', '', '2a00:1:2:3::/64'],
    ['2a00:1:2:3:9999::1', '', '2a00:1:2:3::/64'],
    ['::1', '', '0:0:0:0::/64'],
    ['fe80::1%eth0', '', 'fe80:0:0:0::/64'],
  ])('of %s with X-Forwarded-For "%s" is %s', (peer, header, expected) => {
    expect(new ClientAddresses([]).of(peer, header)).toBe(expected);
  });

  it('is the peer when nobody is trusted, whatever the header says', () => {
    expect(new ClientAddresses([]).of('203.0.113.7', '198.51.100.1')).toBe('203.0.113.7');
  });

  it.each([
    ['10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['::ffff:10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['2001:db8::5', '198.51.100.1', '198.51.100.1'],
    // who is not trusted is not believed
    ['203.0.113.7', '198.51.100.1', '203.0.113.7'],
    // what a client has put in front of the proxies' own entries does not count
    ['10.1.2.3', '1.1.1.1, 198.51.100.1', '198.51.100.1'],
    ['10.1.2.3', '1.1.1.1, 198.51.100.1, 10.9.9.9', '198.51.100.1'],
    ['10.1.2.3', '10.9.9.9', '10.9.9.9'],
    ['10.1.2.3', '', '10.1.2.3'],
    ['10.1.2.3', 'garbage', '10.1.2.3'],
    ['10.1.2.3', 'garbage, 10.5.5.5', '10.5.5.5'],
    ['10.1.2.3', '2a00:1:2:3:4:5:6:7', '2a00:1:2:3::/64'],
    ['10.1.2.3', '198.51.100.1:43210', '198.51.100.1'],
    ['10.1.2.3', '[2a00:1:2:3:4:5:6:7]:43210', '2a00:1:2:3::/64'],
    ['10.1.2.3', '[2a00:1:2:3:4:5:6:7]', '2a00:1:2:3::/64'],
  ])('behind proxies, from %s with "%s" is %s', (peer, header, expected) => {
    expect(behindProxies.of(peer, header)).toBe(expected);
  });
});
