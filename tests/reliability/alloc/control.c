/* SPDX-License-Identifier: Apache-2.0 */
/* The control plane's specs and answers, the files of the command line. */
#include <string.h>

#include "cli/yaml.h"
#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"
#include "controlplane/rest/call.h"
#include "tests/reliability/alloc/alloc.h"

struct norm {
	json_t *spec, *secrets;
	int rc;
};

static void
norm_run(struct norm *n, const struct kind_def *k, const json_t *in)
{
	struct problems p;

	*n = (struct norm){0};
	problems_init(&p);
	n->rc = spec_normalise(k, in, "", &n->spec, &n->secrets, &p);
	problems_release(&p);
}

static void
norm_release(struct norm *n)
{
	json_decref(n->spec);
	json_decref(n->secrets);
}

static void
spec(struct alloc *a, struct str bytes)
{
	const struct kind_def *k =
	    kind_get((enum kind)((uint8_t)bytes.p[0] % (KIND_END - 1) + 1));
	json_t *in =
	    json_loadb(bytes.p + 1, bytes.len - 1, JSON_DECODE_ANY, NULL);
	struct norm good, now;

	if (in == NULL)
		return;
	norm_run(&good, k, in);
	EACH_OOM
	{
		bool hit;

		norm_run(&now, k, in);
		hit = oom_hit();
		if (hit && now.rc == ERR_NOMEM)
			;
		else if (now.rc != good.rc)
			alloc_bad(a, "%d, not %d", now.rc, good.rc);
		else if (now.rc == 0 && !json_equal(now.spec, good.spec))
			alloc_bad(a, "another spec");
		norm_release(&now);
	}
	a->failures += oom_failures();
	if (good.rc == 0)
		EACH_OOM
		{
			json_t *d = config_diff(k, good.spec, in);
			json_t *p = spec_public(k, good.spec);
			bool hit = oom_hit();

			if (!hit && (d == NULL || p == NULL))
				alloc_bad(a, "no difference");
			json_decref(d);
			json_decref(p);
		}
	a->failures += oom_failures();
	norm_release(&good);
	json_decref(in);
}

static void
alloc_specs(struct alloc *a)
{
	alloc_corpus(a, "fuzz_spec", true, spec);
}

static void
alloc_rest(struct alloc *a)
{
	EACH_OOM
	{
		struct http_response res = {.status = 0};
		struct rest_call c = {.res = &res};
		bool hit;
		int rc;

		buf_init(&res.body, 1 << 20);
		rc = rest_json(&c, 200,
		    json_pack("{s:s,s:[i,i]}", "a", "b", "list", 1, 2));
		hit = oom_hit();
		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "answer: %d", rc);
		buf_release(&res.body);
	}
	a->failures += oom_failures();
	EACH_OOM
	{
		struct buf b;
		bool hit;
		int rc;

		buf_init(&b, 1 << 20);
		rc = routes_render(&b);
		hit = oom_hit();
		if (rc != (hit ? ERR_NOMEM : 0))
			alloc_bad(a, "routes: %d", rc);
		buf_release(&b);
	}
	a->failures += oom_failures();
}

static void
yaml(struct alloc *a, struct str text)
{
	struct yaml_set set, good;
	struct error e = {0};
	int want;

	yaml_set_init(&good);
	want = yaml_load(&good, "f", text, &e);
	EACH_OOM
	{
		bool hit;
		int rc;

		yaml_set_init(&set);
		rc = yaml_load(&set, "f", text, &e);
		hit = oom_hit();
		if (hit && rc == ERR_NOMEM)
			;
		else if (rc != want)
			alloc_bad(a, "%d, not %d: %s", rc, want, e.text);
		else if (rc == 0 && (!json_equal(set.items, good.items) ||
					set.n_places != good.n_places))
			alloc_bad(a, "other documents");
		yaml_set_release(&set);
	}
	a->failures += oom_failures();
	yaml_set_release(&good);
}

static void
alloc_yaml(struct alloc *a)
{
	alloc_corpus(a, "fuzz_yaml", true, yaml);
}

const struct alloc_scenario alloc_scenarios[] = {{"specs", alloc_specs},
    {"rest", alloc_rest}, {"yaml", alloc_yaml}, {NULL, NULL}};
