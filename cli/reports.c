/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What finance uses: the chargeback report, usage records, and corrections
 * from a provider's bill.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/fetch.h"
#include "cli/show.h"
#include "common/io.h"
#include "common/money.h"

static int64_t
sum_tokens(const json_t *tokens, bool input)
{
	static const char *const in[] = {"input", "cache_read",
	    "cache_write_5m", "cache_write_1h", "audio_in", "image_in",
	    "audio_cache_read"};
	static const char *const out[] = {
	    "output", "reasoning", "audio_out", "image_out"};
	const char *const *names = input ? in : out;
	size_t n =
	    input ? sizeof(in) / sizeof(in[0]) : sizeof(out) / sizeof(out[0]);
	int64_t sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += json_integer_value(json_object_get(tokens, names[i]));
	return sum;
}

/* Columns follow group_by: "tenant,project,model". */
static void
chargeback_table(struct cli *c, const json_t *report, const char *group_by)
{
	json_t *rows = json_object_get(report, "rows"), *row;
	json_t *totals = json_object_get(report, "totals");
	struct str rest, name;
	struct table t;
	struct buf heads;
	char field[32];
	size_t i;

	buf_init(&heads, 1024);
	for (const char *p = group_by; *p != '\0'; p++)
		buf_addc(&heads, *p == ',' ? ',' : (char)(*p - ('a' - 'A')));
	buf_addz(&heads, ",REQUESTS>,INPUT TOKENS>,OUTPUT TOKENS>,COST>");
	table_init(&t, buf_cstr(&heads));
	json_array_foreach (rows, i, row) {
		json_t *tokens = json_object_get(row, "tokens");

		for (rest = str_of(group_by); rest.len > 0;) {
			str_cut(rest, ',', &name, &rest);
			if (str_copy(name, field, sizeof(field)) == 0)
				table_cell(
				    &t, json_string_value(
					    json_object_get(row, field)));
		}
		table_int(
		    &t, json_integer_value(json_object_get(row, "requests")));
		table_int(&t, sum_tokens(tokens, true));
		table_int(&t, sum_tokens(tokens, false));
		table_usd(&t,
		    json_integer_value(json_object_get(row, "cost_nanousd")));
	}
	table_print(&t, c->out);
	table_release(&t);
	buf_release(&heads);
	if (totals != NULL) {
		char usd[32];

		money_format(
		    json_integer_value(json_object_get(totals, "cost_nanousd")),
		    usd);
		fprintf(c->out, "\nTotal: %lld requests, $%s\n",
		    (long long)json_integer_value(
			json_object_get(totals, "requests")),
		    usd);
	}
}

static bool
group_is_valid(const char *s)
{
	for (; *s != '\0'; s++)
		if (!((*s >= 'a' && *s <= 'z') || *s == ','))
			return false;
	return true;
}

int
cmd_report_chargeback(struct cli *c, const struct cli_args *a)
{
	const char *group_by = args_get(a, "by");
	const char *month = args_get(a, "month");
	json_t *reply = NULL;
	struct buf path, text;
	int rc;

	if (group_by == NULL)
		group_by = "tenant,project,key,model";
	if (!group_is_valid(group_by))
		return err_set(&c->err, ERR_USAGE,
		    "--by: names like tenant,project,model");
	if (month == NULL && args_get(a, "from") == NULL)
		return err_set(&c->err, ERR_USAGE,
		    "say which period: --month YYYY-MM, or --from "
		    "and --to");
	buf_init(&path, 8192);
	buf_init(&text, (size_t)256 << 20);
	buf_addz(&path, "/v1/reports/chargeback");
	client_query(&path, "month", month);
	client_query(&path, "from", args_get(a, "from"));
	client_query(&path, "to", args_get(a, "to"));
	client_query(&path, "tenant", args_get(a, "tenant"));
	client_query(&path, "group_by", group_by);
	if (c->output == OUT_CSV) {
		client_query(&path, "format", "csv");
		rc = client_get_text(c, buf_cstr(&path), &text);
		if (rc == 0)
			fwrite(text.data, 1, text.len, c->out);
	} else {
		rc = client_call(c, "GET", buf_cstr(&path), NULL, &reply, NULL);
		if (rc == 0 && c->output == OUT_JSON)
			show_json(c, reply);
		else if (rc == 0)
			chargeback_table(c, reply, group_by);
	}
	json_decref(reply);
	buf_release(&path);
	buf_release(&text);
	return rc;
}

