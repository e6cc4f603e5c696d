/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Limits of REST bodies.
 */
#include "common/json.h"

#include "controlplane/rest/strict.h"

int
strict_check(struct str body, struct error *e)
{
	static const struct json_limits limits = {STRICT_BODY_MAX, 32, 20000};

	return json_validate(body, &limits, e);
}
