# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154 # the tables are written by `numaplace complete`, above this

# Print the names of one kind that begin with a text, and nothing where that fails. The program ends itself if the
# database does not answer; the shell's own message about that goes with its stderr.
_numaplace_names() {
    {
        "${COMP_WORDS[0]/#\~/$HOME}" "${_numaplace_global[@]}" complete --names "$1" --start "$2" </dev/null
    } 2>/dev/null
}

# Offer what a place on the command line takes, where $cur is its beginning: names, files, or the words themselves.
_numaplace_offer() {
    local kind=$1 name quoted
    case $kind in
    flavor | host | server | zone)
        while IFS= read -r name; do
            [[ $name == -* ]] && continue
            printf -v quoted '%q' "$name"
            COMPREPLY+=("$quoted")
        done < <(_numaplace_names "$kind" "${cur//\\/}")
        ;;
    file)
        compopt -o filenames 2>/dev/null
        while IFS= read -r name; do
            COMPREPLY+=("$name")
        done < <(compgen -f -- "${cur/#\~/$HOME}")
        ;;
    =file) # a name, or a name and a file
        [[ ${COMP_WORDS[COMP_CWORD]} == = || ${COMP_WORDS[COMP_CWORD - 1]} == = ]] && _numaplace_offer file
        ;;
    -) ;; # anything
    *)
        while IFS= read -r name; do
            COMPREPLY+=("$name")
        done < <(compgen -W "$kind" -- "$cur")
        ;;
    esac
}

_numaplace() {
    local cur=${COMP_WORDS[COMP_CWORD]} command=numaplace expected='' count=0 helping='' word i
    local -a _numaplace_global=() places
    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == = ]]; then
            # --option=value is three words.
            continue
        elif [[ -n $expected ]]; then
            [[ -n ${_numaplace_takes["numaplace $expected"]} ]] && _numaplace_global+=("$expected" "${word/#\~/$HOME}")
            expected=''
        elif [[ $word == -* ]]; then
            [[ -n ${_numaplace_takes["$command $word"]}${_numaplace_takes["numaplace $word"]} ]] && expected=$word
        elif [[ $command == numaplace && $word == help ]]; then
            helping=1
        elif ((count == 0)) && [[ " ${_numaplace_next[$command]} " == *" $word "* ]]; then
            command+=" $word"
        else
            count=$((count + 1))
        fi
    done
    [[ $cur == = ]] && cur=''
    if [[ -n $expected ]]; then
        _numaplace_offer "${_numaplace_takes["$command $expected"]:-${_numaplace_takes["numaplace $expected"]}}"
    elif [[ $cur == -* ]]; then
        [[ $command != numaplace ]] && _numaplace_offer "${_numaplace_options[$command]}"
        _numaplace_offer "${_numaplace_options[numaplace]}"
    else
        if ((count == 0)); then
            _numaplace_offer "${_numaplace_next[$command]}"
        fi
        [[ -n $helping ]] && return
        read -r -a places <<<"${_numaplace_arguments[$command]}"
        if ((count < ${#places[@]})); then
            _numaplace_offer "${places[count]%...}"
        elif [[ ${_numaplace_arguments[$command]} == *... ]]; then
            _numaplace_offer "${places[-1]%...}"
        fi
    fi
}
