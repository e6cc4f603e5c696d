/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets of the control plane: "METHOD target", and base URLs of
 * providers. A path that parses has plain segments only, whatever the
 * encoding; a URL that parses reads back as itself.
 */
#include <string.h>

#include "controlplane/config/validate.h"
#include "controlplane/rest/router.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
target(struct str in)
{
	const struct rest_route *route = NULL;
	struct str params[ROUTE_PARAMS_MAX], rest;
	struct http_request r;
	char allow[80];
	struct error e;
	size_t i;

	memset(&r, 0, sizeof(r));
	arena_init(&r.arena, 1024, 1 << 20);
	(void)str_cut(in, ' ', &r.method, &rest);
	(void)str_cut(rest, '?', &r.path, &r.query);
	if (http_parse_target(&r, &e) == 0) {
		for (i = 0; i < r.n_segments; i++) {
			struct str s = r.segments[i];

			MUST(s.len > 0 && str_is_utf8(s));
			MUST(str_find(s, '/') < 0 && str_find(s, '\0') < 0);
			MUST(!str_eqz(s, ".") && !str_eqz(s, ".."));
		}
		if (router_match(
			&r, &route, params, allow, sizeof(allow), &e) == 0)
			MUST(route != NULL && route->fn != NULL);
	}
	arena_release(&r.arena);
}

static void
url(struct str in)
{
	char a[2048], b[2048];
	struct error e;

	if (base_url_parse(in, a, sizeof(a), &e) != 0)
		return;
	MUST(strncmp(a, "http://", 7) == 0 || strncmp(a, "https://", 8) == 0);
	MUST(strpbrk(a, "@?#\\% \t\r\n") == NULL);
	MUST(base_url_parse(str_of(a), b, sizeof(b), &e) == 0);
	MUST(strcmp(a, b) == 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str in = str_make((const char *)data, size);

	if (size > 16384)
		return 0;
	target(in);
	url(in);
	return 0;
}
