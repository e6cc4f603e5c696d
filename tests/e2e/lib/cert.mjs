// SPDX-License-Identifier: Apache-2.0
// A private authority and its certificates, as files in a folder.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

export class Authority {
  constructor(dir, file = 'ca', name = 'test authority') {
    this.dir = dir;
    this.file = file;
    this.openssl('req', '-x509', ...curve, '-keyout', `${file}.key`, '-out', `${file}.pem`, '-days', '1', '-subj', `/CN=${name}`);
  }

  openssl(...args) {
    execFileSync('openssl', args, { cwd: this.dir, stdio: 'pipe' });
  }

  path(name) {
    return path.join(this.dir, name);
  }

  read(name) {
    return fs.readFileSync(this.path(name), 'utf8');
  }

  // FILE.pem and FILE.key for names such as 'DNS:localhost,IP:127.0.0.1'.
  certificate(file, names) {
    fs.writeFileSync(this.path(`${file}.ext`), `subjectAltName=${names}\n`);
    this.openssl('req', ...curve, '-keyout', `${file}.key`, '-out', `${file}.csr`, '-subj', '/CN=provider');
    this.openssl('x509', '-req', '-in', `${file}.csr`, '-CA', `${this.file}.pem`, '-CAkey', `${this.file}.key`,
      '-CAcreateserial', '-days', '1', '-extfile', `${file}.ext`, '-out', `${file}.pem`);
    return { cert: this.path(`${file}.pem`), key: this.path(`${file}.key`) };
  }
}
