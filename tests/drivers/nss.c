/* An NSS module, service "fixture", that has nothing. FIXTURE says what it does wrong: leak-STEP, fail-STEP or crash-STEP, where STEP is a
   database. An impossible status is the only failure that a host may not accept. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fixture.h"

#define FAILED 77

STEP(passwd)

int _nss_fixture_getpwnam_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_passwd() ? FAILED : 0;
}

STEP(group)

int _nss_fixture_getgrnam_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_group() ? FAILED : 0;
}

STEP(shadow)

int _nss_fixture_getspnam_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_shadow() ? FAILED : 0;
}

STEP(hosts)

int _nss_fixture_gethostbyname2_r(const char *name, int family, void *result, char *texts, size_t room, int *error, int *host_error)
{
    (void)name, (void)family, (void)result, (void)texts, (void)room, (void)error, (void)host_error;
    return wrong_hosts() ? FAILED : 0;
}

STEP(services)

int _nss_fixture_getservbyname_r(const char *name, const char *protocol, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)protocol, (void)result, (void)texts, (void)room, (void)error;
    return wrong_services() ? FAILED : 0;
}

STEP(protocols)

int _nss_fixture_getprotobyname_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_protocols() ? FAILED : 0;
}

STEP(networks)

int _nss_fixture_getnetbyname_r(const char *name, void *result, char *texts, size_t room, int *error, int *host_error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error, (void)host_error;
    return wrong_networks() ? FAILED : 0;
}

STEP(rpc)

int _nss_fixture_getrpcbyname_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_rpc() ? FAILED : 0;
}

STEP(ethers)

int _nss_fixture_gethostton_r(const char *name, void *result, char *texts, size_t room, int *error)
{
    (void)name, (void)result, (void)texts, (void)room, (void)error;
    return wrong_ethers() ? FAILED : 0;
}
