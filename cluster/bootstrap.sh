#!/usr/bin/env bash
# Puts hippflow on the cluster: Python, the repository and its environment, once, on the shared volume.
#
#   bootstrap.sh [REPOSITORY [VERSION [HOME [USER]]]]    on the head node
#   bootstrap.sh --interpreter-only                      on a compute node
#
# ParallelCluster runs it as root when a node starts (CustomActions in parallelcluster.yaml); by hand it
# runs as the user who owns the folder. What is there and complete is left alone, what is half-finished
# is repaired. It takes a tag, branch or commit for VERSION, and the same settings from the environment:
#
#   HIPPFLOW_REPOSITORY  what git clones; must need no password
#   HIPPFLOW_VERSION     tag, branch or commit (main)
#   HIPPFLOW_HOME        folder of the repository (/data/hippflow); log and lock are in HOME.bootstrap/
#   HIPPFLOW_USER        who owns it, when run as root (who called sudo)
#   HIPPFLOW_PYTHON      interpreter of the environment (python3.11, the one hippflow is tested with)
set -euo pipefail
umask 022

python=${HIPPFLOW_PYTHON:-python3.11}

say() { echo "bootstrap: $*"; }

fail() {
  say "$*" >&2
  exit 1
}

install_packages() {
  ((EUID == 0)) || fail "expected $* on this machine, found none; install it, or run this as root"
  command -v dnf > /dev/null ||
    fail "expected Amazon Linux 2023 with dnf to install $*, found none; install it by hand on all nodes"
  say "installing $*"
  # Updates of the system may hold dnf's lock while a node starts.
  for attempt in 1 2 3; do
    dnf install --assumeyes --quiet "$@" && return
    say "dnf failed, attempt $attempt of 3"
    sleep 10
  done
  fail "expected dnf to install $*, found an error; see above"
}

install_interpreter() {
  command -v "$python" > /dev/null || install_packages "$(basename "$python")"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python: expected Python 3.11 or newer, found $("$python" --version); set HIPPFLOW_PYTHON"
}

if [[ ${1:-} == --interpreter-only ]]; then
  install_interpreter
  exit
fi

repository=${1:-${HIPPFLOW_REPOSITORY:-}}
version=${2:-${HIPPFLOW_VERSION:-main}}
home=${3:-${HIPPFLOW_HOME:-/data/hippflow}}
work=$home.bootstrap
user=$(id -un)

[[ -n $repository ]] ||
  fail "expected a repository to clone, found none; give it as first argument or in HIPPFLOW_REPOSITORY"
[[ ! $repository =~ ://[^/]*:[^/]*@ ]] ||
  fail "expected a repository without a password, found one in its address, where all who see the cluster's" \
    "configuration can read it; make the repository public or put a copy on the volume and give its path"
if ((EUID == 0)); then
  user=${4:-${HIPPFLOW_USER:-${SUDO_USER:-root}}}
fi

# Everything below the volume is made by its owner: git refuses folders of others, and what root makes
# the user could not change.
as_owner() {
  if [[ $user == "$(id -un)" ]]; then
    "$@"
  else
    runuser -u "$user" -- env HOME="$(getent passwd "$user" | cut -d: -f6)" "$@"
  fi
}

tools=(git make)
# In tmux the driver outlives a lost connection.
if ((EUID == 0)) && command -v dnf > /dev/null; then tools+=(tmux); fi
missing=()
for tool in "${tools[@]}"; do
  command -v "$tool" > /dev/null || missing+=("$tool")
done
((${#missing[@]} == 0)) || install_packages "${missing[@]}"
install_interpreter

# A folder of the owner's, because root may not open the owner's files right below a folder that
# everybody can write to, as /data is.
if ((EUID == 0)); then
  install --directory --owner="$user" --group="$(id -gn "$user")" "$work"
else
  mkdir -p "$work"
fi
as_owner touch "$work/log" "$work/lock"
exec > >(tee -a "$work/log") 2>&1
say "$(date --iso-8601=seconds), $repository at $version to $home, for $user"

# One at a time. What a killed run has started holds the lock for as long as it writes.
exec 9> "$work/lock"
if ! flock --nonblock 9; then
  say "another run is going on; waiting for it, at most 30 min"
  flock --wait 1800 9 ||
    fail "$work/lock: expected the other run to end, found it running; look for it with: fuser $work/lock"
fi

export GIT_TERMINAL_PROMPT=0 PIP_NO_CACHE_DIR=1
git_home() { as_owner git -C "$home" "$@"; }
done_nothing=true

# The repository: cloned beside, then renamed, so that a clone which exists is whole.
if [[ ! -e $home/.git ]]; then
  [[ ! -e $home ]] || rmdir "$home" ||
    fail "$home: expected a clone of hippflow or nothing, found other files; move them away"
  say "cloning"
  as_owner rm -rf "$work/clone"
  as_owner git clone --quiet --no-checkout "$repository" "$work/clone"
  as_owner mv "$work/clone" "$home"
  done_nothing=false
fi
if ((EUID == 0)) && [[ $(stat --format=%U "$home") != "$user" ]]; then
  say "giving $home to $user"
  chown -R "$user:$(id -gn "$user")" "$home"
fi

find_commit() {
  local name
  for name in "refs/tags/$version" "refs/remotes/origin/$version" "$version"; do
    git_home rev-parse --verify --quiet "$name^{commit}" && return
  done
  return 1
}

# Tags and commits that are here stay what they are; branches move.
[[ $(git_home remote get-url origin) == "$repository" ]] || git_home remote set-url origin "$repository"
if ! commit=$(find_commit) || git_home rev-parse --verify --quiet "refs/remotes/origin/$version" > /dev/null; then
  git_home fetch --quiet --tags origin
fi
commit=$(find_commit) || fail "$repository: expected the tag, branch or commit $version, found none of that name"

# The version. Your changes, above all of config.yaml, are kept in local.patch while files change; the
# patch is there only while this goes on, so that a run which finds one repairs what a killed one left.
if [[ -e $work/local.patch || ! -e $home/.git/index || $(git_home rev-parse HEAD) != "$commit" ]]; then
  done_nothing=false
  say "changing to $version, $commit"
  if [[ ! -e $work/local.patch ]]; then
    rm -f "$work/local.patch.part"
    # A fresh clone has no index, no files and no changes.
    { [[ ! -e $home/.git/index ]] || git_home diff --binary HEAD; } > "$work/local.patch.part"
    mv "$work/local.patch.part" "$work/local.patch"
  fi
  rm -f "$home/.git/index.lock"
  git_home checkout --quiet --force --detach "$commit"
  if [[ -s $work/local.patch ]] && ! git_home apply --whitespace=nowarn "$work/local.patch"; then
    mv "$work/local.patch" "$work/rejected.patch"
    fail "$work/rejected.patch: expected your changes to fit $version, found that they do not;" \
      "make them again by hand, then run this again"
  fi
  rm -f "$work/local.patch"
fi

# The environment: the Makefile knows whether it is up to date. One that is not is made anew, because
# an installation that was killed can leave packages by halves.
make_environment() { as_owner make --no-print-directory -C "$home" PYTHON="$python" "$@" .venv/complete; }
if ! make_environment --question > /dev/null || ! as_owner "$home/.venv/bin/python" -c ''; then
  done_nothing=false
  say "making the environment in $home/.venv"
  as_owner rm -rf "$home/.venv"
  make_environment
fi

if $done_nothing; then
  say "nothing to do: $version and its environment are complete in $home"
else
  say "complete: $version and its environment are in $home"
fi
