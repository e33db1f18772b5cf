#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The static weir-init where there is next to nothing: an empty read-only root, CAP_NET_ADMIN alone, a user namespace; and many
namespaces at a time.

    /            tmpfs, read-only, holds weir-init only: no libc, no /etc, no nft, no /proc (or one whose sys cannot be written)
"""
import ctypes
import os
import pathlib
import subprocess
import threading

import lab

lab.enter()

STATIC = pathlib.Path(os.environ.get("WEIR_STATIC", lab.REPO / "build-static/bin"))
INIT, PROXY = STATIC / "weir-init", STATIC / "weir-proxy"
for program in (INIT, PROXY):
    if not program.exists():
        lab.skip(f"{program} is not built; run scripts/build-static")

ISTIO_INIT = ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-x", "", "-b", "*", "-d", "15090,15021,15020",
              "--log_output_level=default:info"]
FLAGS = ISTIO_INIT[1:]
CLONE_NEWUSER, CLONE_NEWNET, CLONE_NEWNS = 0x10000000, 0x40000000, 0x20000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, NET_ADMIN = 24, 38, 12
libc = ctypes.CDLL(None, use_errno=True)
ROOT = pathlib.Path("/mnt")


def empty_image():
    """A root that holds the two programs and mount points, and cannot be written."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "weir-image", ROOT], check=True)
    for program in (INIT, PROXY):
        (ROOT / program.name).write_bytes(program.read_bytes())
        (ROOT / program.name).chmod(0o755)
    (ROOT / "proc").mkdir()
    subprocess.run(["mount", "-o", "remount,ro", ROOT], check=True)


def contained(uid=0, capabilities=(NET_ADMIN,)):
    """To be run in a child before its program: into the image, and without what a container does not have."""
    def enter():
        os.chroot(ROOT)
        os.chdir("/")
        for capability in range(64):
            if capability not in capabilities:
                libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
        if uid:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    return enter


def in_image(*argv, **how):
    return subprocess.run(list(argv), executable=str(argv[0]), preexec_fn=contained(**how), env={"PATH": "/nowhere"}, capture_output=True, text=True, timeout=30)


def table():
    return subprocess.run(["nft", "list", "table", "inet", "weir"], capture_output=True, text=True).stdout


cases = lab.Cases()
empty_image()
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)

with cases("the programs are whole: no interpreter, no library, a few megabytes"):
    for program, limit in ((INIT, 5_000_000), (PROXY, 12_000_000)):
        needs = subprocess.run(["readelf", "--wide", "--program-headers", "--dynamic", program], capture_output=True, text=True, check=True).stdout
        assert "INTERP" not in needs and "(NEEDED)" not in needs, needs
        assert program.stat().st_size < limit, f"{program.name} has {program.stat().st_size} bytes"

with cases("in an empty read-only image with NET_ADMIN alone: apply, check, explain, remove"):
    done = in_image("/weir-init", *ISTIO_INIT)
    assert done.returncode == 0 and done.stdout.startswith("applied"), done
    assert "redirect to :15001" in table() and "redirect to :15006" in table(), table()
    done = in_image("/weir-init", *FLAGS)
    assert done.returncode == 0 and done.stdout.startswith("nothing to do"), done
    done = in_image("/weir-init", "check", *FLAGS)
    assert done.returncode == 0, done
    done = in_image("/weir-init", "explain", *FLAGS, "--uid", "1000", "--to", "192.0.2.1:80")
    assert done.returncode == 0 and "15001" in done.stdout, done
    done = in_image("/weir-init", "remove")
    assert done.returncode == 0 and not table(), done

with cases("with a /proc whose sys cannot be written, as a container has it"):
    subprocess.run(["mount", "-t", "proc", "proc", ROOT / "proc"], check=True)
    subprocess.run(["mount", "--bind", ROOT / "proc/sys", ROOT / "proc/sys"], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", ROOT / "proc/sys"], check=True)
    done = in_image("/weir-init", *ISTIO_INIT)
    assert done.returncode == 0 and "redirect to :15001" in table(), done
    assert in_image("/weir-init", "remove").returncode == 0

with cases("without NET_ADMIN it says what is missing"):
    done = in_image("/weir-init", *ISTIO_INIT, capabilities=())
    assert done.returncode == 2 and "CAP_NET_ADMIN" in done.stderr and "[NET_ADMIN]" in done.stderr, done

with cases("a user's name without /etc/passwd is told, as a number it works"):
    done = in_image("/weir-init", *FLAGS, "-u", "envoy")
    assert done.returncode == 1 and "envoy" in done.stderr, done

with cases("weir-proxy in the same image, as a user that nothing knows"):
    done = in_image("/weir-proxy", "--version", uid=1337, capabilities=())
    assert done.returncode == 0 and done.stdout.startswith("weir-proxy"), done
    done = in_image("/weir-proxy", "--agent", "nowhere.example:15010", uid=1337, capabilities=())
    assert done.returncode == 1, done

MAPPED = "in a user namespace with a mapped root (hostUsers: false)"
if subprocess.run(["unshare", "--user", "true"], capture_output=True).returncode != 0:
    cases.skip(MAPPED, "the kernel makes no user namespace here; in a chroot it never does (kernel/user_namespace.c)")
else:
    with cases(MAPPED):
        done = subprocess.run(["unshare", "--user", "--map-root-user", "--net", "--", "sh", "-c", 'ip link set lo up; "$0" "$@" && nft list table inet weir', INIT, *ISTIO_INIT],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 0 and done.stdout.startswith("applied") and "redirect to :15006" in done.stdout, done

with cases("200 namespaces at a time, each with all of its rules"):
    gate_read, gate_write = os.pipe()
    script = 'ip link set lo up; echo; read -r go; "$0" "$@" >/dev/null && nft -j list table inet weir | wc -c'
    waiting = [subprocess.Popen(["unshare", "--net", "--", "sh", "-c", script, INIT, *ISTIO_INIT], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=gate_read,
                                text=True) for _ in range(200)]
    for process in waiting:
        assert process.stdout.readline() == "\n"
    os.write(gate_write, b"go\n" * len(waiting))
    answers = {}
    def collect(process):
        answers[process] = process.communicate(timeout=100)
    threads = [threading.Thread(target=collect, args=(process,)) for process in waiting]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [(process.returncode, *answers[process]) for process in waiting if process.returncode != 0]
    assert not failed, f"{len(failed)} of {len(waiting)}, the first: {failed[0]}"
    sizes = {answers[process][0].strip() for process in waiting}
    assert len(sizes) == 1 and int(sizes.pop()) > 1000, f"the rules differ: {sizes}"

cases.finish()
