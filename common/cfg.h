/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table-driven configuration of a program. One table gives each option's
 * name, type, default, bounds, unit and description; from it come the parser
 * for flags (--data-listen X or --data-listen=X), environment
 * (HEADGATE_DATA_LISTEN), configuration file ("data-listen = value" lines,
 * '#' comments; --config FILE), --help and docs/CONFIG.md. Later sources
 * win: default < file < environment < flag.
 */
#ifndef COMMON_CFG_H
#define COMMON_CFG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/str.h"

enum cfg_type {
	CFG_STRING,   /* const char ** ; never NULL, "" when unset */
	CFG_INT,      /* int64_t *, min..max */
	CFG_BOOL,     /* bool * ; true/false/1/0/yes/no, flag alone = true */
	CFG_BYTES,    /* int64_t *; 16384, 16KiB, 8MiB, 1GiB */
	CFG_DURATION, /* int64_t * in ms; 250ms, 5s, 2m, 1h */
	CFG_LISTEN,   /* const char **; host:port checked, [v6]:port */
	CFG_SECRET    /* const char **; never shown; also NAME-file=PATH */
};

struct cfg_option {
	const char *name; /* "data-listen" */
	enum cfg_type type;
	size_t offset;	  /* of the target in the config struct */
	const char *def;  /* default as text, "" = none */
	int64_t min, max; /* for INT, BYTES, DURATION; both 0 = unbounded */
	const char *arg;  /* placeholder in --help: "HOST:PORT" */
	const char *help; /* one or two sentences */
};

struct cfg_table {
	const char *program; /* "headgate-agent" */
	const char *summary; /* first line of --help */
	const char *usage;   /* "headgate-agent [OPTION]..." */
	const struct cfg_option *options;
	size_t n_options;
};

/* Fill *config (caller zeroes it) from defaults, file, environment (environ
 * style array) and argv. Non-option arguments are collected in rest/n_rest
 * (pointers into argv; rest has room for argc). Strings are allocated and
 * freed by cfg_release(). "-h/--help", "--help-markdown" and "--version" are
 * not handled here: see cfg_wants(). */
int cfg_parse(const struct cfg_table *t, void *config, int argc,
    char *const *argv, char *const *envp, char **rest, size_t *n_rest,
    struct error *e) MUST_CHECK;
/* The lines of a configuration file alone, onto what *config already holds;
 * path is for messages. */
int cfg_parse_text(const struct cfg_table *t, void *config, struct str text,
    const char *path, struct error *e) MUST_CHECK;
void cfg_release(const struct cfg_table *t, void *config);
/* Parts of a CFG_LISTEN value; brackets of an IPv6 address are dropped from
 * host. False if s is not HOST:PORT. */
bool cfg_listen_split(struct str s, struct str *host, uint16_t *port);
/* Is the flag (e.g. "--help") among argv? */
bool cfg_wants(int argc, char *const *argv, const char *flag);
int cfg_help(const struct cfg_table *t, struct buf *out);
int cfg_markdown(const struct cfg_table *t, struct buf *out);

#endif
