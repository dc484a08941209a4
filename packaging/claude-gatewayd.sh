#!/bin/sh
# systemd and launchd start this file, which starts claude-gatewayd. It needs no Python, so it can report that Python has
# been removed or replaced. `claude-gatewayctl install` puts it into ~/.local/share/claude-gateway.
#
#   claude-gatewayd.sh [--wait] PROGRAM
#   claude-gatewayd.sh --notify TITLE TEXT
#
# --wait: after failed starts, wait 1, 2, 4 ... 30 s. For launchd, and systemd before 254, which cannot do that.

label=dev.claude-gateway.gatewayd
wait=
[ "${1-}" != --wait ] || { wait=yes; shift; }
program=$1
failed=${0%/*}/failed-starts # how many starts in a row have not served; a daemon that serves removes it
export CLAUDE_GATEWAYD_FAILED_STARTS="$failed"

pause() {
    sleep "$1" &
    sleeping=$!
    trap 'kill $sleeping; rm -f "$failed"; exit 0' TERM INT HUP # a stop or restart by a person
    wait $sleeping
    trap - TERM INT HUP
}

log() {
    priority=
    [ -z "${JOURNAL_STREAM-}" ] || priority='<3>'
    echo "$priority$*" >&2
    if [ "${XPC_SERVICE_NAME-}" = $label ]; then # `claude-gatewayctl logs` shows this file
        echo "$(date '+%Y-%m-%d %H:%M:%S') ERROR   service: $*" >>"$HOME/Library/Logs/claude-gateway/claude-gatewayd.log"
    fi
}

notify() {
    [ "${CLAUDE_GATEWAY_NOTIFY_ENABLED-}" != false ] || return 0
    if command -v osascript >/dev/null; then
        osascript -e 'on run argv' -e 'display notification (item 2 of argv) with title (item 1 of argv)' -e 'end run' \
            "$1" "$2" &
    elif command -v notify-send >/dev/null; then
        timeout 5 notify-send --app-name=claude-gateway --icon=dialog-warning --urgency=critical -- "$1" "$2"
    fi
} >/dev/null 2>&1

if [ "$1" = --notify ]; then
    notify "$2" "$3"
    exit 0
fi

# While systemd or launchd holds the port and nothing serves, Claude Code would hang. A refused connection it reports.
close_port() {
    if [ "${XPC_SERVICE_NAME-}" = $label ]; then
        for domain in gui user; do
            launchctl bootout "$domain/$(id -u)/$label"
        done 2>/dev/null & # it may wait for our end
        sleep 1
    else
        systemctl --user stop --no-block claude-gatewayd.socket
    fi
}

# Workers of an earlier start may have been left in a scope, where they accept connections until another one serves.
is_served() {
    [ -e "${RUNTIME_DIRECTORY-}/predecessors.json" ] &&
        systemctl --user is-active --quiet 'claude-gatewayd-drain-*.scope'
}

give_up() {
    if is_served; then
        [ "$number" -gt 1 ] || log "cannot start $program: $1. Workers of the last start still serve"
        count
        [ "$number" -le 1 ] || pause 10
        exit 69
    fi
    rm -f "$failed"
    trap '' TERM INT HUP # our own stop
    log "cannot start $program: $1"
    log "closing the port, so that callers are refused. To fix it: make install, in the checkout of claude-gatewayd"
    log "to use Claude Code without it: remove ANTHROPIC_BASE_URL (in Bedrock mode CLAUDE_CODE_USE_BEDROCK)" \
        "and x-gateway-key from ~/.claude/settings.json"
    notify "The gateway for Claude Code cannot start" "$1. To fix it: make install, in the checkout of claude-gatewayd"
    close_port
    exit 69 # EX_UNAVAILABLE
}

count() {
    echo $((number + 1)) >"$failed"
} 2>/dev/null

# Prints nothing if PROGRAM can run.
why_not() {
    [ -e "$program" ] || { echo "it is no longer there"; return; }
    answer=$("$program" --version 2>&1 </dev/null) && return
    case $?$(head -n 1 "$program") in
    12[67]'#!/bin/sh'*) ;; # the interpreter's path has a blank, and the answer has it
    12[67]*) answer="its Python is no longer there ($(head -n 1 "$program"))" ;;
    esac
    echo "$answer" | tail -n 1
}

number=0
[ ! -r "$failed" ] || read -r number <"$failed"
case $number in '' | *[!0-9]* | ????*) number=0 ;; esac

if [ "$number" -gt 0 ] || [ ! -e "$program" ]; then
    for look in 1 2 3 4 5; do # an installation may be replaced at this very moment
        why=$(why_not)
        [ -n "$why" ] || break
        [ "$look" != 5 ] || give_up "$why"
        pause 1
    done
fi
if [ -n "$wait" ]; then
    case $number in
    0) ;;
    1) pause 1 ;;
    2) pause 2 ;;
    3) pause 4 ;;
    4) pause 8 ;;
    5) pause 16 ;;
    *) pause 30 ;;
    esac
fi
count
exec "$program" run
