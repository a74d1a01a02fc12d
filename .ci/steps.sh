# Sourced by .ci/set-up and .ci/system-packages: steps of which one line each is shown.
#
#   packages         … 7.2 s
#
# What a step's commands print goes into a log, and its end is shown if they fail.

setup_log=var/log/set-up.log
mkdir -p "$(dirname "$setup_log")"

step() { # step NAME COMMAND [ARGUMENT]...: run a step; the script ends if it fails
    attempt "$@" && return
    echo "The last lines of $setup_log:" >&2
    tail -n 15 "$setup_log" | sed 's/^/    /' >&2
    exit 1
}

attempt() { # attempt NAME COMMAND [ARGUMENT]...: run a step; its status is the command's
    local name=$1 began status=0
    shift
    began=$(microseconds)
    printf '  %-16s … ' "$name"
    printf '\n=== %s: %s\n' "$name" "$*" >>"$setup_log"
    "$@" </dev/null >>"$setup_log" 2>&1 || status=$?
    [ $status = 0 ] || printf 'failed after '
    seconds_since "$began"
    return $status
}

seconds_since() { # seconds_since MICROSECONDS: print the seconds since then
    local tenths=$((($(microseconds) - $1) / 100000))
    echo "$((tenths / 10)).$((tenths % 10)) s"
}

microseconds() { # since the epoch
    echo "${EPOCHREALTIME/[!0-9]/}"
}
