// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The kernel programs of every driver, one object for all kernels from 5.15 on; a driver loads those it uses. */
#include "kernel.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>
#include <bpf/bpf_core_read.h>

#include "maps.h"
#include "scratch.h"
#include "scope.h"
#include "loop.h"
#include "path.h"
#include "automaton.h"
#include "judge.h"
#include "lineage.h"
#include "report.h"
#include "arguments.h"
#include "applet.h"
#include "exec.h"
#include "network.h"
#include "syscalls.h"
#include "lsm.h"
#include "lsm_exec.h"
#include "mounts.h"
#include "file_cache.h"
#include "lsm_file.h"
#include "lsm_attributes.h"
#include "escape.h"
#include "lsm_paths.h"
#include "lsm_calls.h"
#include "lsm_network.h"
#include "tamper.h"
#include "observe.h"

char LICENSE[] SEC("license") = "GPL";
