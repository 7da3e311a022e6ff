// A plugin for qemu-user that counts the instructions of the emulated program, and prints their number
// when it ends. Whole blocks are counted as they begin: one that a signal interrupts counts in full.
//
//   cc -shared -fPIC -O1 -o count.so count.c && qemu-aarch64 -plugin ./count.so -d plugin PROGRAM
//
// The declarations are those of version 1 of QEMU's interface for plugins (QEMU 4.2 to 8.2).
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

struct block;
extern size_t qemu_plugin_tb_n_insns(const struct block *block);
extern void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *block, int operation, void *sum, uint64_t add);
extern void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t, void *), void *data);
extern void qemu_plugin_outs(const char *text);

enum { ADD_U64 = 0 };

int qemu_plugin_version = 1;
static uint64_t executed;

static void translated(uint64_t id, struct block *block) {
    qemu_plugin_register_vcpu_tb_exec_inline(block, ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void ended(uint64_t id, void *data) {
    char text[48];
    snprintf(text, sizeof text, "instructions: %" PRIu64 "\n", executed);
    qemu_plugin_outs(text);
}

int qemu_plugin_install(uint64_t id, const void *machine, int argc, char **argv) {
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
