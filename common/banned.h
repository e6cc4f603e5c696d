/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Functions that nobody may call: each writes without a bound, keeps hidden
 * state or cannot report an error. The build includes this file before every
 * source, so a use of one of them is a compile error that names it. The
 * headers that declare them come first, so that only later uses are caught.
 */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BANNED(function) function##_is_banned_see_common_banned_h

#undef strcpy
#define strcpy(dst, src) BANNED(strcpy)
#undef strcat
#define strcat(dst, src) BANNED(strcat)
#undef sprintf
#define sprintf(...) BANNED(sprintf)
#undef vsprintf
#define vsprintf(...) BANNED(vsprintf)
#undef strtok
#define strtok(s, delim) BANNED(strtok)
#undef atoi
#define atoi(s) BANNED(atoi)
#undef gets
#define gets(s) BANNED(gets)

#endif
