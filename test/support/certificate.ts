import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tempDir } from './guardian.js';

export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  /** The certificate itself, for clients that are to trust it. */
  readonly ca: Buffer;
  /** Settings of a node that is to use it. */
  readonly env: { readonly TLS_CERT_FILE: string; readonly TLS_KEY_FILE: string };
}

/** Makes a self-signed certificate for 127.0.0.1 with the `openssl` command; its files go when this process goes. */
export function makeCertificate(): Certificate {
  const dir = tempDir();
  const [certFile, keyFile] = [join(dir, 'cert.pem'), join(dir, 'key.pem')];
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', keyFile];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1'];
  execFileSync('openssl', ['req', '-x509', ...key, '-out', certFile, '-days', '2', ...subject], {
    stdio: 'pipe',
  });
  const env = { TLS_CERT_FILE: certFile, TLS_KEY_FILE: keyFile };
  return { certFile, keyFile, ca: readFileSync(certFile), env };
}
