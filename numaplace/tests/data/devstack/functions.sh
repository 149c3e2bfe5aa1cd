#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a plugin may call of devstack: as devstack does it on files, and written to $CALLS where it would touch the machine.

function die {
    local line=$1
    shift
    echo "[ERROR] ${BASH_SOURCE[1]}:$line $*" >&2
    exit 1
}

function echo_summary {
    echo "$@"
}

function define_plugin {
    :
}

function trueorfalse {
    local default=$1 value=${!2:-}
    case "$value" in
        1 | [yY]es | YES | [tT]rue | TRUE) echo True ;;
        0 | [nN]o | NO | [fF]alse | FALSE) echo False ;;
        *) echo "$default" ;;
    esac
}

# Whether one of several services is enabled.
function is_service_enabled {
    local service
    for service in "$@"; do
        if [[ ",$ENABLED_SERVICES," == *",$service,"* ]]; then
            return 0
        fi
    done
    return 1
}

function sudo {
    "$@"
}

function systemctl {
    echo "systemctl $*" >>"$CALLS"
}

# Install a project into the environment of the services.
function setup_develop {
    echo "setup_develop $*" >>"$CALLS"
    if [[ -d "$NOVA_BIN_DIR" ]]; then
        install -m 755 /dev/null "$NOVA_BIN_DIR/numaplace-nova-compute"
    fi
}

# The environment, if one is named, and the project.
function pip_uninstall {
    echo "pip_uninstall ${PIP_VIRTUAL_ENV:-} $*" >>"$CALLS"
}

# Print the values of an option, one a line: _values FILE SECTION OPTION
function _values {
    awk -v section="[$2]" -v option="$3" '
        /^\[/ { inside = ($0 == section) }
        inside && $0 ~ "^" option "[ \t]*=" { sub("^[^=]*=[ \t]*", ""); print }
    ' "$1"
}

function iniget {
    _values "$@" | tail -n 1 | xargs
}

function iniget_multiline {
    _values "$@" | xargs
}

function inidelete {
    local rest
    rest=$(awk -v section="[$2]" -v option="$3" '
        /^\[/ { inside = ($0 == section) }
        !(inside && $0 ~ "^" option "[ \t]*=")
    ' "$1")
    echo "$rest" >"$1"
}

# Replace all values of an option by one a word, below the header of the section.
function iniset_multiline {
    local file=$1 section=$2 option=$3 rest value
    shift 3
    touch "$file"
    if ! grep -qxF "[$section]" "$file"; then
        printf '\n[%s]\n' "$section" >>"$file"
    fi
    inidelete "$file" "$section" "$option"
    rest=$(
        while IFS= read -r value; do
            echo "$value"
            if [[ "$value" == "[$section]" ]]; then
                printf "$option = %s\n" "$@"
            fi
        done <"$file"
    )
    echo "$rest" >"$file"
}

# Replace the value where it stands, or add it below the header of the section.
function iniset {
    local file=$1 section=$2 option=$3 value=$4 rest
    touch "$file"
    if [[ -z "$(_values "$file" "$section" "$option")" ]]; then
        iniset_multiline "$file" "$section" "$option" "$value"
        return
    fi
    rest=$(awk -v section="[$section]" -v option="$option" -v value="$value" '
        /^\[/ { inside = ($0 == section) }
        inside && $0 ~ "^" option "[ \t]*=" { sub("=.*", "= " value) }
        { print }
    ' "$file")
    echo "$rest" >"$file"
}
