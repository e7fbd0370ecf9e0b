/* A host that uses PAM as a server does: in each step 10 conversations with each service of a private directory. A step begins with a line of
   one FIFO and ends with a line in the other. The prototypes are those of <security/pam_appl.h>. */
#include <stdio.h>
#include <stdlib.h>

struct pam_handle;
struct pam_message;
struct pam_response;
struct pam_conv {
    int (*conversation)(int, const struct pam_message **, struct pam_response **, void *);
    void *data;
};
int pam_start_confdir(const char *service, const char *user, const struct pam_conv *conversation, const char *directory,
                      struct pam_handle **handle);
int pam_authenticate(struct pam_handle *handle, int flags);
int pam_acct_mgmt(struct pam_handle *handle, int flags);
int pam_end(struct pam_handle *handle, int status);

#define PAM_CONV_ERR 19
#define PAM_SILENT 0x8000

/* Nobody answers. */
static int converse(int count, const struct pam_message **messages, struct pam_response **responses, void *data) {
    (void)count, (void)messages, (void)responses, (void)data;
    return PAM_CONV_ERR;
}

static void talk(const char *directory, const char *service) {
    struct pam_conv conversation = {converse, NULL};
    struct pam_handle *handle = NULL;
    int status = pam_start_confdir(service, "nobody", &conversation, directory, &handle);
    if (status) {
        fprintf(stderr, "%s: %d\n", service, status);
        exit(1);
    }
    pam_authenticate(handle, PAM_SILENT);
    pam_end(handle, pam_acct_mgmt(handle, PAM_SILENT));
}

int main(int count, char **arguments) {
    while (1) {
        FILE *go = fopen(arguments[2], "r");
        while (go && getc(go) != EOF)
            ;
        fclose(go);
        for (int turn = 0; turn < 10; turn++)
            for (int service = 4; service < count; service++)
                talk(arguments[1], arguments[service]);
        FILE *done = fopen(arguments[3], "w");
        fputs("done\n", done);
        fclose(done);
    }
}
