/* md5: the MD5 of some bytes (RFC 1321), by which people compare texts; it protects nothing. */
#pragma once

#include <stddef.h>

enum { MD5_TEXT_SIZE = 33 };

/* 32 hexadecimal digits, as md5sum prints them. */
void md5_text(const void *data, size_t len, char text[MD5_TEXT_SIZE]);
