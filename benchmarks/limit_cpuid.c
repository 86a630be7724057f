// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file limit_cpuid.c
/// A program's libraries see a processor that ends at AVX2, though it has AVX-512 (x86-64 Linux, glibc); limit_cpuid.py says how.
///
/// The dynamic linker loads this object before all others (LD_AUDIT) and calls la_objopen when it has mapped an object, before anything of
/// it runs. Every `cpuid` listed for that object (0F A2) is replaced by `ud2` (0F 0B), and the signal's handler answers it with what the
/// processor says, less the sets above AVX2. The list is the file that SPLITDSL_LIMIT_SITES names; a line is an object's offsets in
/// hexadecimal, separated by commas, or "-" if it has none, a blank and its path. An object that is not in it stays as it is, and its path
/// is appended to the file SPLITDSL_LIMIT_UNKNOWN names. What an object reads elsewhere (/proc/cpuinfo, the dynamic linker's own table) is
/// not limited.
#define _GNU_SOURCE
#include <cpuid.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unistd.h>

enum { most_sites = 4096 };
static uintptr_t sites[most_sites];
static int replaced;
static char* listed; // the file of sites, ended by 0

static _Noreturn void fail(const char* what) {
    dprintf(2, "limit_cpuid: %s\n", what);
    _exit(127);
}

/// Intel's manual, volume 2, CPUID: leaf 7 has all sets above AVX2, leaf 0x24 the version of AVX10.
static void limit(uint32_t leaf, uint32_t subleaf, uint32_t* a, uint32_t* b, uint32_t* c, uint32_t* d) {
    if (leaf == 7 && subleaf == 0) {
        // AVX-512 F, DQ, IFMA, PF, ER, CD, BW, VL
        *b &= ~(1u << 16 | 1u << 17 | 1u << 21 | 1u << 26 | 1u << 27 | 1u << 28 | 1u << 30 | 1u << 31);
        // VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ
        *c &= ~(1u << 1 | 1u << 6 | 1u << 11 | 1u << 12 | 1u << 14);
        // 4VNNIW, 4FMAPS, VP2INTERSECT, AMX-BF16, AVX-512 FP16, AMX-TILE, AMX-INT8
        *d &= ~(1u << 2 | 1u << 3 | 1u << 8 | 1u << 22 | 1u << 23 | 1u << 24 | 1u << 25);
    } else if (leaf == 7 && subleaf == 1) {
        *a &= ~(1u << 4 | 1u << 5 | 1u << 21 | 1u << 23);           // AVX-VNNI, AVX-512 BF16, AMX-FP16, AVX-IFMA
        *d &= ~(1u << 4 | 1u << 5 | 1u << 8 | 1u << 10 | 1u << 19); // AVX-VNNI-INT8, AVX-NE-CONVERT, AMX-COMPLEX, AVX-VNNI-INT16, AVX10
    } else if (leaf == 0x1e || leaf == 0x24) {
        *a = *b = *c = *d = 0; // AMX, AVX10
    }
}

static void answer(int number, siginfo_t* info, void* context) {
    (void)info;
    greg_t* const registers = ((ucontext_t*)context)->uc_mcontext.gregs;
    int i = 0;
    while (i < replaced && sites[i] != (uintptr_t)registers[REG_RIP]) ++i;
    if (i == replaced) { // the program's own: it dies of it, as it would without us
        signal(number, SIG_DFL);
        return;
    }
    const uint32_t leaf = (uint32_t)registers[REG_RAX], subleaf = (uint32_t)registers[REG_RCX];
    uint32_t a = 0, b = 0, c = 0, d = 0;
    __cpuid_count(leaf, subleaf, a, b, c, d);
    limit(leaf, subleaf, &a, &b, &c, &d);
    registers[REG_RAX] = a;
    registers[REG_RBX] = b;
    registers[REG_RCX] = c;
    registers[REG_RDX] = d;
    registers[REG_RIP] += 2;
}

unsigned la_version(unsigned version) {
    const char* const name = getenv("SPLITDSL_LIMIT_SITES");
    const int file = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    struct stat about;
    if (file < 0 || fstat(file, &about) != 0) fail("SPLITDSL_LIMIT_SITES: expected a file");
    listed = malloc((size_t)about.st_size + 1);
    if (!listed || read(file, listed, (size_t)about.st_size) != about.st_size) fail("SPLITDSL_LIMIT_SITES cannot be read");
    listed[about.st_size] = 0;
    close(file);
    struct sigaction action = {.sa_flags = SA_SIGINFO | SA_ONSTACK};
    action.sa_sigaction = answer;
    sigaction(SIGILL, &action, NULL);
    return version < LAV_CURRENT ? version : LAV_CURRENT;
}

/// The line of an object in the list; null if there is none.
static char* line_of(const char* path) {
    const size_t length = strlen(path);
    for (char* line = listed; *line;) {
        char* const end = strchrnul(line, '\n');
        char* const blank = strchr(line, ' ');
        if (blank && blank < end && (size_t)(end - blank - 1) == length && memcmp(blank + 1, path, length) == 0) return line;
        line = *end ? end + 1 : end;
    }
    return NULL;
}

static void replace(unsigned char* site) {
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t begin = (uintptr_t)site & ~(page - 1);
    const size_t bytes = (uintptr_t)site + 2 - begin;
    if (replaced == most_sites || site[0] != 0x0f || site[1] != 0xa2) fail("an object is not the one that was listed; delete the list");
    sites[replaced++] = (uintptr_t)site;
    if (mprotect((void*)begin, bytes, PROT_READ | PROT_WRITE | PROT_EXEC) != 0) fail("code cannot be written");
    site[1] = 0x0b;
    mprotect((void*)begin, bytes, PROT_READ | PROT_EXEC);
}

unsigned la_objopen(struct link_map* object, Lmid_t space, uintptr_t* cookie) {
    (void)space;
    (void)cookie;
    char path[PATH_MAX];
    if (!realpath(*object->l_name ? object->l_name : "/proc/self/exe", path)) return 0; // the kernel's own object has no file
    const char* at = line_of(path);
    if (!at) {
        const char* const name = getenv("SPLITDSL_LIMIT_UNKNOWN");
        const int file = name ? open(name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
        if (file < 0) fail("SPLITDSL_LIMIT_UNKNOWN: expected a file that can be written");
        dprintf(file, "%s\n", path);
        close(file);
        return 0;
    }
    while (*at != ' ' && *at != '-') {
        char* end = NULL;
        replace((unsigned char*)(object->l_addr + strtoul(at, &end, 16)));
        at = *end == ',' ? end + 1 : end;
    }
    return 0;
}
