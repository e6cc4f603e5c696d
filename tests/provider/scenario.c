/* SPDX-License-Identifier: Apache-2.0 */
/* Steps of a scenario; see scenario.h. */
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/provider/scenario.h"

struct scenario_step {
	json_t *match; /* borrowed from the tree */
	int64_t left;  /* -1 = for ever */
	struct knobs knobs;
};

struct scenario {
	pthread_mutex_t lock; /* all below */
	_Atomic size_t n_steps;
	struct scenario_step *steps;
	json_t *root;
};

struct scenario *
scenario_new(void)
{
	struct scenario *s = calloc(1, sizeof(*s));

	if (s != NULL)
		pthread_mutex_init(&s->lock, NULL);
	return s;
}

void
scenario_free(struct scenario *s)
{
	if (s == NULL)
		return;
	json_decref(s->root);
	free(s->steps);
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int
scenario_knobs(struct scenario_step *step, json_t *knobs, struct error *e)
{
	const char *name;
	json_t *v;

	knobs_init(&step->knobs);
	json_object_foreach (knobs, name, v) {
		char number[32];
		const char *text = json_string_value(v);

		if (json_is_integer(v)) {
			(void)snprintf(number, sizeof(number),
			    "%" JSON_INTEGER_FORMAT, json_integer_value(v));
			text = number;
		}
		if (text == NULL ||
		    knobs_set(&step->knobs, str_of(name), str_of(text)) != 0)
			return err_set(
			    e, ERR_INVALID, "scenario: bad knob %s", name);
	}
	return 0;
}

int
scenario_load(struct scenario *s, struct str json, struct error *e)
{
	json_error_t why;
	json_t *root = json_loadb(json.p, json.len, 0, &why), *v;
	struct scenario_step *steps;
	size_t i, n = json_array_size(root);
	int rc = 0;

	if (!json_is_array(root)) {
		json_decref(root);
		return err_set(e, ERR_INVALID, "scenario: not a JSON list");
	}
	steps = calloc(n + 1, sizeof(*steps));
	if (steps == NULL)
		rc = err_set(e, ERR_NOMEM, "no memory");
	for (i = 0; i < n && rc == 0; i++) {
		v = json_array_get(root, i);
		steps[i].match = json_object_get(v, "match");
		steps[i].left = 1;
		if (json_object_get(v, "times") != NULL)
			steps[i].left =
			    json_integer_value(json_object_get(v, "times"));
		if (steps[i].left == 0)
			steps[i].left = -1;
		rc = scenario_knobs(&steps[i], json_object_get(v, "knobs"), e);
	}
	pthread_mutex_lock(&s->lock);
	if (rc == 0) {
		json_t *old = s->root;
		struct scenario_step *old_steps = s->steps;

		s->root = root;
		s->steps = steps;
		atomic_store(&s->n_steps, n);
		root = old;
		steps = old_steps;
	}
	pthread_mutex_unlock(&s->lock);
	json_decref(root);
	free(steps);
	return rc;
}

int
scenario_load_file(struct scenario *s, const char *path, struct error *e)
{
	json_error_t why;
	json_t *root = json_load_file(path, 0, &why);
	char *text = root == NULL ? NULL : json_dumps(root, 0);
	int rc;

	if (text == NULL)
		return err_set(
		    e, ERR_INVALID, "%s:%d: %s", path, why.line, why.text);
	rc = scenario_load(s, str_of(text), e);
	free(text);
	json_decref(root);
	return rc;
}

static bool
scenario_holds(struct str hay, const char *needle)
{
	return needle == NULL || (hay.len > 0 && memmem(hay.p, hay.len, needle,
						     strlen(needle)) != NULL);
}

static bool
scenario_matches(json_t *match, const struct http_request *r, struct str model)
{
	const char *path = json_string_value(json_object_get(match, "path"));
	const char *id = json_string_value(json_object_get(match, "model"));

	return (path == NULL || str_starts(r->path, str_of(path))) &&
	       (id == NULL || str_eqz(model, id)) &&
	       scenario_holds(r->headers,
		   json_string_value(json_object_get(match, "header"))) &&
	       scenario_holds(
		   r->body, json_string_value(json_object_get(match, "body")));
}

bool
scenario_next(struct scenario *s, const struct http_request *r,
    struct str model, struct knobs *ret)
{
	bool found = false;

	if (atomic_load(&s->n_steps) == 0)
		return false;
	pthread_mutex_lock(&s->lock);
	for (size_t i = 0; i < s->n_steps && !found; i++) {
		struct scenario_step *step = &s->steps[i];

		if (step->left == 0 || !scenario_matches(step->match, r, model))
			continue;
		if (step->left > 0)
			step->left--;
		*ret = step->knobs;
		found = true;
	}
	pthread_mutex_unlock(&s->lock);
	return found;
}
