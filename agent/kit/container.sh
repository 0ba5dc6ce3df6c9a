#!/bin/sh
# The agent in a container, for a machine whose Python is too old, or that has none. As root:
#   sh container.sh check|install|uninstall    what `roost node install --image` runs there
#   sh container.sh run IMAGE                  the runtime keeps it running, as on a host without systemd
#   sh container.sh line IMAGE                 only says with which line
# POSIX sh and the machine's own Docker or Podman, nothing else. Each step looks first and can be
# done again. Installed it is /opt/roost/container, and roost-agent leads to it.
#
# The agent needs what it has outside a container: the machine's processes, network, name and
# cgroups, the runtime's socket, and its folders under the same paths, because what it mounts into
# other containers is mounted from there. All else of the machine, files and programs, it finds by
# the root of process 1: agent/host/real_paths.py. GPUs are passed one by one: the NVIDIA toolkit
# need not be there, and a container that it made would lose them at a `systemctl daemon-reload`. It
# asks other containers in their own networks (setns(2): SYS_ADMIN) and looks at other processes
# (SYS_PTRACE); whoever has the runtime's socket has all of the machine anyway.
# /opt/roost is the machine's: an upgraded agent outlives the container.
set -u
# sudo, sshd and systemd leave out one or the other place that runtimes are in.
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/snap/bin
at=${ROOST_PREFIX:-} # tests have a machine in a folder
root=$at/opt/roost config=$at/etc/roost state=$at/var/lib/roost
unit=$at/etc/systemd/system/roost-agent.service link=$at/usr/local/bin/roost-agent
# As the current version has it: how its container is run, and the unit, change with it, and back.
own=$root/current/lib/agent/kit/container.sh
name=roost-agent
host=${ROOST_HOST:-/proc/1/root} # the machine's root, as the container has it
image='' version='' archive='' layers='' member='' all='' json=''

# Text as it stands in JSON.
text() {
  printf '"%s"' "$(printf %s "$1" | tr '\001-\037' ' ' | sed 's/[\\"]/\\&/g')"
}

say() {
  if [ "$json" ]; then printf '{"says": %s}\n' "$(text "$1")"; else echo "$1"; fi
}

# CODE DETAIL HINT: what is wrong, and what to do.
fail() {
  if [ "$json" ]; then
    printf '{"problem": {"code": %s, "detail": %s, "hint": %s}}\n' \
      "$(text "$1")" "$(text "$2")" "$(text "$3")"
  else
    printf '%s: %s\n  %s\n' "$1" "$2" "$3" >&2
  fi
  exit 1
}

# CODE COMMAND...
must() {
  code=$1
  shift
  told=$("$@" 2>&1 </dev/null) && return
  fail "$code" "$*: $(printf %s "$told" | tail -c 300)" 'Mend that and run it again: it goes on.'
}

# The runtime whose command and socket are both here: $cli and $socket.
find_runtime() {
  for cli in docker podman; do
    command -v "$cli" >/dev/null || continue
    for socket in ${RUNTIME_SOCKET:-/run/$cli.sock /run/$cli/$cli.sock}; do
      [ -S "$at$socket" ] || continue
      # Whatever an environment or a context says, which may lead to another machine.
      unset DOCKER_CONTEXT DOCKER_TLS DOCKER_TLS_VERIFY CONTAINER_HOST CONTAINER_CONNECTION
      [ "$cli" = podman ] || export DOCKER_HOST="unix://$at$socket"
      return 0
    done
  done
  cli='' socket=''
  return 1
}

need_runtime() {
  find_runtime || fail kit.runtime 'no docker or podman whose socket answers is here' \
    'Start it: sudo systemctl enable --now docker (or podman.socket).'
}

has_systemd() { [ -d "$at/run/systemd/system" ]; }

# Also where it calls itself docker: podman-docker.
is_podman() { case $("$cli" --version 2>/dev/null </dev/null) in podman*) ;; *) return 1 ;; esac; }

