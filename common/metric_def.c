/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes from metric definitions alone: headers of the exposition format
 * and the manual's table.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/metric_def.h"

static const char *
metric_type_name(enum metric_type t)
{
	switch (t) {
	case METRIC_COUNTER:
		return "counter";
	case METRIC_GAUGE:
		return "gauge";
	case METRIC_HISTOGRAM:
	default:
		return "histogram";
	}
}

void
metric_add_double(struct buf *out, double v)
{
	char tmp[40];
	int digits;

	if (isnan(v) || isinf(v)) {
		(void)buf_addz(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
		return;
	}
	for (digits = 6; digits <= 17; digits++) {
		(void)snprintf(tmp, sizeof(tmp), "%.*g", digits, v);
		if (memcmp(&(double){strtod(tmp, NULL)}, &v, sizeof(v)) == 0)
			break;
	}
	(void)buf_addz(out, tmp);
}

void
metric_render_head(const struct metric_def *def, struct buf *out)
{
	const char *p;

	(void)buf_addf(out, "# HELP %s ", def->name);
	for (p = def->help; *p != '\0'; p++) {
		if (*p == '\\')
			(void)buf_addz(out, "\\\\");
		else if (*p == '\n')
			(void)buf_addz(out, "\\n");
		else
			(void)buf_addc(out, *p);
	}
	(void)buf_addf(
	    out, "\n# TYPE %s %s\n", def->name, metric_type_name(def->type));
}

int
metric_markdown(const struct metric_def *defs, size_t n, struct buf *out)
{
	size_t i;

	(void)buf_addz(out,
	    "| metric | type | labels | description |\n|---|---|---|---|\n");
	for (i = 0; i < n; i++) {
		const char *p;

		(void)buf_addf(out, "| `%s` | %s | ", defs[i].name,
		    metric_type_name(defs[i].type));
		if (defs[i].labels != NULL && defs[i].labels[0] != '\0')
			(void)buf_addf(out, "`%s`", defs[i].labels);
		(void)buf_addz(out, " | ");
		for (p = defs[i].help; *p != '\0'; p++) {
			if (*p == '|')
				(void)buf_addc(out, '\\');
			(void)buf_addc(out, *p == '\n' ? ' ' : *p);
		}
		(void)buf_addz(out, " |\n");
	}
	return buf_error(out);
}
