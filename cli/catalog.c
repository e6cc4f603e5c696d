/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headgate catalog: list the shipped models, compare them with a control
 * plane, and import them as model items, in one config version.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/apply.h"
#include "cli/catalog.h"
#include "cli/client.h"
#include "cli/show.h"

/* What an import does with a model. */
enum fate {
	FATE_NEW,  /* the control plane has none of the name */
	FATE_SAME, /* it has the same */
	FATE_OLD,  /* as another edition of the catalogue left it: updated */
	FATE_HAND, /* changed by hand, or never from a catalogue: kept */
	FATE_N
};
static const char *const fate_names[FATE_N] = {
    "new", "same", "outdated", "changed by hand"};

static const char *
field(const json_t *obj, const char *name)
{
	const char *z = json_string_value(json_object_get(obj, name));

	return z != NULL ? z : "";
}

/* The catalogue that the arguments name. */
static int
catalog_open(struct cli *c, const struct cli_args *a, json_t **models)
{
	const char *from = a->n_pos > 0 ? a->pos[0] : NULL;
	const char *dir = args_get(a, "catalog-dir");
	struct buf path;
	int rc = 0;

	if (from != NULL && dir != NULL)
		return err_set(&c->err, ERR_USAGE,
		    "name a file or --catalog-dir, not both");
	buf_init(&path, 8192);
	if (from == NULL)
		from = dir;
	if (from == NULL) {
		rc = catalog_dir(&path, &c->err);
		from = buf_cstr(&path);
	}
	if (rc == 0)
		rc = catalog_load(c, from, args_get(a, "provider"), models);
	buf_release(&path);
	return rc;
}

/* Is name in "a,b,c"? NULL = every name is. */
static bool
catalog_wanted(const char *list, const char *name)
{
	struct str rest, one;

	if (list == NULL)
		return true;
	for (rest = str_of(list); rest.len > 0;) {
		(void)str_cut(rest, ',', &one, &rest);
		if (str_eqz(str_trim(one), name))
			return true;
	}
	return false;
}

/* The standard price of a class now, as it stands in the file. */
static const char *
catalog_price(const json_t *spec, const char *class)
{
	json_t *line;
	size_t i;

	json_array_foreach (json_object_get(spec, "prices"), i, line)
		if (strcmp(field(line, "class"), class) == 0 &&
		    json_object_get(line, "tier") == NULL &&
		    json_object_get(line, "from") == NULL &&
		    json_object_get(line, "above_tokens") == NULL)
			return field(line, "usd_per_mtok");
	return "-";
}

int
cmd_catalog_list(struct cli *c, const struct cli_args *a)
{
	json_t *models = NULL, *m;
	struct table t;
	size_t i;
	int rc = catalog_open(c, a, &models);

	if (rc != 0)
		return rc;
	if (c->output == OUT_JSON) {
		show_json(c, models);
		json_decref(models);
		return 0;
	}
	table_init(&t, "NAME,PROVIDER,CONTEXT>,INPUT>,CACHED>,OUTPUT>,LINES>,"
		       "READ,CONFIDENCE");
	json_array_foreach (models, i, m) {
		const json_t *spec = json_object_get(m, "spec");

		table_cell(&t, field(m, "name"));
		table_cell(&t, field(m, "provider"));
		table_int(&t, json_integer_value(
				  json_object_get(spec, "context_tokens")));
		table_cell(&t, catalog_price(spec, "input"));
		table_cell(&t, catalog_price(spec, "cache_read"));
		table_cell(&t, catalog_price(spec, "output"));
		table_int(&t,
		    (int64_t)json_array_size(json_object_get(spec, "prices")));
		table_cell(&t, field(m, "date"));
		table_cell(&t, field(m, "confidence"));
	}
	table_print(&t, c->out);
	table_release(&t);
	json_decref(models);
	return 0;
}

