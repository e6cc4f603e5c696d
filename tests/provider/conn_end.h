/* SPDX-License-Identifier: Apache-2.0 */
/* How a TLS connection ends. */
#ifndef TESTS_PROVIDER_CONN_END_H
#define TESTS_PROVIDER_CONN_END_H

enum conn_end {
	CONN_NOTIFY, /* with close_notify, as it should be */
	CONN_SILENT, /* without one */
	CONN_ALERT,  /* by a fatal alert */
	CONN_CORRUPT /* by a record that nobody can decrypt */
};

#endif
