/* SPDX-License-Identifier: Apache-2.0 */
/* The models file, read with jansson at start. */
#include <jansson.h>
#include <time.h>

#include "tests/provider/catalog.h"

static int
catalog_time(json_t *v, int64_t *ret)
{
	struct tm tm = {0};
	const char *end;

	*ret = 0;
	if (v == NULL || json_is_null(v))
		return 0;
	if (!json_is_string(v))
		return ERR_INVALID;
	end = strptime(json_string_value(v), "%Y-%m-%dT%H:%M:%S", &tm);
	if (end == NULL)
		return ERR_INVALID;
	*ret = (int64_t)timegm(&tm);
	return 0;
}

static int64_t
catalog_i64(json_t *v, const char *name, int64_t def)
{
	json_t *n = json_object_get(v, name);

	return json_is_integer(n) ? json_integer_value(n) : def;
}

static int
catalog_prices(struct sim_model *m, json_t *prices, struct error *e)
{
	size_t i;
	json_t *v;

	json_array_foreach (prices, i, v) {
		struct sim_price_line *line;
		const char *class =
		    json_string_value(json_object_get(v, "class"));
		const char *usd =
		    json_string_value(json_object_get(v, "usd_per_mtok"));
		int c = 0;

		if (i >= SIM_MAX_PRICES || class == NULL || usd == NULL)
			return err_set(
			    e, ERR_INVALID, "%s: bad price %zu", m->id, i);
		line = &m->prices.lines[i];
		while (
		    c < SIM_CLASSES && strcmp(class, sim_class_names[c]) != 0)
			c++;
		if (c == SIM_CLASSES ||
		    !sim_price_parse(usd, &line->per_mtok) ||
		    catalog_time(json_object_get(v, "from"), &line->from) ||
		    catalog_time(json_object_get(v, "to"), &line->to))
			return err_set(
			    e, ERR_INVALID, "%s: bad price %zu", m->id, i);
		line->class = (enum sim_class)c;
		line->above_tokens = catalog_i64(v, "above_tokens", 0);
		if (str_copy(
			str_of(json_string_value(json_object_get(v, "tier"))),
			line->tier, sizeof(line->tier)) != 0)
			return err_set(
			    e, ERR_INVALID, "%s: bad price %zu", m->id, i);
		m->prices.n_lines = (int)i + 1;
	}
	return 0;
}

static int
catalog_knobs(struct sim_model *m, json_t *knobs, struct error *e)
{
	const char *name;
	json_t *v;

	json_object_foreach (knobs, name, v) {
		char number[32];
		const char *text = number;

		if (json_is_integer(v))
			(void)snprintf(number, sizeof(number),
			    "%" JSON_INTEGER_FORMAT, json_integer_value(v));
		else
			text = json_string_value(v);
		if (text == NULL ||
		    knobs_set(&m->knobs, str_of(name), str_of(text)) != 0)
			return err_set(
			    e, ERR_INVALID, "%s: bad knob %s", m->id, name);
	}
	return 0;
}

static int
catalog_model(struct sim_model *m, json_t *v, struct error *e)
{
	const char *id = json_string_value(json_object_get(v, "id"));
	const char *kind = json_string_value(json_object_get(v, "kind"));
	int rc;

	memset(m, 0, sizeof(*m));
	knobs_init(&m->knobs);
	if (id == NULL || str_copy(str_of(id), m->id, sizeof(m->id)) != 0)
		return err_set(e, ERR_INVALID, "a model without a usable id");
	m->id_len = strlen(m->id);
	m->embeddings = kind != NULL && strcmp(kind, "embeddings") == 0;
	m->context_tokens = catalog_i64(v, "context_tokens", 128000);
	m->max_output_tokens = catalog_i64(v, "max_output_tokens", 4096);
	m->dimensions = catalog_i64(v, "dimensions", 1536);
	rc = catalog_prices(m, json_object_get(v, "prices"), e);
	if (rc == 0)
		rc = catalog_knobs(m, json_object_get(v, "knobs"), e);
	return rc;
}

