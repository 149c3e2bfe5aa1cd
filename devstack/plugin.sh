#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Let numaplace decide inside the Nova of a devstack; sourced as ``plugin.sh MODE [PHASE]``.

_NUMAPLACE_XTRACE=$(set +o | grep xtrace)
set +o xtrace

NUMAPLACE_DIR=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
NUMAPLACE_FILTER=numaplace.nova.filter.NUMATopologyFilter
NUMAPLACE_DROP_IN=numaplace.conf

function numaplace_schedules {
    [[ "$NUMAPLACE_ENABLE_SCHEDULER" == "True" ]] && is_service_enabled n-sch
}

function numaplace_claims {
    [[ "$NUMAPLACE_ENABLE_COMPUTE" == "True" ]] && is_service_enabled n-cpu
}

function check_numaplace_settings {
    if [[ "$NUMAPLACE_MODE" != "enforce" && "$NUMAPLACE_MODE" != "shadow" ]]; then
        die $LINENO "NUMAPLACE_MODE must be enforce or shadow, not ${NUMAPLACE_MODE@Q}"
    fi
}

function install_numaplace {
    setup_develop "$NUMAPLACE_DIR"
    if numaplace_claims && [[ ! -x "$NOVA_BIN_DIR/numaplace-nova-compute" ]]; then
        die $LINENO "numaplace was not installed beside Nova: $NOVA_BIN_DIR has no numaplace-nova-compute"
    fi
}

function uninstall_numaplace {
    local PIP_VIRTUAL_ENV=${PIP_VIRTUAL_ENV:-}
    # pip_uninstall knows only this variable, other than pip_install.
    if [[ -z "$PIP_VIRTUAL_ENV" && "$GLOBAL_VENV" == "True" ]]; then
        PIP_VIRTUAL_ENV=$DEVSTACK_VENV
    fi
    pip_uninstall numaplace
}

# Print the words of a list without one of them: numaplace_without WORD [WORD ...]
function numaplace_without {
    local unwanted=$1 word
    local kept=()
    shift
    for word in "$@"; do
        if [[ "$word" != "$unwanted" ]]; then
            kept+=("$word")
        fi
    done
    echo "${kept[*]}"
}

function available_nova_filters {
    iniget_multiline "$NOVA_CONF" filter_scheduler available_filters
}

function enabled_nova_filters {
    local enabled
    enabled=$(iniget "$NOVA_CONF" filter_scheduler enabled_filters)
    echo "${enabled// /}"
}

# Ours has to be the last that is called NUMATopologyFilter: it takes the place of Nova's.
function configure_numaplace_scheduler {
    local others enabled
    # shellcheck disable=SC2046  # a list of words
    others=$(numaplace_without "$NUMAPLACE_FILTER" $(available_nova_filters))
    # shellcheck disable=SC2086  # a list of words
    iniset_multiline "$NOVA_CONF" filter_scheduler available_filters \
        ${others:-nova.scheduler.filters.all_filters} "$NUMAPLACE_FILTER"
    enabled=$(enabled_nova_filters)
    enabled=${enabled:-$NOVA_FILTERS}
    if [[ ",$enabled," != *,NUMATopologyFilter,* ]]; then
        iniset "$NOVA_CONF" filter_scheduler enabled_filters "$enabled,NUMATopologyFilter"
    fi
}

# What local.conf sets under [[post-config|$NOVA_CONF]] comes after this plugin and may undo it.
function check_numaplace_scheduler {
    if [[ " $(available_nova_filters)" != *" $NUMAPLACE_FILTER" ]]; then
        die $LINENO "[filter_scheduler] available_filters of $NOVA_CONF must end with $NUMAPLACE_FILTER"
    fi
    if [[ ",$(enabled_nova_filters)," != *,NUMATopologyFilter,* ]]; then
        die $LINENO "[filter_scheduler] enabled_filters of $NOVA_CONF must name NUMATopologyFilter"
    fi
}

# Print a line for each nova-compute that devstack starts: its service and its arguments.
function numaplace_compute_services {
    local arguments="--config-file $NOVA_CPU_CONF" number
    if [[ "$VIRT_DRIVER" != "fake" ]]; then
        echo "n-cpu $arguments"
        return
    fi
    for number in $(seq 1 "$NUMBER_FAKE_NOVA_COMPUTE"); do
        echo "n-cpu-$number $arguments --config-file $NOVA_FAKE_CONF-$number"
    done
}

