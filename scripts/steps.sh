# SPDX-License-Identifier: Apache-2.0
# Sourced by the other scripts: refusals, and steps with progress, a log each, and a message that says what to do.

weir_top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
weir_start=${WEIR_START:-$(date +%s)}
export WEIR_START=$weir_start
step_number=${WEIR_STEP:-0}
step_total=${step_total:-1}

# Meson's options of build-asan, for unit tests and fuzz targets. O1 keeps stacks readable and the build short.
sanitize_options='-Db_lundef=false -Dbuildtype=debug -Doptimization=1'
asan_options="-Db_sanitize=address,undefined -Dfuzz=true $sanitize_options"

elapsed() { local s=$(($(date +%s) - weir_start)); printf '%d:%02d' $((s / 60)) $((s % 60)); }

refuse() { # refuse EXITCODE TEXT…
  local code=$1; shift
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit "$code"
}

require_root() {
  [ "$(id -u)" = 0 ] || refuse 1 "needs root, because it makes network namespaces and installs packages. Try: sudo $0"
}

require_debian_12() {
  local id='' version=''
  [ -r /etc/os-release ] && id=$(. /etc/os-release; echo "${ID:-}") && version=$(. /etc/os-release; echo "${VERSION_ID:-}")
  [ "$id" = debian ] && [ "$version" = 12 ] ||
    refuse 2 "is made for Debian 12; this is ${id:-an unknown system} ${version:-}. Elsewhere, install what scripts/packages lists by hand, then: scripts/build && meson test -C build"
}

# The running step's process group, so that an interrupt ends it too.
step_child=
step_interrupted() {
  trap '' INT TERM HUP
  [ -n "$step_child" ] && kill -TERM "$step_child" 2>/dev/null
  echo; echo "$(basename "$0"): interrupted after $(elapsed)" >&2
  exit 130
}

# run_logged LOG COMMAND…: output to the log, interruptible; returns the command's exit code.
run_logged() {
  local log=$1; shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 </dev/null &
  step_child=$!
  local rc=0
  wait "$step_child" || rc=$?
  step_child=
  return "$rc"
}

# step "what is done" "what to do if it fails" COMMAND…: prints one line; on failure shows the log's end. Returns the command's exit code.
step() {
  local what=$1 advice=$2; shift 2
  step_number=$((step_number + 1))
  export WEIR_STEP=$step_number
  local log="$weir_top/build/log/$step_number-$(echo "$what" | tr -cs 'a-zA-Z0-9' '-' | sed 's/-*$//').log"
  printf '[%d/%d] %s %s … ' "$step_number" "$step_total" "$(elapsed)" "$what"
  local begin rc=0; begin=$(date +%s)
  run_logged "$log" "$@" || rc=$?
  if [ "$rc" = 0 ]; then
    printf 'ok (%d s)\n' $(($(date +%s) - begin))
  else
    printf 'FAILED (exit %d, %d s)\n' "$rc" $(($(date +%s) - begin))
    tail -n "${WEIR_TAIL:-25}" "$log" | sed 's/^/    /'
    printf '  step %d of %d failed: %s\n  its log: %s\n  what to do: %s\n' "$step_number" "$step_total" "$what" "$log" "$advice"
  fi
  return "$rc"
}

# Runs this script again inside own mount and process-id namespaces: when it ends, however it ends (SIGKILL too), all its
# processes, network namespaces and mounts end with it.
enter_sandbox() {
  [ "${WEIR_SANDBOX:-}" = 1 ] && return 0
  export WEIR_SANDBOX=1
  local how=private
  unshare --mount --propagation private true 2>/dev/null || how=unchanged
  # In a chroot / may be no mount point, which unshare, Podman and others ask for: what is mounted in it is made private one by one,
  # and a bind mount of it takes its place.
  exec unshare --mount --pid --fork --kill-child --propagation "$how" -- bash -c '
    enter="mount -t proc proc /proc && exec \"\$@\""
    [ "$0" = private ] || {
      cut -d" " -f5 /proc/self/mountinfo | while read -r at; do mount --make-private "$at" 2>/dev/null; done
      mount --rbind / /mnt && exec chroot /mnt bash -c "$enter" sandbox "$@"
    }
    exec bash -c "$enter" sandbox "$@"' "$how" "$weir_top/scripts/$(basename "$0")" "$@"
}
