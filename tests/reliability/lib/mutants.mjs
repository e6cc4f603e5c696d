// SPDX-License-Identifier: Apache-2.0
// Small wrong changes of C code: one operator, constant or statement at a
// time. Comments, strings, preprocessor lines and MUST() checks are left
// alone; so are lines that only log, count or word an error, because no test
// of money should depend on them.
const RULES = [
  [/ < /g, ' <= '], [/ > /g, ' >= '], [/ <= /g, ' < '], [/ >= /g, ' > '],
  [/ == /g, ' != '], [/ != /g, ' == '], [/ && /g, ' || '], [/ \|\| /g, ' && '],
  [/ \+ /g, ' - '], [/ - /g, ' + '], [/ \+= /g, ' -= '], [/ -= /g, ' += '],
  [/\btrue\b/g, 'false'], [/\bfalse\b/g, 'true'], [/\bmin64\(/g, 'max64('],
  [/\bmax64\(/g, 'min64('], [/= 0;/g, '= 1;'], [/\+\+;/g, '--;'], [/\bcontinue;/g, 'break;'],
  [/^(\t+)[a-z_]+\([^;]*\);$/g, '$1;'],
];
const SKIP = /MUST|log_|err_set|metric|journal_count|snprintf|sizeof|^#|static const|static_assert|memory_order|close\(|free\(|destroy\(|release\(|return err/;

// Source with comments and strings blanked, same length.
function bare(text) {
  return text.replace(/\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\\n])*"/g, (m) => m.replace(/[^\n]/g, ' '));
}

// "a < b ? a : b" and "a > b ? a - b : 0" say the same of equal numbers with <=
// and >=: that is no change.
function sameWhenEqual(line, at) {
  const m = /([\w>.-]+) [<>]=? ([\w>.-]+)\)? \? ([^?:]+?) : ([^?:;,]+?)[;,)]/.exec(line);
  if (!m || m.index + m[1].length !== at)
    return false;
  const [a, b] = [m[1], m[2]];
  const equal = (text) => text.split(a).join(b).replace(`${b} - ${b}`, '0');
  return equal(m[3]) === equal(m[4]);
}

// All mutants of a file: {line, from, to, text} where text is the new source.
export function mutants(source) {
  const lines = source.split('\n');
  const plain = bare(source).split('\n');
  const list = [];
  let inBody = false;
  lines.forEach((line, i) => {
    if (/^\{/.test(line)) inBody = true;
    if (/^\}/.test(line)) inBody = false;
    if (!inBody || SKIP.test(line) || plain[i].trim() === '')
      return;
    for (const [from, to] of RULES) {
      for (const m of plain[i].matchAll(from)) {
        const now = m[0].replace(new RegExp(from.source), to);
        const changed = line.slice(0, m.index) + now + line.slice(m.index + m[0].length);
        if (changed === line || (/^ [<>]=? $/.test(m[0]) && sameWhenEqual(plain[i], m.index)))
          continue;
        list.push({ line: i + 1, column: m.index, from: line.trim(), to: changed.trim(),
          text: [...lines.slice(0, i), changed, ...lines.slice(i + 1)].join('\n') });
      }
    }
  });
  return list;
}
