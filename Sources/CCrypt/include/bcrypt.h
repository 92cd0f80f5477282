// bcrypt by the system's libcrypt, without its global state: any thread may call.

#ifndef COTERIE_BCRYPT_H
#define COTERIE_BCRYPT_H

#include <stddef.h>

/// The room that a setting or a hash takes, with its NUL.
#define COTERIE_BCRYPT_SIZE 128

/// Writes a setting (`$2a$`, cost, salt) made of 16 random bytes. Returns 0, or -1 where there is no bcrypt.
int coterie_bcrypt_setting(unsigned cost, const unsigned char *random, char *setting);

/// Writes the hash of `password` under a setting, or under a hash, which begins with its setting.
/// Returns 0, or -1 if the setting is none of bcrypt's.
int coterie_bcrypt(const char *password, const char *setting, char *hash);

#endif
