/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Specs of items: first byte chooses the kind, the rest is JSON. What passes
 * is canonical: it normalises to itself, and what is shown of it does too.
 */
#include <stdlib.h>

#include "controlplane/config/history.h"
#include "controlplane/config/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static json_t *
normalise(const struct kind_def *k, const json_t *in)
{
	json_t *spec = NULL, *secrets = NULL;
	struct problems p;
	int rc;

	problems_init(&p);
	rc = spec_normalise(k, in, "", &spec, &secrets, &p);
	MUST((rc == 0) == (spec != NULL));
	MUST((p.total == 0) == (rc == 0));
	MUST(p.n <= PROBLEMS_MAX);
	problems_release(&p);
	json_decref(secrets);
	return spec;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct kind_def *k;
	json_t *in, *a, *b, *d;

	if (size < 2 || size > 65536)
		return 0;
	k = kind_get((enum kind)(data[0] % (KIND_END - 1) + 1));
	in = json_loadb((const char *)data + 1, size - 1,
	    JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	if (in == NULL)
		return 0;
	a = normalise(k, in);
	if (a != NULL) {
		b = normalise(k, a);
		MUST(b != NULL && json_equal(a, b));
		json_decref(b);
		b = spec_public(k, a);
		MUST(b != NULL && json_equal(a, b));
		d = config_diff(k, a, b);
		MUST(json_is_array(d) && json_array_size(d) == 0);
		json_decref(d);
		json_decref(b);
	}
	json_decref(a);
	json_decref(in);
	return 0;
}