# Nobody starts its containers after a boot.
needs_systemd() { ! has_systemd && is_podman; }

# A container of that name which was not made here.
foreign() {
  [ "$("$cli" ps --all --quiet --filter "name=^/?$name\$" </dev/null)" ] && [ -z "$(made_here)" ]
}

made_here() {
  "$cli" ps --all --quiet --filter "name=^/?$name\$" --filter label=io.roost.agent=container </dev/null
}

need_name() {
  ! foreign || fail kit.name "a container named $name is there that is not the agent's" \
    "Rename it: $cli rename $name OTHER."
}

# Of shadow, or else of busybox.
has_group() {
  if command -v getent >/dev/null; then getent group roost >/dev/null; else grep -q '^roost:' "$at/etc/group"; fi
}

can_make_group() { command -v groupadd >/dev/null || command -v addgroup >/dev/null; }

make_group() {
  if command -v groupadd >/dev/null; then groupadd --system roost; else addgroup -S roost; fi
}

join_group() {
  if command -v usermod >/dev/null; then usermod --append --groups roost "$1"; else addgroup "$1" roost; fi
}

remove_group() {
  if command -v groupdel >/dev/null; then groupdel roost; else delgroup roost; fi
}

# MODE IMAGE: the exact line. MODE: attached (systemd hears what it says, and starts it again), run
# (the runtime keeps it running), line (say the one that fits here), create (make it, start nothing).
line() {
  mode=$1 of=$2
  keeping='--detach --restart unless-stopped'
  # Else what it says fills the disk in the course of years.
  is_podman || keeping="$keeping --log-driver json-file --log-opt max-size=8m --log-opt max-file=2"
  if [ "$mode" = attached ] || [ "$mode" = create ] || { [ "$mode" = line ] && has_systemd; }; then
    # By JOURNAL_STREAM the agent knows that its words are in the journal.
    keeping='--rm --log-driver none --env JOURNAL_STREAM'
  fi
  # Its folder, where it has one of its own: a podman.socket that is started again makes another one.
  place=$socket
  case $socket in /run/podman/*) place=${socket%/*} ;; esac
  set -- --name "$name" --label io.roost.agent=container \
    --env ROOST_HOST="$host" --pid host --network host --uts host --cgroupns host --userns host \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined \
    --security-opt label=disable --cap-add SYS_ADMIN --cap-add SYS_PTRACE \
    --volume "$at$place:$place" \
    --volume "$at/run/roost:/run/roost" --volume "$config:/etc/roost" \
    --volume "$state:/var/lib/roost" --volume "$root:/opt/roost"
  # Where the machine is itself a container it may not be allowed, and nothing would start.
  ! (echo -500 >/proc/self/oom_score_adj) 2>/dev/null || set -- "$@" --oom-score-adj -500
  for device in "$at"/dev/nvidiactl "$at"/dev/nvidia-uvm "$at"/dev/nvidia-uvm-tools \
    "$at"/dev/nvidia[0-9]* "$at"/dev/nvidia-caps/*; do
    [ ! -e "$device" ] || set -- "$@" --device "$device"
  done
  # The driver's own library, which is of the version of its kernel module.
  # A desktop has the one for 32 bits, too.
  for library in "$at/usr/lib/$(uname -m)-linux-gnu" "$at/usr/lib64"; do
    [ -e "$library/libnvidia-ml.so.1" ] || continue
    set -- "$@" --volume "$library/libnvidia-ml.so.1:/usr/lib/libnvidia-ml.so.1:ro"
    break
  done
  [ ! -e "$at/dev/kmsg" ] || set -- "$@" --device /dev/kmsg --cap-add SYSLOG
  # shellcheck disable=SC2086 # several words are meant
  case $mode in
  line) echo "$cli run $keeping $* $of" ;;
  create) "$cli" create $keeping "$@" "$of" </dev/null >/dev/null ;;
  *) exec "$cli" run $keeping "$@" "$of" </dev/null ;;
  esac
}

# Only one that was made here.
remove_container() {
  [ -z "$(made_here)" ] || "$cli" rm --force "$name" >/dev/null
}

# MODE [IMAGE]
start() {
  need_runtime
  mode=$1 of=${2:-$(cat "$root/image" 2>/dev/null)}
  [ "$of" ] || fail kit.broken "no image is installed in $root" 'Install one: roost node install --image FILE'
  make_places
  need_name
  remove_container || exit 1
  # After a boot the GPUs' device files come with the first program that asks for them.
  ! command -v nvidia-smi >/dev/null || timeout 30 nvidia-smi --list-gpus >/dev/null 2>&1 </dev/null || :
  [ "$0" != "$own" ] || renew "$@"
  line "$1" "$of"
}

# Older ones know no file to sync.
on_disk() { sync "$1" 2>/dev/null || sync; }

# FILE MODE: what comes in, on disk and then in its place.
put() {
  cat >"$1.part" && chmod "$2" "$1.part" && on_disk "$1.part" && mv -f "$1.part" "$1" &&
    on_disk "$(dirname "$1")" ||
    fail kit.write "$1 cannot be written" 'Mend that and run it again: it goes on.'
}

# What this version brings takes the place of what is there, but for a unit that was changed by hand.
# systemd reads it at the next boot; what cannot be written keeps no agent from its start. Nor does a
# line that the runtime does not take: what is there starts it as before.
renew() {
  [ "$(cat "$own")" != "$(cat "$root/container" 2>/dev/null)" ] || return 0
  line create "$of" || {
    echo "$cli does not take the line of $own: it is run as before" >&2
    OWN_REFUSED=1 exec sh "$root/container" "$@"
  }
  remove_container || exit 1
  known=$(sh "$root/container" unit 2>/dev/null </dev/null)
  [ "$known" != "$(cat "$unit" 2>/dev/null)" ] || [ ! "$known" ] || (unit_text | put "$unit" 0644)
  (put "$root/container" 0755 <"$own")
}

make_places() {
  has_group || must kit.group make_group
  must kit.write mkdir -p "$config" "$at/run/roost"
  [ -d "$config/trusted-keys" ] || must kit.write mkdir -m 0755 "$config/trusted-keys"
  [ -d "$config/secrets" ] || must kit.write mkdir -m 0700 "$config/secrets"
  for folder in "$state" "$root"; do
    [ -d "$folder" ] || must kit.write mkdir -p "$folder"
  done
  must kit.write chmod 0700 "$state"
  [ -e "$config/agent.yaml" ] || echo "runtime: unix://$socket" | put "$config/agent.yaml" 0644 || exit 1
}

# "KEY": of one line of a version's kit.json.
of_current() {
  sed -n "s/^ *\"$1\": *\"\\([^\"]*\\)\".*/\\1/p" "$root/current/kit.json" 2>/dev/null | head -n 1
}

