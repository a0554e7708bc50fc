/* process.c: what the kernel says of the server's process and of its children, and of us. */
#include "load.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static double cpu_of(int pid)
{
    char path[64], stat[1024];
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    size_t size = fread(stat, 1, sizeof stat - 1, file);
    fclose(file);
    stat[size] = 0;
    char *after_name = strrchr(stat, ')');      /* a program's name may hold anything */
    if (!after_name) return 0;
    sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system);
    return (double)(user + system) / sysconf(_SC_CLK_TCK);
}

static double memory_of(int pid)
{
    char path[64], text[256];
    long size = 0;

    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    while (fgets(text, sizeof text, file))
        if (sscanf(text, "VmRSS: %ld", &size) == 1) break;
    fclose(file);
    return size;
}

/* The sum over a process and its children: a server may have a process beside it that waits for the disk. */
static double sum(int pid, double (*of)(int))
{
    char path[64];
    int child;

    double total = of(pid);
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", pid, pid);
    FILE *file = fopen(path, "r");
    if (!file) return total;
    while (fscanf(file, "%d", &child) == 1) total += of(child);
    fclose(file);
    return total;
}

double process_cpu(int pid) { return pid ? sum(pid, cpu_of) : 0; }

long process_memory(int pid) { return pid ? (long)sum(pid, memory_of) : 0; }

double own_cpu(void)
{
    struct rusage used;

    getrusage(RUSAGE_SELF, &used);
    return used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}
