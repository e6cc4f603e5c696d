// SPDX-License-Identifier: Apache-2.0
// Compares the provider's bill with the control plane's ledger, request by
// request, and corrects estimated rows from the bill.
import { until } from './proc.mjs';

const keyOf = (row) => `${row.request_id}/${row.attempt}`;
const estimates = new Set(['provider_partial', 'estimated', 'crash_estimated']);

export const isEstimate = (row) => estimates.has(row.source);

// Usage rows by request and attempt: originals and corrections apart.
export async function ledger(rest, query = '') {
  const rows = await rest.all(`/v1/usage${query}`);
  const map = new Map();
  for (const row of rows) {
    const id = keyOf(row);
    const entry = map.get(id) ?? { id, originals: [], corrections: [], cost: 0n, tokens: {} };
    if (row.kind === 'correction')
      entry.corrections.push(row);
    else
      entry.originals.push(row);
    entry.cost += BigInt(row.cost_nanousd);
    for (const [cls, n] of Object.entries(row.tokens ?? {}))
      entry.tokens[cls] = (entry.tokens[cls] ?? 0) + Number(n);
    map.set(id, entry);
  }
  return map;
}

export function oracle(rows) {
  return new Map(rows.map((row) => [keyOf(row), row]));
}

// {lost, duplicated, phantom, drift: [...], costs as BigInt}
export function compare(oracleRows, ledgerMap) {
  const want = oracle(oracleRows);
  const result = {
    lost: [], duplicated: [], phantom: [], drift: [],
    oracleCost: 0n, ledgerCost: 0n, oracleRows: want.size, ledgerRows: 0,
  };
  result.duplicatedAtProvider = oracleRows.length - want.size;
  for (const [id, row] of want) {
    result.oracleCost += BigInt(row.cost_nanousd);
    const got = ledgerMap.get(id);
    if (!got)
      result.lost.push(id);
    else if (got.cost !== BigInt(row.cost_nanousd))
      result.drift.push({ id, want: row.cost_nanousd, got: String(got.cost), row, entry: got });
  }
  for (const [id, entry] of ledgerMap) {
    result.ledgerCost += entry.cost;
    result.ledgerRows += entry.originals.length;
    if (entry.originals.length > 1)
      result.duplicated.push(id);
    if (!want.has(id) && entry.cost !== 0n)
      result.phantom.push({ id, entry });
  }
  return result;
}

// What POST /v1/usage/corrections needs: the truth about rows whose counts are
// not the provider's last word.
export function corrections(oracleRows, ledgerMap) {
  const want = oracle(oracleRows);
  const list = [];
  for (const [id, entry] of ledgerMap) {
    if (!entry.originals.some((r) => isEstimate(r)))
      continue;
    const row = want.get(id);
    const { request_id, attempt } = entry.originals[0];
    list.push(row ? { request_id, attempt, tokens: row.tokens, tier: row.tier ?? '' }
      : { request_id, attempt, absent: true });
  }
  return list;
}

// The agents have shipped everything that the provider billed.
export async function shipped(stack, ms = 30000) {
  await until('usage to be shipped', async () => {
    const { items } = await stack.rest.get('/v1/agents?limit=100');
    if (items.some((a) => a.state === 'connected' && Number(a.unshipped) > 0))
      return false;
    const rows = oracle(await stack.provider.bill());
    const got = await ledger(stack.rest);
    return [...rows.keys()].every((id) => got.has(id));
  }, ms, 100).catch(() => {});
}

// Ships, corrects, compares; throws unless both bills agree to the last
// nano-dollar. Returns the comparison and how many rows were corrected.
export async function reconcile(stack, ms = 30000) {
  await shipped(stack, ms);
  const bill = await stack.provider.bill();
  const fixes = corrections(bill, await ledger(stack.rest));
  for (let i = 0; i < fixes.length; i += 500)
    await stack.rest.post('/v1/usage/corrections', { items: fixes.slice(i, i + 500) });
  const result = compare(bill, await ledger(stack.rest));
  result.corrected = fixes.length;
  return result;
}

export function agree(result) {
  const show = (list) => JSON.stringify(list.slice(0, 3), (_, v) =>
    (typeof v === 'bigint' ? String(v) : v));
  for (const what of ['lost', 'duplicated', 'phantom', 'drift']) {
    if (result[what].length > 0)
      throw new Error(`${what}: ${result[what].length}, e.g. ${show(result[what])}`);
  }
  if (result.oracleCost !== result.ledgerCost)
    throw new Error(`cost: provider ${result.oracleCost}, ledger ${result.ledgerCost}`);
}
