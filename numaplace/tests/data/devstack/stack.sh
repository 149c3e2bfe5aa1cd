#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The runs of devstack as a plugin sees them: ``stack.sh FUNCTIONS PLUGIN RUN...``, each RUN one of stack, unstack,
# clean, and reconfigure: the plugin configures what is configured.
set -o errexit -o nounset

FUNCTIONS=$1
PLUGIN=$2
shift 2

# shellcheck source=/dev/null
source "$FUNCTIONS"
if [[ -n "${NUMAPLACE_DEVSTACK:-}" ]]; then
    # shellcheck source=/dev/null
    source "$NUMAPLACE_DEVSTACK/inc/ini-config"
    # Its functions read variables that they have not set.
    set +o nounset
fi

# In a function, as devstack does it.
function run_phase {
    # shellcheck source=/dev/null
    source "$PLUGIN/plugin.sh" "$@"
}

function create_nova_conf {
    rm -f "$NOVA_CONF"
    iniset "$NOVA_CONF" DEFAULT debug True
    iniset "$NOVA_CONF" filter_scheduler enabled_filters "$NOVA_FILTERS"
}

# What local.conf asks for after the plugins have configured.
function apply_local_conf {
    if [[ -n "${LOCAL_CONF:-}" ]]; then
        # shellcheck disable=SC2086  # section, option and value
        iniset "$NOVA_CONF" $LOCAL_CONF
    fi
}

# write_unit SERVICE ARGUMENTS
function write_unit {
    local unit="$SYSTEMD_DIR/devstack@$1.service"
    iniset "$unit" Service ExecStart "$NOVA_BIN_DIR/nova-compute $2"
    iniset "$unit" Service User stack
    $SYSTEMCTL daemon-reload
    $SYSTEMCTL start "devstack@$1.service"
}

function start_nova_compute {
    local number
    cp "$NOVA_CONF" "$NOVA_CPU_CONF"
    if [[ "$VIRT_DRIVER" == "fake" ]]; then
        for number in $(seq 1 "$NUMBER_FAKE_NOVA_COMPUTE"); do
            write_unit "n-cpu-$number" "--config-file $NOVA_CPU_CONF --config-file $NOVA_FAKE_CONF-$number"
        done
    else
        write_unit n-cpu "--config-file $NOVA_CPU_CONF${COMPUTE_ARGUMENTS:-}"
    fi
}

function run_stack {
    run_phase stack pre-install
    run_phase stack install
    create_nova_conf
    run_phase stack post-config
    apply_local_conf
    if is_service_enabled n-cpu; then
        start_nova_compute
    fi
    run_phase stack extra
    run_phase stack test-config
}

# shellcheck source=/dev/null
source "$PLUGIN/settings"
for run in "$@"; do
    case "$run" in
        stack) run_stack ;;
        reconfigure) run_phase stack post-config ;;
        *) run_phase "$run" ;;
    esac
done