loaded() {
  "$cli" image inspect --format '{{range .RootFS.Layers}}{{.}} {{end}}' "$image" 2>/dev/null </dev/null
}

# PLACE NAME: what its filesystem has left.
room() {
  place=$1
  while [ ! -e "$place" ]; do place=$(dirname "$place"); done
  writable=false
  [ ! -w "$place" ] || writable=true
  # Either name may have spaces, and several filesystems the name "overlay".
  free=$(df -Pk "$place" 2>/dev/null | sed -n '2s/^.* \([0-9]\{1,\}\)  *[0-9-]\{1,\}%  *\/.*$/\1/p')
  printf '{"place": %s, "filesystem": %s, "free_bytes": %s, "writable": %s}' \
    "$(text "$2")" "$(text "$(stat -L -c %d "$place")")" "$((${free:-0} * 1024))" "$writable"
}

check() {
  find_runtime
  joins=false name_taken=false
  [ -z "$cli" ] || ! foreign || name_taken=true
  case $member in '' | root) ;; *) id -nG "$member" | tr ' ' '\n' | grep -qx roost || joins=true ;; esac
  absent=''
  for place in "$config" "$state" "$root" "$config/agent.yaml"; do
    [ -e "$place" ] || absent="$absent${absent:+, }$(text "$place")"
  done
  store='' kept='' refuses=''
  if [ "$cli" ]; then
    kept=$(loaded)
    for key in DockerRootDir Store.GraphRoot; do
      [ "$store" ] || store=$("$cli" info --format "{{.$key}}" 2>/dev/null </dev/null)
    done
    [ "$store" ] || refuses=$("$cli" info 2>&1 </dev/null | tail -n 1 | tail -c 300)
  fi
  rooms="$(room "$root" /opt/roost), $(room "$state" /var/lib/roost)"
  [ -z "$store" ] || rooms="$rooms, $(room "$store" "$store")"
  os=$(sed -n 's/^PRETTY_NAME="*\([^"]*\)"*$/\1/p' "$at/etc/os-release" 2>/dev/null)
  driver=$(sed -n 's/^NVRM.*Kernel Module[^0-9]*\([0-9.]*\).*/\1/p' "$at/proc/driver/nvidia/version" 2>/dev/null)
  python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null </dev/null)
  printf '{"os": %s, "driver": %s, "python": %s, "cli": %s, "systemd": %s, "root": %s, "group": %s, ' \
    "$(text "$os")" "$(text "$driver")" "$(text "$python")" "$(text "$cli")" \
    "$(has_systemd && echo true || echo false)" "$([ "$(id -u)" = 0 ] && echo true || echo false)" \
    "$(has_group && echo true || echo false)"
  printf '"joins": %s, "absent": [%s], "rooms": [%s], "layers": %s, "version": %s, "kit": %s, ' \
    "$joins" "$absent" "$rooms" "$(text "${kept% }")" "$(text "$(of_current version)")" "$(text "$(of_current id)")"
  printf '"refuses": %s, "groups": %s, "name_taken": %s, "needs_systemd": %s, ' \
    "$(text "$refuses")" "$(can_make_group && echo true || echo false)" "$name_taken" \
    "$([ "$cli" ] && needs_systemd && echo true || echo false)"
  printf '"contained": %s, "line": %s}\n' \
    "$([ -e "$root/image" ] && echo true || echo false)" \
    "$(text "$([ -z "$cli" ] || line line "$image")")"
}

