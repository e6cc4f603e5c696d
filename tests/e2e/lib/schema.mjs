// SPDX-License-Identifier: Apache-2.0
// Checks JSON against the schemas of an OpenAPI document: the part of JSON
// Schema that ours uses. Objects with declared properties may have no others.

export class Schemas {
  constructor(doc) {
    this.doc = doc;
  }

  resolve(schema) {
    let s = schema;
    while (s?.$ref)
      s = s.$ref.slice(2).split('/').reduce((at, k) => at[k], this.doc);
    return s;
  }

  operation(method, pattern) {
    return this.doc.paths[pattern]?.[method.toLowerCase()];
  }

  // Schema of the JSON answer with that status; null when it has none.
  answer(op, status) {
    const response = this.resolve(op.responses[status]);
    if (!response)
      throw new Error(`${op.operationId} does not describe status ${status}`);
    const content = response.content ?? {};
    return (content['application/json'] ?? content['application/problem+json'])?.schema ?? null;
  }

  // List of what is wrong.
  check(schema, value, at = '') {
    const s = this.resolve(schema);
    if (s.allOf) {
      const merged = { type: 'object', properties: {}, required: [] };
      for (const part of s.allOf.map((p) => this.resolve(p))) {
        Object.assign(merged.properties, part.properties);
        merged.required.push(...(part.required ?? []));
      }
      return this.check(merged, value, at);
    }
    const types = s.type === undefined ? [] : [s.type].flat();
    const kind = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
    const fits = types.length === 0 || types.includes(kind) ||
      (kind === 'number' && types.includes('integer') && Number.isInteger(value));
    if (!fits)
      return [`${at || '/'}: ${kind}, not ${types.join(' or ')}`];
    if (value === null)
      return [];
    if (s.enum && !s.enum.includes(value))
      return [`${at}: ${value} is not one of ${s.enum}`];
    if (s.const !== undefined && s.const !== value)
      return [`${at}: ${value} is not ${s.const}`];
    if (s.format === 'date-time' && Number.isNaN(Date.parse(value)))
      return [`${at}: ${value} is no instant`];
    if (kind === 'array')
      return value.flatMap((v, i) => this.check(s.items ?? {}, v, `${at}/${i}`));
    return kind === 'object' ? this.members(s, value, at) : [];
  }

  members(s, value, at) {
    const bad = (s.required ?? []).filter((k) => !(k in value)).map((k) => `${at}/${k} is missing`);
    for (const [k, v] of Object.entries(value)) {
      const sub = s.properties?.[k] ?? s.additionalProperties;
      if (sub)
        bad.push(...this.check(sub, v, `${at}/${k}`));
      else if (s.properties)
        bad.push(`${at}/${k} is not described`);
    }
    return bad;
  }

  // A body made of the examples in a schema.
  example(schema) {
    const out = {};
    for (const [k, v] of Object.entries(this.resolve(schema).properties ?? {})) {
      const p = this.resolve(v);
      if (p.examples)
        out[k] = p.examples[0];
      else if (p.default !== undefined)
        out[k] = p.default;
    }
    return out;
  }
}
