# SPDX-License-Identifier: Apache-2.0
"""Podman with storage, network and processes of its own, in the mount, network and process-id namespaces of the calling test. Podman runs
CNI plugins, Debian's and those of `plugins`."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import lab


def require(*programs):
    for program in ("podman", "crun", "conmon", *programs):
        if not shutil.which(program):
            lab.skip(f"{program} is not installed; scripts/install does it")


def run(*argv, check=True, **options):
    done = subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=120, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, argv))[:300]}: exit {done.returncode}\n{done.stdout}{done.stderr}")
    return done


class Podman:
    def __init__(self, base, plugins=(), plugin_dir="/opt/cni/bin"):
        """`plugins`: what stands in the chain behind bridge."""
        self.base, self.env = base, None
        for directory in ("store", "run", "tmp", "net.d"):
            (base / directory).mkdir()
        # No control groups: they would outlive us. In a chroot, / cannot be pivoted.
        pivots = any(line.split()[4] == "/" for line in open("/proc/self/mountinfo"))
        (base / "containers.conf").write_text(f"""
[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
log_driver = "k8s-file"
cgroups = "disabled"
cgroupns = "host"
apparmor_profile = ""
[engine]
cgroup_manager = "cgroupfs"
runtime = "crun"
events_logger = "file"
tmp_dir = "{base}/tmp"
no_pivot_root = {"false" if pivots else "true"}
[network]
network_backend = "cni"
cni_plugin_dirs = ["/usr/lib/cni", "{plugin_dir}"]
network_config_dir = "{base}/net.d"
default_network = "weir"
""")
        bridge = {"type": "bridge", "bridge": "weir0", "isGateway": True, "ipMasq": False, "hairpinMode": True, "capabilities": {"ips": True},
                  "ipam": {"type": "host-local", "dataDir": f"{base}/ipam", "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}],
                           "ranges": [[{"subnet": "10.99.0.0/24"}], [{"subnet": "fd99::/64"}]]}}
        self.network("weir", [bridge, *plugins])
        self.env = {**os.environ, "CONTAINERS_CONF": f"{base}/containers.conf"}

    def network(self, name, plugins):
        (self.base / f"net.d/10-{name}.conflist").write_text(json.dumps({"cniVersion": "0.4.0", "name": name, "plugins": plugins}))

    def __call__(self, *words, check=True):
        return run("podman", "--root", self.base / "store", "--runroot", self.base / "run", "--storage-driver", "vfs", *words, check=check, env=self.env)

    def image(self, name, files, *changes):
        """An image of nothing but these files: {path: source}; a source that is a string is a symbolic link's."""
        with tempfile.TemporaryDirectory(dir=self.base) as root:
            for path, source in files.items():
                target = pathlib.Path(root + path)
                if isinstance(source, str):
                    target.symlink_to(source)
                else:
                    shutil.copy2(source, target)
                    target.chmod(0o755)
            os.chmod(root, 0o755)
            archive = self.base / "image.tar"
            run("tar", "-C", root, "--owner=0", "--group=0", "-cf", archive, ".")
            self("import", *(word for change in changes for word in ("--change", change)), archive, f"localhost/{name}:1")
            archive.unlink()


def prepare():
    """A node's directories for these namespaces alone; where a test may keep its own files."""
    run("mount", "-t", "tmpfs", "-o", "mode=755", "weir-podman", "/run")
    run("mount", "-t", "tmpfs", "-o", "mode=755", "weir-podman", "/var/lib", check=False)  # CNI's cache
    run("umount", "/sys/fs/cgroup/unified", check=False)  # crun refuses a hierarchy of both kinds
    run("ip", "link", "set", "lo", "up")
    base = pathlib.Path("/run/weir")
    base.mkdir()
    return base