# PROGRAM WORDS...: runs it once in the image.
once() {
  program=$1
  shift
  "$cli" run --rm --network none --pid host --userns host --cap-add SYS_PTRACE \
    --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt label=disable \
    --volume "$root:/opt/roost" --volume "$state:/var/lib/roost" --volume "$config:/etc/roost:ro" \
    --entrypoint "$program" "$made" "$@"
}

install() {
  [ "$(id -u)" = 0 ] || fail kit.root 'it needs root' 'Run it with sudo.'
  need_runtime
  ! needs_systemd || fail kit.service 'podman starts no container after a boot, and systemd does not run here' \
    'Use Docker there, or systemd; or a python3 of 3.10 or newer and a kit.'
  if [ -e "$root/current" ] && [ ! -e "$root/image" ]; then
    fail kit.way 'an agent that was installed from a kit is there' \
      'Bring it another version: roost agent upgrade. Or first: roost node uninstall, which keeps its data.'
  fi
  need_name
  was=$(loaded)
  if [ "${was% }" != "$layers" ]; then
    say "loading $image"
    must kit.load "$cli" load --input "$archive"
  fi
  # Without what it says beside: podman-docker greets, docker warns of its configuration.
  made=$("$cli" image inspect --format '{{.Id}}' "$image" 2>/dev/null </dev/null) ||
    fail kit.load "$image is not there once its archive was loaded" 'Copy it again.'
  need_arch
  make_places
  case $member in
  '' | root) ;;
  *) id -nG "$member" | tr ' ' '\n' | grep -qx roost || must kit.group join_group "$member" ;;
  esac
  kit=$("$cli" image inspect --format '{{index .Config.Labels "io.roost.agent.kit"}}' "$made" </dev/null)
  # Its own Python looks whether it fits, and says so itself; then whether the agent can be loaded.
  once python3 -IS /kit.pyz unpack ${json:+--json} </dev/null || exit 1
  must kit.image once "/opt/roost/$kit/bin/roost-agent" version
  # Whether agent.yaml lets it in: it may want a signature.
  once "/opt/roost/$kit/bin/roost-agent" kit ${json:+--json} /kit.pyz </dev/null || exit 1
  must kit.host once python3 -IS -c 'import os; os.listdir("'"$host"'/etc")'
  put "$root/container" 0755 <"$0"
  echo "$made" | put "$root/image" 0644 || exit 1
  must kit.write mkdir -p "$(dirname "$link")"
  if [ ! -e "$link" ] || [ -L "$link" ]; then must kit.write ln -sfn "$root/container" "$link"; fi
  if has_systemd; then
    install_unit
  else
    say "starting $name; $cli keeps it running"
    must kit.service sh "$root/container" run
  fi
  say "agent $version is installed, in a container of $image"
}

