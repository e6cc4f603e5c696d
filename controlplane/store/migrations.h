/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SQL migrations of schema/, embedded into the control plane by the
 * build (mk/embed-schema.sh) in ascending order of their version, so that
 * one binary can bring any older database up to date.
 */
#ifndef CONTROLPLANE_STORE_MIGRATIONS_H
#define CONTROLPLANE_STORE_MIGRATIONS_H

#include <stddef.h>

/* One file schema/NNNN_name.sql. */
struct migration {
	int version;	  /* NNNN, from 1 */
	const char *name; /* the part after the number, without .sql */
	const char *sql;  /* the text, NUL-terminated */
	size_t len;	  /* bytes of sql without the NUL */
};

/* Ordered by version; n_schema_migrations entries. */
extern const struct migration schema_migrations[];
extern const size_t n_schema_migrations;

#endif
