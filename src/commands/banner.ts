import type { Config } from '../config/config.js';

/** What `start` says once it runs: where it listens, and a command to paste. */
export function banner(
  config: Pick<Config, 'HOST' | 'ADMIN_HOST' | 'DATA_DIR' | 'tls'>,
  ports: { readonly port?: number; readonly adminPort: number },
): string {
  const host = reachable(config.HOST);
  const url = `${config.tls ? 'wss' : 'ws'}://${host}:${ports.port}/ws`;
  const admin = `http://${reachable(config.ADMIN_HOST)}:${ports.adminPort}`;
  const messages = [
    '{"type":"register","payload":{"username":"jane.doe","password":"secret1"}}',
    '{"type":"logout"}',
  ];
  return `
  OpenChamp session server is running.

    game clients   ${url}
    operators      ${admin}/readyz  ${admin}/metrics
    data           ${config.DATA_DIR}/ (Ctrl-C ends it; the data stay)

  Try it in another terminal:

    node -e 'const {WebSocket}=require("ws"); const ws=new WebSocket("${url}");
      ws.on("open",()=>[${messages.map((message) => JSON.stringify(message)).join(',')}].forEach(m=>ws.send(m)));
      let n=0; ws.on("message",m=>{console.log(""+m); if(++n===2) ws.close()})'

    node dist/cli.js events            what was recorded
    node dist/cli.js --help            everything else

`;
}

/** A host as one reaches it from this machine, in a URL. */
export function reachable(host: string): string {
  const local = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  return local.includes(':') ? `[${local}]` : local;
}
