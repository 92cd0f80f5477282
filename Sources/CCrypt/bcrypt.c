#include "bcrypt.h"

#include <string.h>

#if defined(__linux__)

#include <crypt.h>
#include <stdlib.h>

int coterie_bcrypt_setting(unsigned cost, const unsigned char *random, char *setting) {
    char *made = crypt_gensalt_rn(
        "$2a$", cost, (const char *)random, 16, setting, COTERIE_BCRYPT_SIZE);
    return made == NULL ? -1 : 0;
}

int coterie_bcrypt(const char *password, const char *setting, char *hash) {
    if (strncmp(setting, "$2", 2) != 0) return -1;
    struct crypt_data *data = calloc(1, sizeof(struct crypt_data));
    if (data == NULL) return -1;
    char *made = crypt_rn(password, setting, data, sizeof(struct crypt_data));
    int result = -1;
    if (made != NULL && made[0] == '$' && strlen(made) < COTERIE_BCRYPT_SIZE) {
        strcpy(hash, made);
        result = 0;
    }
    // The data holds the password.
    explicit_bzero(data, sizeof(struct crypt_data));
    free(data);
    return result;
}

#else

// libcrypt's bcrypt is Linux's.
int coterie_bcrypt_setting(unsigned cost, const unsigned char *random, char *setting) {
    (void)cost; (void)random; (void)setting;
    return -1;
}

int coterie_bcrypt(const char *password, const char *setting, char *hash) {
    (void)password; (void)setting; (void)hash;
    return -1;
}

#endif