# devstack writes the unit anew each time it starts the service, and lets systemd read it; a drop-in outlasts that and
# holds from the first start.
function configure_numaplace_computes {
    local services service arguments directory
    mapfile -t services < <(numaplace_compute_services)
    for service in "${services[@]}"; do
        arguments=${service#* }
        directory="$SYSTEMD_DIR/devstack@${service%% *}.service.d"
        sudo mkdir -p "$directory"
        sudo tee "$directory/$NUMAPLACE_DROP_IN" >/dev/null <<DROP_IN
# Written by the devstack plugin of numaplace, removed by unstack.sh.
[Service]
ExecStart=
ExecStart=$NOVA_BIN_DIR/numaplace-nova-compute $arguments
DROP_IN
    done
}

# A devstack that starts nova-compute in another way than the drop-ins do must not go unnoticed.
function check_numaplace_computes {
    local services service wanted command
    mapfile -t services < <(numaplace_compute_services)
    for service in "${services[@]}"; do
        wanted="$NOVA_BIN_DIR/nova-compute ${service#* }"
        service="devstack@${service%% *}.service"
        command=$(iniget "$SYSTEMD_DIR/$service" Service ExecStart)
        if [[ "$command" != "$wanted" ]]; then
            die $LINENO "$service was to run ${wanted@Q}, which numaplace replaced, but has ${command@Q}"
        fi
    done
}

function configure_numaplace {
    iniset "$NOVA_CONF" numaplace mode "$NUMAPLACE_MODE"
    unconfigure_numaplace_computes
    if numaplace_schedules; then
        configure_numaplace_scheduler
    fi
    if numaplace_claims; then
        configure_numaplace_computes
    fi
}

function check_numaplace {
    if numaplace_schedules; then
        check_numaplace_scheduler
    fi
    if numaplace_claims; then
        check_numaplace_computes
    fi
}

function unconfigure_numaplace_computes {
    local drop_in
    for drop_in in "$SYSTEMD_DIR"/devstack@n-cpu*.service.d/"$NUMAPLACE_DROP_IN"; do
        if [[ -e "$drop_in" ]]; then
            sudo rm "$drop_in"
            sudo rmdir --ignore-fail-on-non-empty "$(dirname "$drop_in")"
            $SYSTEMCTL daemon-reload
        fi
    done
}

function unconfigure_numaplace_scheduler {
    local others enabled
    if [[ " $(available_nova_filters) " != *" $NUMAPLACE_FILTER "* ]]; then
        return 0
    fi
    # shellcheck disable=SC2046  # a list of words
    others=$(numaplace_without "$NUMAPLACE_FILTER" $(available_nova_filters))
    if [[ "$others" == "nova.scheduler.filters.all_filters" ]]; then
        inidelete "$NOVA_CONF" filter_scheduler available_filters
    elif [[ -n "$others" ]]; then
        # shellcheck disable=SC2086  # a list of words
        iniset_multiline "$NOVA_CONF" filter_scheduler available_filters $others
    fi
    if [[ ",$NOVA_FILTERS," != *,NUMATopologyFilter,* ]]; then
        enabled=$(enabled_nova_filters)
        # shellcheck disable=SC2086  # a list of words
        enabled=$(numaplace_without NUMATopologyFilter ${enabled//,/ })
        iniset "$NOVA_CONF" filter_scheduler enabled_filters "${enabled// /,}"
    fi
}

function unconfigure_numaplace {
    unconfigure_numaplace_computes
    if [[ -f "$NOVA_CONF" ]]; then
        unconfigure_numaplace_scheduler
        inidelete "$NOVA_CONF" numaplace mode
    fi
}

if [[ "$1" == "stack" ]] && { numaplace_schedules || numaplace_claims; }; then
    case "$2" in
        pre-install)
            check_numaplace_settings
            ;;
        install)
            echo_summary "Installing numaplace"
            install_numaplace
            ;;
        post-config)
            echo_summary "Configuring numaplace"
            configure_numaplace
            ;;
        extra)
            check_numaplace
            ;;
    esac
elif [[ "$1" == "unstack" ]]; then
    unconfigure_numaplace
elif [[ "$1" == "clean" ]]; then
    unconfigure_numaplace
    uninstall_numaplace
fi

$_NUMAPLACE_XTRACE