# A hand install has no console that chose the image.
need_arch() {
  of=$("$cli" image inspect --format '{{.Architecture}}' "$made" </dev/null)
  case $(uname -m):$of in
  x86_64:amd64 | aarch64:arm64) ;;
  *) fail kit.arch "this machine is $(uname -m), the image is for $of" \
    "Make one for it: roost agent kit make --arch $(uname -m) --image BASE.tar" ;;
  esac
}

unit_text() {
  cat <<END
[Unit]
Description=Roost agent, in a container
After=network-online.target docker.service podman.socket
Wants=network-online.target$(! is_podman || echo ' podman.socket')
StartLimitIntervalSec=0

[Service]
ExecStart=$root/container attached
# What systemd had to kill leaves its container behind.
ExecStopPost=$root/container stop
SyslogIdentifier=roost-agent
Restart=always
RestartSec=2
KillMode=mixed
TimeoutStopSec=30
RuntimeDirectory=roost
RuntimeDirectoryMode=0755
RuntimeDirectoryPreserve=yes

[Install]
WantedBy=multi-user.target
END
}

install_unit() {
  was=$(cat "$unit" 2>/dev/null)
  unit_text | put "$unit" 0644 || exit 1
  say 'starting roost-agent.service'
  # Only where systemd knows another: a reload can take running containers their GPUs. It goes on
  # with what it read at boot, also of an agent that was uninstalled.
  known=$(systemctl show --property ExecStart roost-agent.service 2>/dev/null)
  case $known in *"argv[]=$root/container attached "*) known='' ;; *"argv[]="*) ;; *) known='' ;; esac
  if [ "$known" ] || { [ "$was" ] && [ "$was" != "$(cat "$unit")" ]; }; then
    must kit.service systemctl daemon-reload
  fi
  must kit.service systemctl enable --no-reload roost-agent.service
  must kit.service systemctl restart roost-agent.service
}

