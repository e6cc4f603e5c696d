// SPDX-License-Identifier: Apache-2.0
// A client of the control plane's REST interface.

export class RestError extends Error {
  constructor(method, path, status, body) {
    super(`${method} ${path}: ${status} ${JSON.stringify(body)?.slice(0, 600)}`);
    this.status = status;
    this.body = body;
  }
}

export class Rest {
  constructor(url, token) {
    this.url = url;
    this.token = token;
  }

  async raw(method, path, body, headers = {}) {
    return fetch(this.url + path, {
      method,
      headers: {
        ...(this.token ? { authorization: `Bearer ${this.token}` } : {}),
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  }

  async call(method, path, body, headers) {
    const response = await this.raw(method, path, body, headers);
    const text = await response.text();
    let json;
    try {
      json = text === '' ? null : JSON.parse(text);
    } catch {
      json = text;
    }
    if (!response.ok)
      throw new RestError(method, path, response.status, json);
    return json;
  }

  get(path) { return this.call('GET', path); }
  post(path, body) { return this.call('POST', path, body); }
  patch(path, body) { return this.call('PATCH', path, body); }
  delete(path) { return this.call('DELETE', path); }

  // All items of a list, page by page.
  async all(path, limit = 1000) {
    const items = [];
    let cursor = '';
    do {
      const sep = path.includes('?') ? '&' : '?';
      const more = cursor ? `&cursor=${encodeURIComponent(cursor)}` : '';
      const page = await this.get(`${path}${sep}limit=${limit}${more}`);
      items.push(...page.items);
      cursor = page.next_cursor ?? '';
    } while (cursor);
    return items;
  }
}
