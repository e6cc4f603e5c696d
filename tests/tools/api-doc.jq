# SPDX-License-Identifier: Apache-2.0
# The tables of docs/ROUTES.md, from docs/openapi.json (jq -r -f).

def methods: ["get", "post", "put", "patch", "delete"];
def item: test("^/v1/[a-z]+(/\\{name\\})?$");

[.paths | to_entries[] | .key as $path | .value | to_entries[]
 | select(.key as $m | methods | index($m))
 | {path: $path, method: (.key | ascii_upcase), tag: (.value.tags[0] // ""),
    summary: (.value.summary // ""), role: (.value["x-headgate-role"] // "none")}]
| (map(select(.tag == "Items" and (.path | endswith("s")))
       | .path | ltrimstr("/v1/")) | unique) as $kinds
| "## Items",
  "",
  "Everything an admin declares. The kinds are " +
    ($kinds | map("`" + . + "`") | join(", ")) + ".",
  "",
  "| method | path | what | role |",
  "|---|---|---|---|",
  (map(select(.tag == "Items" and (.path | startswith("/v1/tenants"))))[]
   | "| \(.method) | `\(.path | sub("/tenants"; "/{kind}"))` | \(.summary
      | gsub("tenants"; "items") | gsub("tenant"; "item")
      | gsub("a item"; "an item")) | \(.role) |"),
  (map(select(.tag != "Items")) | group_by(.tag)[]
   | "", "## \(.[0].tag)", "", "| method | path | what | role |",
     "|---|---|---|---|",
     (.[] | "| \(.method) | `\(.path)` | \(.summary) | \(.role) |"))
