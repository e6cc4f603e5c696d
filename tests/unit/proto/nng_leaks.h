/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that break connections of nng 1.5.2 in every way: what it loses
 * on the way (a pipe whose handshake ended at a bad instant, with it its dialer
 * or listener) is its to free, and it does not. Tells LeakSanitizer; include it
 * once in a program.
 */
#ifndef TESTS_UNIT_PROTO_NNG_LEAKS_H
#define TESTS_UNIT_PROTO_NNG_LEAKS_H

#ifdef __SANITIZE_ADDRESS__
const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libnng.so";
}
#endif

#endif
