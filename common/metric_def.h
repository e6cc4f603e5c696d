/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to metric: what is written from a definition alone.
 */
#ifndef COMMON_METRIC_DEF_H
#define COMMON_METRIC_DEF_H

#include "common/metric.h"

/* "# HELP" and "# TYPE" lines; errors stay in out. */
void metric_render_head(const struct metric_def *def, struct buf *out);
/* The shortest decimal text that reads back as v. */
void metric_add_double(struct buf *out, double v);

#endif
