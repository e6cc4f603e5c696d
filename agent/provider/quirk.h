/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a provider is known or declared not to take, as QUIRK_* of
 * agent/dialect/codec.h. Pure.
 */
#ifndef AGENT_PROVIDER_QUIRK_H
#define AGENT_PROVIDER_QUIRK_H

#include "agent/config/bundle.h"

/* Bit of a word of provider.rejects; 0 when it is not known. */
uint64_t quirk_of(struct str word);
/* What every provider of the dialect rejects. */
uint64_t quirk_defaults(enum provider_dialect d);
/* By the word of the configuration; false when it is not known. */
bool provider_dialect_parse(struct str word, enum provider_dialect *ret);
/* "openai" ... */
const char *provider_dialect_name(enum provider_dialect d);

#endif
