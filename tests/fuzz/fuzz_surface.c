/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Targets of request lines, and providers' errors into every client dialect.
 * The first byte chooses a provider dialect, the second a status; then the
 * target up to a line end, then the body. What is found must be harmless, what
 * is written must be JSON.
 */
#include "agent/dialect/errors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_target(struct str target)
{
	struct surface s;
	const char *p;

	if (surface_find(target, &s) != 0) {
		MUST(s.model[0] == '\0' && s.id[0] == '\0');
		return;
	}
	MUST(s.op < OP_N && target.p[0] == '/');
	for (p = s.model; *p != '\0'; p++)
		MUST(*p != '/' && *p != '%' && *p != '?' && *p > ' ');
	for (p = s.id; *p != '\0'; p++)
		MUST(*p != '/' && *p != '%' && *p != '?' && *p > ' ');
	(void)surface_takes(&s, STR("POST"));
	MUST(surface_allow(&s)[0] != '\0');
}

static void
check_written(const struct buf *b, enum client_dialect c)
{
	MUST(buf_error(b) == 0);
	MUST(json_validate(buf_str(b), NULL, NULL) == 0);
	MUST(c <= CLIENT_GEMINI);
}

static void
check_error(enum provider_dialect d, int status, struct str body)
{
	struct dialect_error e;
	struct buf b;
	int c, i;

	for (i = 0; i < 2; i++) {
		if (i == 0)
			(void)errors_parse(d, status, STR_NULL, body,
			    &json_default_limits, &e);
		else
			errors_of_event(body, status, body, &e);
		MUST(e.kind < ERROR_N_KINDS && e.retry_ms >= -1);
		buf_init(&b, 1 << 20);
		for (c = 0; c < 3; c++) {
			MUST(errors_status((enum client_dialect)c, &e) >= 400);
			MUST(errors_status((enum client_dialect)c, &e) < 600);
			buf_clear(&b);
			errors_write(
			    &b, (enum client_dialect)c, &e, "id", NULL);
			check_written(&b, (enum client_dialect)c);
		}
		buf_clear(&b);
		errors_write_event(&b, ERROR_FRAME_ARRAY, &e, "id", 0);
		check_written(&b, CLIENT_GEMINI);
		buf_release(&b);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int status[] = {
	    400, 401, 404, 408, 424, 429, 500, 503, 529, 200, 302, 0};
	struct str rest, target, body;

	if (size < 2 || size > 65536)
		return 0;
	rest = str_make((const char *)data + 2, size - 2);
	(void)str_cut(rest, '\n', &target, &body);
	if (target.len > 0)
		check_target(target);
	check_error((enum provider_dialect)(data[0] % PROVIDER_N_DIALECTS),
	    status[data[1] % (sizeof(status) / sizeof(status[0]))], body);
	return 0;
}