static bool
catalog_text(json_t *v, const char *name, char *dst, size_t cap)
{
	return str_copy(str_of(json_string_value(json_object_get(v, name))),
		   dst, cap) == 0;
}

static int
catalog_options(struct options *o, json_t *root, struct error *e)
{
	json_t *aws = json_object_get(root, "aws");
	json_t *google = json_object_get(root, "google");

	o->google_token_seconds = catalog_i64(google, "token_seconds", 3600);
	if (!catalog_text(aws, "access_key", o->aws_access_key,
		sizeof(o->aws_access_key)) ||
	    !catalog_text(aws, "secret_key", o->aws_secret_key,
		sizeof(o->aws_secret_key)) ||
	    !catalog_text(aws, "session_token", o->aws_session_token,
		sizeof(o->aws_session_token)) ||
	    !catalog_text(
		aws, "bearer", o->aws_bearer, sizeof(o->aws_bearer)) ||
	    !catalog_text(
		aws, "region", o->aws_region, sizeof(o->aws_region)) ||
	    !catalog_text(google, "client_email", o->google_email,
		sizeof(o->google_email)) ||
	    !catalog_text(
		google, "public_key", o->google_key, sizeof(o->google_key)))
		return err_set(e, ERR_INVALID, "aws, google: text too long");
	return 0;
}

int
catalog_load(
    struct catalog *c, struct options *o, const char *path, struct error *e)
{
	json_error_t why;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &why);
	json_t *models, *v;
	size_t i;
	int rc = 0;

	if (root == NULL)
		return err_set(
		    e, ERR_INVALID, "%s:%d: %s", path, why.line, why.text);
	models = json_object_get(root, "models");
	if (json_array_size(models) == 0 ||
	    json_array_size(models) > CATALOG_MAX) {
		rc = err_set(e, ERR_INVALID, "%s: needs 1 to %d models", path,
		    CATALOG_MAX);
		goto out;
	}
	rc = catalog_options(o, root, e);
	if (rc != 0)
		goto out;
	c->n_models = 0;
	json_array_foreach (models, i, v) {
		rc = catalog_model(&c->models[i], v, e);
		if (rc != 0) {
			rc = err_wrap(e, "%s", path);
			goto out;
		}
		c->n_models++;
	}
out:
	json_decref(root);
	return rc;
}

static void
catalog_add(struct catalog *c, const char *id, bool embeddings, int64_t in_nano,
    int64_t out_nano)
{
	struct sim_model *m = &c->models[c->n_models++];

	memset(m, 0, sizeof(*m));
	knobs_init(&m->knobs);
	m->id_len = strlen(id);
	memcpy(m->id, id, m->id_len + 1);
	m->embeddings = embeddings;
	m->context_tokens = 128000;
	m->max_output_tokens = 4096;
	m->dimensions = 1536;
	m->prices.lines[0] =
	    (struct sim_price_line){.class = SIM_INPUT, .per_mtok = in_nano};
	m->prices.lines[1] =
	    (struct sim_price_line){.class = SIM_OUTPUT, .per_mtok = out_nano};
	m->prices.n_lines = 2;
}

void
catalog_default(struct catalog *c)
{
	c->n_models = 0;
	catalog_add(c, "sim-small", false, 150000000, 600000000);
	catalog_add(c, "sim-large", false, 2500000000, 10000000000);
	catalog_add(c, "sim-embed", true, 20000000, 0);
}

const struct sim_model *
catalog_find(const struct catalog *c, struct str id)
{
	for (int i = 0; i < c->n_models; i++) {
		if (c->models[i].id_len == id.len &&
		    memcmp(c->models[i].id, id.p, id.len) == 0)
			return &c->models[i];
	}
	return NULL;
}
