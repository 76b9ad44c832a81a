import type { HttpRequest, HttpResponse } from 'uWebSockets.js';
import { BlockList, isIP, isIPv4 } from 'node:net';

/** Finds the address of a client behind trusted proxies. */
export class ClientAddresses {
  private readonly trusted = new BlockList();
  private readonly trustsAny: boolean;

  /** @param proxies addresses or CIDR ranges whose `X-Forwarded-For` is believed */
  constructor(proxies: readonly string[]) {
    this.trustsAny = proxies.length > 0;
    for (const proxy of proxies) {
      const [address = '', bits] = proxy.split('/');
      const family = isIPv4(address) ? 'ipv4' : 'ipv6';
      if (bits === undefined) this.trusted.addAddress(address, family);
      else this.trusted.addSubnet(address, Number(bits), family);
    }
  }

  /** The address to count the sender of a request under. To be called before the first wait, while there is a request. */
  ofRequest(response: HttpResponse, request: HttpRequest): string {
    const peer = Buffer.from(response.getRemoteAddressAsText()).toString();
    if (!this.trustsAny) return this.of(peer, '');
    // a proxy may add a line of its own behind one that the client has sent: both are one list (RFC 9110, 5.3)
    const forwardedFor: string[] = [];
    request.forEach((name, value) => {
      if (name === 'x-forwarded-for') forwardedFor.push(value);
    });
    return this.of(peer, forwardedFor.join(','));
  }

  /**
   * The address to count a client under: from right to left, the first that is no trusted proxy.
   * @param peer the other end of the TCP connection, as text
   * @param forwardedFor the header `X-Forwarded-For`, empty if there is none
   * @returns an IPv4 address, or the /64 network of an IPv6 address (one household, one host)
   */
  of(peer: string, forwardedFor: string): string {
    let address = unmapped(peer);
    if (this.trustsAny && forwardedFor !== '') {
      const hops = forwardedFor.split(',');
      while (hops.length > 0 && this.isTrusted(address)) {
        const hop = unmapped(withoutPort(hops.pop()!.trim()));
        if (isIP(hop) === 0) break;
        address = hop;
      }
    }
    return isIPv4(address) ? address : network64(address);
  }

  private isTrusted(address: string): boolean {
    return this.trusted.check(address, isIPv4(address) ? 'ipv4' : 'ipv6');
  }
}

/** Some proxies add the port: `1.2.3.4:5678`, `[2001:db8::1]:5678`. */
function withoutPort(hop: string): string {
  return /^(\d+(?:\.\d+){3}):\d+$/.exec(hop)?.[1] ?? /^\[(.*)\](?::\d+)?$/.exec(hop)?.[1] ?? hop;
}

/** An IPv4 address that is written as IPv6 (`::ffff:1.2.3.4`, in whatever form), as IPv4. */
function unmapped(address: string): string {
  if (isIP(address) !== 6) return address;
  const groups = groupsOf(address);
  if (!groups.slice(0, 5).every((group) => group === 0) || groups[5] !== 0xffff) return address;
  return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join('.');
}

function network64(address: string): string {
  if (isIP(address) !== 6) return address;
  return `${groupsOf(address)
    .slice(0, 4)
    .map((group) => group.toString(16))
    .join(':')}::/64`;
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const plain = address.replace(/%.*$/, '').replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, a, b, c, d) => {
    const [high, low] = [Number(a) * 256 + Number(b), Number(c) * 256 + Number(d)];
    return `${high.toString(16)}:${low.toString(16)}`;
  });
  const [head = '', tail] = plain.split('::');
  const parse = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16));
  const [front, back] = [parse(head), parse(tail ?? '')];
  return [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
}