uninstall() {
  [ "$(id -u)" = 0 ] || fail kit.root 'it needs root' 'Run it with sudo.'
  find_runtime || say 'no runtime answers: its container and image stay'
  if [ "$all" ] && [ "$cli" ]; then
    used=$("$cli" ps --all --quiet </dev/null | while read -r each; do
      "$cli" inspect --format '{{.Name}}{{range .Mounts}} {{.Source}} {{end}}' "$each" </dev/null
    done | grep -v "^/*$name " | grep -e " $state[/ ]" -e " $config[/ ]" | cut -d' ' -f1 | tr -d '/' | tr '\n' ' ')
    [ -z "$used" ] || fail kit.in_use "containers have mounted $state or $config: $used" \
      'First remove those workloads, or keep data and configuration.'
  fi
  # Without a reload of systemd, which can take running containers their GPUs.
  if has_systemd && [ -e "$unit" ]; then
    say 'stopping roost-agent.service'
    must kit.service systemctl disable --no-reload roost-agent.service
    must kit.service systemctl stop roost-agent.service
    systemctl reset-failed roost-agent.service 2>/dev/null
  fi
  rm -f "$unit" "$unit.part"
  if [ "$cli" ]; then
    remove_container || fail kit.service "$name cannot be removed" 'Mend that and run it again: it goes on.'
    # Not what something else uses.
    [ ! -e "$root/image" ] || "$cli" rmi "$(cat "$root/image")" >/dev/null 2>&1 </dev/null
  fi
  case $(readlink "$link") in "$root"/*) rm -f "$link" ;; esac
  end_trial
  kept=''
  for path in "$root"/* "$root"/.[!.]* "$root"/..[!.]*; do
    case ${path##*/} in
    image) ;; # the last to go: by it the rest is found again
    current | start | container | trial.json | last-upgrade.json | first-upgrade.json) rm -f "$path" ;;
    container.part | image.part | .*.part | .current.* | .start.* | .upgrade.* | ..upgrade.* | .*.json.*) rm -rf "$path" ;;
    *) if [ -e "$path/kit.json" ]; then rm -rf "$path"; elif [ -e "$path" ]; then kept="$kept $path"; fi ;;
    esac
  done
  if [ "$all" ]; then
    rm -rf "$state" "$config"
    ! has_group || must kit.group remove_group
  fi
  rm -f "$root/image"
  rmdir "$root" 2>/dev/null
  for place in "$state" "$config"; do [ ! -e "$place" ] || kept="$place $kept"; done
  say "the agent is gone${kept:+, kept: $kept}"
}

# An upgrade that was not done: the database is as before it, as the supervisor would have it.
end_trial() {
  [ -e "$root/trial.json" ] && [ -e "$state/agent.db.before" ] || return 0
  current=$(basename "$(readlink "$root/current")")
  ! grep -q "\"id\": *\"$current\"" "$root/trial.json" || return 0
  rm -f "$state/agent.db-wal" "$state/agent.db-shm"
  must kit.write mv -f "$state/agent.db.before" "$state/agent.db"
}

# Called as the command that it stands for.
if [ "${0##*/}" = roost-agent ]; then
  need_runtime
  terminal=''
  # What is written elsewhere would get the line ends of a terminal, and what goes to stderr.
  { [ ! -t 0 ] || [ ! -t 1 ]; } || terminal=--tty
  exec "$cli" exec --interactive $terminal "$name" /opt/roost/current/bin/roost-agent "$@"
fi

verb=${1:-}
[ $# = 0 ] || shift
umask 022
case $verb in
line)
  need_runtime
  line line "${1:-IMAGE}"
  exit
  ;;
unit)
  find_runtime
  unit_text
  exit
  ;;
run | attached)
  [ "${OWN_REFUSED:-}" ] || [ "$0" = "$own" ] || ! sh -n "$own" 2>/dev/null || exec sh "$own" "$verb" "$@"
  start "$verb" "$@"
  exit
  ;;
stop)
  ! find_runtime || remove_container
  exit
  ;;
esac
while [ $# -gt 0 ]; do
  case $1 in
  --json) json=1 ;;
  --all) all=1 ;;
  --image) image=$2 && shift ;;
  --version) version=$2 && shift ;;
  --archive) archive=$2 && shift ;;
  --layers) layers=$2 && shift ;;
  --member) member=$2 && shift ;;
  *) fail console.usage "unknown: $1" 'See the first lines of this file.' ;;
  esac
  shift
done
case $verb in
check) check ;;
install) install ;;
uninstall) uninstall ;;
*) fail console.usage "it is not told what to do: $verb" 'See the first lines of this file.' ;;
esac
