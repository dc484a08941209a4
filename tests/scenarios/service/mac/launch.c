/* launch_activate_socket(3), for a job whose stand-in launchd left a descriptor open and its number in a variable. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

int launch_activate_socket(const char *name, int **fds, size_t *count) {
    static int done = 0;
    const char *number = getenv("STAND_IN_SOCKET");
    if (!number) return ESRCH;           /* no job of launchd */
    if (strcmp(name, "http")) return ENOENT;
    if (done++) return EALREADY;         /* once in the life of a process */
    *fds = malloc(sizeof(int));
    **fds = atoi(number);
    *count = 1;
    return 0;
}
