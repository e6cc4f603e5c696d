/* SPDX-License-Identifier: Apache-2.0 */
/* The one version of all programs, semantic versioning. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define HEADGATE_VERSION "0.1.0"

#endif