int
cmd_usage_list(struct cli *c, const struct cli_args *a)
{
	static const char *const filters[] = {"from", "to", "tenant", "project",
	    "key", "user", "tag", "request-id"};
	struct buf path;
	int rc;

	buf_init(&path, 8192);
	buf_addz(&path, "/v1/usage");
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++)
		client_query(&path,
		    strcmp(filters[i], "request-id") == 0 ? "request_id"
							  : filters[i],
		    args_get(a, filters[i]));
	rc = fetch_some(c, a, &path, "50",
	    "started_at,request_id,attempt#,key,route,source,"
	    "status:http_status#,cost:cost_nanousd$");
	buf_release(&path);
	return rc;
}

int
cmd_usage_quarantine(struct cli *c, const struct cli_args *a)
{
	struct buf path;
	int rc;

	client_path(&path, "/v1/usage/quarantine", NULL, "");
	client_query(&path, "agent", args_get(a, "agent"));
	rc = fetch_some(c, a, &path, "50",
	    "at,agent,epoch:boot_epoch,shard#,seq,reason,request_id,"
	    "charged:charged_nanousd$,claimed:claimed_nanousd$");
	buf_release(&path);
	return rc;
}

/* A bill is a JSON object with "items" (or an array) of {request_id, attempt,
 * tokens}; sent in slices so that a month's bill fits the body limit. */
static int
correct_slice(struct cli *c, const struct cli_args *a, json_t *slice,
    int64_t *corrected, int64_t *difference)
{
	json_t *body = json_pack("{s:s,s:O}", "reason",
	    args_get(a, "reason") ? args_get(a, "reason") : "provider bill",
	    "items", slice);
	json_t *reply = NULL;
	int rc =
	    client_call(c, "POST", "/v1/usage/corrections", body, &reply, NULL);

	if (rc == 0) {
		*corrected +=
		    json_integer_value(json_object_get(reply, "corrected"));
		*difference += json_integer_value(
		    json_object_get(reply, "difference_nanousd"));
	}
	json_decref(body);
	json_decref(reply);
	return rc;
}

int
cmd_usage_correct(struct cli *c, const struct cli_args *a)
{
	json_error_t je;
	json_t *doc = json_load_file(a->pos[0], JSON_REJECT_DUPLICATES, &je);
	json_t *items =
	    json_is_array(doc) ? doc : json_object_get(doc, "items");
	int64_t corrected = 0, difference = 0;
	char usd[32];
	int rc = 0;

	if (!json_is_array(items)) {
		rc = err_set(&c->err, ERR_INVALID, "%s:%d: %s", a->pos[0],
		    doc ? 1 : je.line, doc ? "no array 'items'" : je.text);
		goto out;
	}
	for (size_t i = 0; i < json_array_size(items) && rc == 0; i += 5000) {
		json_t *slice = json_array();

		for (size_t k = i; k < i + 5000 && k < json_array_size(items);
		     k++)
			json_array_append(slice, json_array_get(items, k));
		rc = correct_slice(c, a, slice, &corrected, &difference);
		json_decref(slice);
	}
	if (rc == 0) {
		money_format(difference < 0 ? -difference : difference, usd);
		fprintf(c->out, "%lld records corrected, difference %s$%s\n",
		    (long long)corrected, difference < 0 ? "-" : "", usd);
	}
out:
	json_decref(doc);
	return rc;
}
