/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model catalogue: YAML files with the models of a provider, their limits
 * and price lines, each line with its source and date. The commands turn them
 * into model items of a control plane.
 *
 * Every imported model carries a mark, "anthropic 2026-11-22 <fingerprint>",
 * in its field `catalog`. The fingerprint is of what was imported; a model
 * whose content no longer has it was changed by hand, and is left alone.
 */
#ifndef CLI_CATALOG_H
#define CLI_CATALOG_H

#include "cli/cli.h"

/* The folder of the catalogue that came with the program: $HEADGATE_CATALOG,
 * beside the program, in the source tree, or /usr/share/headgate/catalog.
 * ERR_NOT_FOUND with text. */
int catalog_dir(struct buf *path, struct error *e) MUST_CHECK;

/* Read a file or folder and check it. *models: new array of {"provider",
 * "name", "confidence", "date", "spec"}, where spec is what the control plane
 * gets. provider (may be NULL): only this one's. Errors name file and line. */
int catalog_load(struct cli *c, const char *from, const char *provider,
    json_t **models) MUST_CHECK;

/* Fingerprint of a model's content: limits, capabilities, tokenizer, price
 * lines; whatever their order and whatever way numbers and times are written.
 * obj: a spec, or a model as the control plane shows it. */
#define CATALOG_PRINT 17
void catalog_print(const json_t *obj, char dst[CATALOG_PRINT]);
/* The fingerprint in a mark, "" when it is none. */
const char *catalog_mark_print(const char *mark);

#endif