static enum fate
catalog_fate(const json_t *m, const json_t *there)
{
	const char *mark = field(json_object_get(m, "spec"), "catalog");
	char now[CATALOG_PRINT];

	if (there == NULL)
		return FATE_NEW;
	catalog_print(there, now);
	if (strcmp(now, catalog_mark_print(mark)) == 0)
		return FATE_SAME;
	if (strcmp(now, catalog_mark_print(field(there, "catalog"))) == 0)
		return FATE_OLD;
	return FATE_HAND;
}

/* Models of the control plane by name. */
static int
catalog_existing(struct cli *c, json_t **by_name)
{
	json_t *list = NULL, *one;
	size_t i;
	int rc = client_get_all(c, "/v1/models", &list);

	*by_name = json_object();
	json_array_foreach (list, i, one)
		(void)json_object_set(*by_name, field(one, "name"), one);
	json_decref(list);
	return rc;
}

struct catalog_plan {
	json_t *items; /* to apply */
	json_t *rows;  /* {"name", "provider", "state"} */
	size_t n[FATE_N];
};

static void
catalog_plan_one(
    struct catalog_plan *p, json_t *m, const json_t *there, bool force)
{
	enum fate fate = catalog_fate(m, there);

	p->n[fate]++;
	(void)json_array_append_new(p->rows,
	    json_pack("{s:s,s:s,s:s}", "name", field(m, "name"), "provider",
		field(m, "provider"), "state", fate_names[fate]));
	if (fate == FATE_SAME || (fate == FATE_HAND && !force))
		return;
	(void)json_array_append_new(p->items,
	    json_pack("{s:s,s:s,s:O}", "kind", "model", "name",
		field(m, "name"), "spec", json_object_get(m, "spec")));
}

static int
catalog_plan(struct cli *c, const struct cli_args *a, struct catalog_plan *p)
{
	json_t *models = NULL, *existing = NULL, *m;
	const char *want = args_get(a, "models");
	size_t i, n = 0;
	int rc;

	*p = (struct catalog_plan){json_array(), json_array(), {0}};
	rc = catalog_open(c, a, &models);
	if (rc == 0)
		rc = catalog_existing(c, &existing);
	json_array_foreach (models, i, m) {
		const char *name = field(m, "name");

		if (rc != 0 || !catalog_wanted(want, name))
			continue;
		n++;
		catalog_plan_one(p, m, json_object_get(existing, name),
		    args_get(a, "force") != NULL);
	}
	if (rc == 0 && n == 0)
		rc = err_set(&c->err, ERR_NOT_FOUND,
		    "the catalogue has no model %s", want);
	json_decref(models);
	json_decref(existing);
	return rc;
}

static void
catalog_plan_release(struct catalog_plan *p)
{
	json_decref(p->items);
	json_decref(p->rows);
}

int
cmd_catalog_diff(struct cli *c, const struct cli_args *a)
{
	struct catalog_plan p;
	int rc = catalog_plan(c, a, &p);

	if (rc == 0)
		show_list(c, p.rows, "name,provider,state");
	catalog_plan_release(&p);
	return rc;
}

int
cmd_catalog_import(struct cli *c, const struct cli_args *a)
{
	const char *message = args_get(a, "message");
	bool force = args_has(a, "force");
	struct catalog_plan p;
	json_t *row;
	size_t i;
	int rc = catalog_plan(c, a, &p);

	if (rc == 0)
		rc = apply_send(c, p.items,
		    message != NULL ? message : "model catalogue",
		    args_has(a, "dry-run"), false, NULL);
	if (rc == 0 && c->output != OUT_JSON) {
		json_array_foreach (p.rows, i, row)
			if (!force && strcmp(field(row, "state"),
					  fate_names[FATE_HAND]) == 0)
				fprintf(c->out,
				    "kept %s: changed by hand (--force "
				    "overwrites)\n",
				    field(row, "name"));
		fprintf(c->out,
		    "Models: %zu new, %zu updated, %zu same, %zu %s\n",
		    p.n[FATE_NEW], p.n[FATE_OLD], p.n[FATE_SAME],
		    p.n[FATE_HAND], force ? "overwritten" : "kept");
	}
	catalog_plan_release(&p);
	return rc;
}
