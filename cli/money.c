/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of money: what the latest reconciliation found, or a new one.
 */
#include <string.h>

#include "cli/cli.h"
#include "cli/client.h"
#include "cli/show.h"
#include "common/money.h"

static int64_t
number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

static const char *
text(const json_t *o, const char *name)
{
	const char *z = json_string_value(json_object_get(o, name));

	return z != NULL ? z : "";
}

static void
line_usd(struct cli *c, const char *what, const json_t *run, const char *name)
{
	char usd[32];

	money_format(number(run, name), usd);
	fprintf(c->out, "%-12s $%s\n", what, usd);
}

static void
money_summary(struct cli *c, const json_t *run)
{
	const char *who = text(run, "actor");

	fprintf(c->out, "Run %s at %s (%s%s%s): %lld days, %lld records\n\n",
	    text(run, "id"), text(run, "at"), text(run, "scope"),
	    *who != '\0' ? ", asked by " : "", who,
	    (long long)number(run, "days"),
	    (long long)number(run, "usage_rows"));
	line_usd(c, "Usage", run, "usage_nanousd");
	line_usd(c, "Ledger", run, "ledger_nanousd");
	line_usd(c, "Hourly sums", run, "hourly_nanousd");
	line_usd(c, "Daily sums", run, "daily_nanousd");
	line_usd(c, "Doubtful", run, "doubtful_nanousd");
	line_usd(c, "Held", run, "held_nanousd");
	fprintf(c->out, "%-12s %lld records\n", "Quarantine",
	    (long long)number(run, "quarantined"));
}

/* Wrong ones and those to know, with the words below each row. */
static void
money_findings(struct cli *c, const json_t *run, bool notice)
{
	json_t *list = json_object_get(run, "findings"), *f;
	struct table t;
	size_t i, n = 0;

	table_init(&t, "CHECK,DAY,MEASURE,EXPECTED>,FOUND>,DETAIL");
	json_array_foreach (list, i, f) {
		if (json_is_true(json_object_get(f, "notice")) != notice)
			continue;
		table_cell(&t, text(f, "kind"));
		table_cell(&t, json_string_value(json_object_get(f, "day")));
		table_cell(&t, text(f, "measure"));
		table_int(&t, number(f, "expected"));
		table_int(&t, number(f, "found"));
		table_cell(&t, text(f, "detail"));
		n++;
	}
	if (n > 0) {
		fprintf(c->out, "\n%s (cost in nano-USD):\n",
		    notice ? "To know" : "DIFFERENCES");
		table_print(&t, c->out);
	}
	table_release(&t);
}

static int
money_fetch(struct cli *c, const struct cli_args *a, json_t **run)
{
	static const char *const fields[] = {"from", "to", "tenant"};
	bool asks = args_has(a, "run");
	json_t *body;
	struct buf path;
	int rc;

	for (int i = 0; i < 3; i++)
		if (args_has(a, fields[i]) && !asks)
			return err_set(
			    &c->err, ERR_USAGE, "--%s needs --run", fields[i]);
	if (!asks) {
		buf_init(&path, 4096);
		buf_addz(&path, "/v1/audit/money");
		client_query(&path, "limit", args_get(a, "limit"));
		rc = client_call(c, "GET", buf_cstr(&path), NULL, run, NULL);
		buf_release(&path);
		return rc;
	}
	body = json_object();
	for (int i = 0; i < 3; i++)
		if (args_has(a, fields[i]))
			json_object_set_new(body, fields[i],
			    json_string(args_get(a, fields[i])));
	rc = client_call(c, "POST", "/v1/audit/money", body, run, NULL);
	json_decref(body);
	return rc;
}

int
cmd_audit_money(struct cli *c, const struct cli_args *a)
{
	json_t *run = NULL;
	int64_t wrong;
	int rc = money_fetch(c, a, &run);

	if (rc != 0)
		return rc;
	wrong = number(run, "differences");
	if (c->output == OUT_JSON) {
		show_json(c, run);
	} else {
		money_summary(c, run);
		money_findings(c, run, false);
		money_findings(c, run, true);
		if (wrong == 0)
			fprintf(c->out, "\nAll agree.\n");
	}
	json_decref(run);
	if (wrong == 0)
		return 0;
	return err_set(&c->err, ERR_CORRUPT, "money differs in %lld places",
	    (long long)wrong);
}
